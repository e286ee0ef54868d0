"""Orders, and the queue that does them one after the other in one warm worker."""
