"""Operators that PyTorch lacks, written in plain PyTorch."""
