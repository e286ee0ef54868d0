"""Models from elsewhere become bundles: opened without running a line of theirs, verified, written whole."""
