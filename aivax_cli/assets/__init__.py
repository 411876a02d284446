"""Files that come from elsewhere: what they are, where from, and the one store that keeps them."""
