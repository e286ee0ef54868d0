"""Building blocks: one block, one file, one paper."""
