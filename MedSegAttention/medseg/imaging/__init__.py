"""Arrays and geometry: NumPy and SimpleITK filters, no torch and no files."""
