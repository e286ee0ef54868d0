"""A model small enough to run in milliseconds, written to disk as a real bundle."""

from dataclasses import replace

import torch

from medseg.bundles.write import write_bundle
from medseg.networks import build_network
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec, SliceRule
from small_manifest import small_manifest

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
MODEL = "tiny"


def write_tiny_bundle(folder, *, channels=1, model_id=MODEL):
    """Write a random two-label model of the given number of channels into ``folder / model_id``."""
    return _write(folder, _manifest(model_id, channels))


def write_tiny_slice_bundle(folder, *, model_id, axis=2, context=0, fit="windows", channels=1):
    """Write a random two-label model whose 2D network reads slices, mirrored in them, into ``folder / model_id``."""
    window = [16, 16, 16]
    window[axis] = 1
    manifest = _manifest(model_id, channels)
    slices = SliceRule(axis=axis, context=context, fit=fit)
    manifest = replace(
        manifest,
        slices=slices,
        window_shape=tuple(window),
        spacing_mm=None,
        mirror_axes=((axis + 1) % 3,),
        arguments=manifest.arguments | {"spatial_dims": 2, "in_channels": channels * (2 * context + 1)},
    )
    return _write(folder, manifest)


def write_random_bundle(folder, network, arguments, *, slices=None):
    """Write the model "random" of any network, under which no label wins everywhere, into ``folder / "random"``."""
    arguments = {**arguments, "in_channels": 1 if slices is None else 2 * slices.context + 1, "label_count": 3}
    if network not in ("dlka_net", "dlka_net_2d"):
        arguments["spatial_dims"] = 3 if slices is None else 2
    window = [16, 16, 16] if slices is None else [64, 64, 64]
    if slices is not None:
        window[slices.axis] = 1
    spacing = (3.0, 3.0, 3.0) if slices is None else None
    manifest = replace(_manifest("random", 1), network=network, spacing_mm=spacing, window_shape=tuple(window))
    return _write(folder, replace(manifest, arguments=arguments, slices=slices), spread=True)


def _manifest(model_id, channels):
    return small_manifest(
        model_id=model_id,
        title="Tiny",
        description="Random weights",
        arguments={"in_channels": channels, "label_count": 3, "widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]},
        labels=tuple(
            LabelSpec(value=value, name=name, color=color, category=ANATOMY, type=ANATOMY)
            for value, name, color in ((1, "front", (255, 80, 80)), (2, "back", (80, 80, 255)))
        ),
        channels=tuple(ChannelSpec(name=f"C{n}", modality="MR") for n in range(channels)),
        spacing_mm=(2.0, 2.0, 2.0),
    )


def _write(folder, manifest, *, spread=False):
    torch.manual_seed(0)
    network = build_network(manifest.network, **manifest.arguments).eval()
    if spread:
        for value in network.parameters():
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=value[0].numel() ** -0.5)
    return write_bundle(folder / manifest.model_id, manifest, network, licence_text="Apache License 2.0\n")
