"""Nodes for tests of the scene: images put into it, and the probabilities of a network drawn at once."""

import json

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type

from medseg.mrml.grids import matrix_from_affine
from medseg.mrml.probabilities import empty_volume, entropy_steps, fill_steps, show_entropy, show_probability
from medseg.mrml.segmentations import voxels
from medseg.mrml.volumes import channel_view

STORED = {np.dtype(bool): np.uint8, np.dtype(np.int64): np.int32, np.dtype(np.float16): np.float32}


def volume_node_from_image(scene, image, name):
    """Add a volume below no transform; several channels become a vector volume."""
    kind = "vtkMRMLScalarVolumeNode" if image.channel_count == 1 else "vtkMRMLVectorVolumeNode"
    pixels = vtk.vtkImageData()
    pixels.SetDimensions(*image.shape)
    dtype = STORED.get(image.array.dtype, image.array.dtype)
    pixels.AllocateScalars(get_vtk_array_type(dtype), image.channel_count)
    node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))
    changing = node.StartModify()
    node.SetIJKToRASMatrix(matrix_from_affine(image.affine))
    node.SetAndObserveImageData(pixels)
    channel_view(node)[...] = image.array
    node.EndModify(changing)
    node.CreateDefaultDisplayNodes()
    return node


def add_probability_volumes(scene, probabilities, specs, volume_node):
    """Add the volume of each label, as they come after a run."""
    nodes = []
    for spec in specs:
        pixels = empty_volume(probabilities.shape)
        list(fill_steps(probabilities.array[spec.value], pixels))
        nodes.append(show_probability(scene, pixels, probabilities.affine, spec, volume_node))
    return nodes


def add_entropy_volume(scene, probabilities, volume_node):
    """Add where the network doubts, as it comes after a run."""
    pixels = empty_volume(probabilities.shape)
    list(entropy_steps(probabilities.array, voxels(pixels)))
    return show_entropy(scene, pixels, probabilities.affine, volume_node)


def normalised_entropy(probabilities):
    """Entropy of ``(L, I, J, K)``, drawn to the end."""
    total = np.empty(probabilities.shape[1:], dtype=np.float32, order="F")
    list(entropy_steps(probabilities, total))
    return total


def read_segment_provenance(segment, tag="MedSegAttention.Provenance"):
    """What is written on a ``vtkSegment``; None where nothing is."""
    text = vtk.reference("")
    return json.loads(str(text)) if segment.GetTag(tag, text) else None
