"""What only makes things faster: each part has a plain form elsewhere that it must agree with, and gives way to it."""
