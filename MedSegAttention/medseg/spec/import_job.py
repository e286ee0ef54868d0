"""One import asked for by another program: a model from elsewhere in, the folder of one of ours out."""

from dataclasses import dataclass, field
from typing import Any

from medseg.spec.manifest import ChannelSpec, IntensityRule, IntTriple, LabelSpec, SliceRule, Triple


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person decides of a new model's manifest; None: it is taken from the imported files, or assumed and said.

    A name, labels and codes given here are never questioned; everything left out is noted where no file says it.
    """

    model_id: str
    title: str | None = None
    labels: tuple[LabelSpec, ...] | None = None
    channels: tuple[ChannelSpec, ...] | None = None
    orientation: str | None = None
    spacing_mm: Triple | None = None
    intensity: IntensityRule | None = None
    window_shape: IntTriple | None = None
    slices: SliceRule | None = None
    licence: str | None = None
    anatomy: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImportJob:
    """What to import, and where it goes.

    Attributes:
        source: folder, ZIP archive or file of weights.
        output: folder of the new model; it must not exist.
        scratch: folder for what is unfinished, on the same file system as ``output``; who asks removes it afterwards.
        choices: what is not to be taken from the files.
        network: of weights alone.
        arguments: of that network, where the shapes do not tell.
        configuration: of nnU-Net, where the source holds several.
        task: of TotalSegmentator, where the source holds several.
        folds: of nnU-Net; None: all that were trained.
    """

    source: str
    output: str
    scratch: str
    choices: Choices
    network: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    configuration: str | None = None
    task: str | None = None
    folds: tuple[str, ...] | None = None
