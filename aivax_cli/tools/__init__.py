"""What a gateway's model may call: MCP servers and HTTP endpoints."""
