"""From a prepared volume to scores for every label: devices, windows, stitching."""
