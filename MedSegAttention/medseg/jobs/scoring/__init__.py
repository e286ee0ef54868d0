"""Predictions against references, models against experts, and the tables of a model card."""
