"""What a hospital reads: segmentations (DICOM SEG) and measurements (DICOM SR), by highdicom, which is optional."""
