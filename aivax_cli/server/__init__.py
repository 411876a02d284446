"""Gateways behind an OpenAI-compatible endpoint.

requests     a request's body → what is asked of which gateway
completions  a turn's events → chat completions, whole or in chunks (pure)
faults       an error → status and body in OpenAI's shape (pure)
app          the routes
"""
