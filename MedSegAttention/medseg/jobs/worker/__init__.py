"""The worker process, both ends of its pipe."""
