"""nnU-Net v2: its folders, plans and checkpoints, read without running anything."""
