"""Training with MONAI and Lightning; the shell and the worker that trains import it, nothing else does."""
