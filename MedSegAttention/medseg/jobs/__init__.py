"""Whole jobs: one request in, a result and its events out; one entry for every door."""
