"""C++ kernels for training on a processor, compiled on first use; without a compiler PyTorch's own operators run."""
