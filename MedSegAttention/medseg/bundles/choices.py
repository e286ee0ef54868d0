"""What a person decides when a model from elsewhere is imported; everything left out is read or assumed, and said."""

from dataclasses import dataclass

from medseg.bundles.catalogue import Bundle
from medseg.spec.manifest import ChannelSpec, IntensityRule, IntTriple, LabelSpec, Triple


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Fields of the manifest that are not taken from the imported files; None: taken from them."""

    model_id: str
    title: str | None = None
    labels: tuple[LabelSpec, ...] | None = None
    channels: tuple[ChannelSpec, ...] | None = None
    orientation: str | None = None
    spacing_mm: Triple | None = None
    intensity: IntensityRule | None = None
    window_shape: IntTriple | None = None
    licence: str | None = None
    anatomy: str | None = None


@dataclass(frozen=True)
class Imported:
    """A new bundle, and one sentence for each thing that was assumed or left out."""

    bundle: Bundle
    notes: tuple[str, ...]
