"""What only makes things faster: each part has a plain form elsewhere, and gives way to it where it cannot run."""
