"""Slicer's own process: the panel, the child process that computes, what must be installed. Qt yes, torch never."""
