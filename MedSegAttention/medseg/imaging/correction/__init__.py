"""Correct a segmentation with a stroke: what changes near it, and nothing beyond its reach. numpy alone."""
