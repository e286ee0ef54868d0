"""Segments that may overlap: bits of one integer a voxel while they are computed, then as few layers as hold them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.imaging.postprocess import postprocess
from medseg.spec.manifest import LabelSpec, ModelManifest
from medseg.spec.postprocess import PostprocessRule


def answer_dtype(count: int, *, overlap: bool) -> np.dtype[Any]:
    """The type in which the labels of so many outputs are collected: a number a voxel, or the bits of all."""
    if overlap:
        return np.dtype(np.uint8 if count <= 8 else np.int32)
    return np.dtype(np.uint8 if count <= 256 else np.uint16)


def postprocess_members(members: Image, rule: PostprocessRule, count: int) -> Image:
    """Apply a rule to every output on its own, as if there were no other.

    Args:
        members: ``(1, I, J, K)`` bits.
        rule: what to do.
        count: outputs.
    """
    if rule == PostprocessRule():
        return members
    tidied = np.zeros_like(members.array)
    for number in range(count):
        mask = replace(members, array=((members.array >> number) & 1).astype(np.uint8))
        tidied |= postprocess(mask, rule).array.astype(tidied.dtype) << number
    return replace(members, array=tidied)


def as_layers(members: Image, manifest: ModelManifest) -> Image:
    """Write every output as its label, in the first layer in which it covers no other, in the order of painting.

    Returns:
        ``(N, I, J, K)`` labelmaps; at least one. No value is in two of them.
    """
    bits = members.array[0]
    dtype = np.min_scalar_type(max(label.value for label in manifest.labels))
    layers: list[NDArray[Any]] = []
    for label in manifest.painted_labels:
        mask = (bits >> manifest.output_of(label)) & 1 != 0
        layer = next((each for each in layers if not each[mask].any()), None)
        if layer is None:
            layer = np.zeros(bits.shape, dtype)
            layers.append(layer)
        layer[mask] = label.value
    return replace(members, array=np.stack(layers))


def painted(labels: Image, specs: Sequence[LabelSpec]) -> Image:
    """Put the layers of segments into one, each segment over those before.

    Args:
        labels: ``(N, I, J, K)``; of one layer the same comes back.
        specs: the segments, in the order in which they are painted.

    Returns:
        ``(1, I, J, K)``
    """
    if labels.channel_count == 1:
        return labels
    flat = np.zeros_like(labels.array[0])
    for spec in specs:
        for layer in labels.array:
            flat[layer == spec.value] = spec.value
    return replace(labels, array=flat[None])


def covered_words(file: str, names: Sequence[str]) -> str:
    """The warning about segments that a file of one number a voxel does not hold whole."""
    return (
        f"{file} holds one number a voxel, and segments overlap: others cover parts of {', '.join(names)} there; "
        "choose .seg.nrrd to keep all"
    )


def covered(labels: Image, specs: Sequence[LabelSpec]) -> tuple[str, ...]:
    """Names of the segments that lose voxels to others when they are painted."""
    if labels.channel_count == 1:
        return ()
    flat = painted(labels, specs).array[0]
    return tuple(
        spec.name
        for spec in specs
        if any(((layer == spec.value) & (flat != spec.value)).any() for layer in labels.array)
    )
