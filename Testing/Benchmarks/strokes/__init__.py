"""A simulated user who corrects segmentations: cases, starts, clicks, what else could follow them, and a training."""
