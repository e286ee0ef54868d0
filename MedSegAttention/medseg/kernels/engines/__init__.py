"""What a network is run by on a processor: PyTorch made lean, or OpenVINO where it is installed and agrees."""
