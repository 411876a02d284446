"""A run as other programs read it."""
