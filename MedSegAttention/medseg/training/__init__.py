"""Training with MONAI and Lightning; nothing imports it."""
