"""Files of our own in a workspace's state folder."""
