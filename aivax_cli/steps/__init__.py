"""The steps of a turn, in the order in which `turn.py` takes them."""
