"""Triton kernels for CUDA devices; where they do not run or do not agree, plain PyTorch does."""
