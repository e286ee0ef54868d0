"""Pictures of a segmentation without OpenGL."""
