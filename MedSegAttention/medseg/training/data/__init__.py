"""Prepared cases, patches out of them, and their random changes."""
