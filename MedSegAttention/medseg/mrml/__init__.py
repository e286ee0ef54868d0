"""MRML nodes <-> images: the scene is an argument; no Qt, no running application. Needs vtk and MRML classes."""
