"""One request to several systems side by side, and a playground with a choice of system."""
