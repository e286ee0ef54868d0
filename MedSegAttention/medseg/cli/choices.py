"""The flags that every command with a network has, and what their texts mean."""

from typing import Annotated

import typer

from medseg.spec.errors import JobError
from medseg.spec.manifest import PostprocessRule

ModelId = Annotated[str, typer.Option("--model", "-m", help="Id of a model; see 'medseg models'.")]
Region = Annotated[str | None, typer.Option(help="R-,R+,A-,A+,S-,S+ in mm: segment only this region.")]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps")]
Overlap = Annotated[float | None, typer.Option(help="Share of a window its neighbour sees, 0 to 0.9.")]
Mirror = Annotated[bool | None, typer.Option("--mirror/--no-mirror", help="Average over flipped copies.")]
PrecisionName = Annotated[str, typer.Option(help="float32, bfloat16 or float16")]
EngineChoice = Annotated[
    str, typer.Option("--engine", help="auto, torch or openvino: what runs the network on a processor.")
]
WindowBatch = Annotated[int, typer.Option(help="Windows computed at a time.")]
Coarser = Annotated[float | None, typer.Option(help="Voxels 1 to 8 times larger than the model's: faster.")]
Quick = Annotated[bool, typer.Option("--quick", help="A preview: the same as --spacing-factor 2.")]
KeepLargest = Annotated[
    bool | None, typer.Option("--keep-largest/--no-keep-largest", help="Keep the largest part of each segment.")
]
MinIsland = Annotated[float | None, typer.Option(help="Remove smaller parts.")]
FillHoles = Annotated[float | None, typer.Option(help="Fill holes up to this size.")]

_QUICK = 2.0  # how many times larger the voxels of a preview are


def read_spacing_factor(spacing_factor: float | None, *, quick: bool) -> float:
    """How many times larger than the model's the voxels are.

    Raises:
        JobError: if both flags were given.
    """
    if quick and spacing_factor is not None:
        msg = f"--quick means --spacing-factor {_QUICK:g}, and {spacing_factor:g} was given too; leave one of them out"
        raise JobError(msg)
    return _QUICK if quick else 1.0 if spacing_factor is None else spacing_factor


def read_roi(text: str | None) -> tuple[float, float, float, float, float, float] | None:
    """Six numbers with commas; None for none.

    Raises:
        JobError: if they are not six numbers.
    """
    if text is None:
        return None
    try:
        r0, r1, a0, a1, s0, s1 = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"--roi takes six numbers R-,R+,A-,A+,S-,S+ in mm, got {text!r}; write e.g. --roi=-40,0,-50,10,-40,20"
        raise JobError(msg) from error
    return r0, r1, a0, a1, s0, s1


def changed_rule(
    model: str, keep_largest: bool | None, min_island_mm3: float | None, fill_holes_mm3: float | None
) -> PostprocessRule | None:
    """Replace what was given in the model's own rule; None when nothing was."""
    if keep_largest is None and min_island_mm3 is None and fill_holes_mm3 is None:
        return None
    from medseg.bundles.catalogue import find_bundle

    own = find_bundle(model).manifest.postprocess
    return PostprocessRule(
        keep_largest=own.keep_largest if keep_largest is None else keep_largest,
        min_island_mm3=own.min_island_mm3 if min_island_mm3 is None else min_island_mm3,
        fill_holes_mm3=own.fill_holes_mm3 if fill_holes_mm3 is None else fill_holes_mm3,
    )
