"""From instructions, passages and conversation to the messages a model gets. Pure."""
