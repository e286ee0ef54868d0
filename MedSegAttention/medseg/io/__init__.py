"""Files to images and back: the only readers and writers."""
