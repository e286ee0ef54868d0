"""Orders and their turns: one warm worker, one row an order."""
