"""Finding a model among many: words that are searched for, and chips for what models have in common. No Qt."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from medseg.bundles.catalogue import Bundle
from medseg.bundles.stages import weights_files
from medseg.spec.manifest import ModelManifest

Facet: TypeAlias = Literal["modality", "anatomy", "dimensions", "size"]
FACETS: tuple[Facet, ...] = ("modality", "anatomy", "dimensions", "size")
SIZES_MB: dict[str, float] = {"small": 20.0, "medium": 100.0, "large": float("inf")}  # file of weights below this
MOST_CHIPS = 6  # of one facet; what is rarer is found by its name
_START_ONLY = 3  # words up to this long must begin a word: "ct" is not in "structure"


@dataclass(frozen=True)
class Entry:
    """What a model can be found by."""

    model_id: str
    title: str
    words: str  # folded, for the search
    values: frozenset[tuple[Facet, str]]


@dataclass(frozen=True)
class Filter:
    """What is looked for; nothing finds every model."""

    words: str = ""  # all of them must be found
    chips: frozenset[tuple[Facet, str]] = frozenset()  # any of one facet, and every facet

    def toggled(self, facet: Facet, value: str) -> "Filter":
        """The same with one chip changed."""
        return Filter(self.words, self.chips ^ {(facet, value)})


@dataclass(frozen=True)
class Chip:
    """One value that some models have and others have not."""

    facet: Facet
    value: str
    count: int  # models left when this is chosen, the other facets and the words staying as they are


def make_entry(bundle: Bundle) -> Entry:
    """Describe a bundle for the search; looks at the size of its file of weights."""
    manifest = bundle.manifest
    values: set[tuple[Facet, str]] = {("modality", channel.modality) for channel in manifest.channels}
    parts = (part.strip().casefold() for part in re.split(r"[,;]", manifest.anatomy))  # e.g. "liver, spleen"
    values |= {("anatomy", part) for part in parts if part}
    values.add(("dimensions", dimensions(manifest)))
    if (size := size_class(weights_mb(bundle))) is not None:
        values.add(("size", size))
    return Entry(manifest.model_id, manifest.title, fold(" ".join(_texts(manifest))), frozenset(values))


def matching(entries: Iterable[Entry], wanted: Filter) -> list[Entry]:
    """The entries that a filter lets through, in their order."""
    words, facets_asked = fold(wanted.words).split(), {facet for facet, _ in wanted.chips}
    return [
        entry
        for entry in entries
        if all(_has_word(entry.words, word) for word in words)
        and all(entry.values & {chip for chip in wanted.chips if chip[0] == facet} for facet in facets_asked)
    ]


def facets(entries: Sequence[Entry], wanted: Filter = Filter()) -> tuple[Chip, ...]:
    """The chips worth showing: values that exist, of facets in which models differ, the commonest first.

    Args:
        entries: all models.
        wanted: what is looked for now; decides the counts, not which chips there are.

    Returns:
        At most ``MOST_CHIPS`` of each facet, facets in the order of ``FACETS``; those of ``wanted`` always.
    """
    return tuple(chip for facet in FACETS for chip in _facet(entries, wanted, facet))


def dimensions(manifest: ModelManifest) -> str:
    """Whether the network looks at slices, "2D", or at volumes, "3D"."""
    said = manifest.arguments.get("spatial_dims")
    if said in (2, 3):
        return f"{said}D"
    flat = 1 in manifest.window_shape or re.search(r"(^|_)2d(_|$)", manifest.network)
    return "2D" if flat else "3D"


def weights_mb(bundle: Bundle) -> float | None:
    """Size of the weights in MB (10^6 bytes), of all stages; None where a file is not there."""
    try:
        return sum(path.stat().st_size for path in weights_files(bundle)) / 1e6
    except OSError:
        return None


def size_class(size_mb: float | None) -> str | None:
    """A key of ``SIZES_MB``; None for an unknown size."""
    if size_mb is None:
        return None
    return next(name for name, below_mb in SIZES_MB.items() if size_mb < below_mb)


def fold(text: str) -> str:
    """Without accents and without upper case: what a person may type for it."""
    spread = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in spread if not unicodedata.combining(letter)).casefold()


def _texts(manifest: ModelManifest) -> Iterator[str]:
    yield from (manifest.title, manifest.model_id, manifest.anatomy, manifest.description)
    for channel in manifest.channels:
        yield from (channel.name, channel.modality)
    for label in manifest.labels:
        yield label.name
        codes = (label.category, label.type, label.type_modifier, label.region, label.region_modifier)
        yield from (code.meaning for code in codes if code is not None)


def _has_word(text: str, word: str) -> bool:
    if len(word) > _START_ONLY:
        return word in text
    return re.search(rf"(?<![^\W_]){re.escape(word)}", text) is not None


def _facet(entries: Sequence[Entry], wanted: Filter, facet: Facet) -> list[Chip]:
    everywhere = _values(entries, facet)
    chosen = {value for name, value in wanted.chips if name == facet}
    telling = [value for value, count in everywhere.items() if count < len(entries)]
    shown = {*sorted(telling, key=lambda value: (-everywhere[value], value))[:MOST_CHIPS], *chosen}
    others = frozenset(chip for chip in wanted.chips if chip[0] != facet)
    left = _values(matching(entries, Filter(wanted.words, others)), facet)
    order = list(SIZES_MB) if facet == "size" else sorted(shown, key=lambda value: (-everywhere[value], value))
    return [Chip(facet, value, left[value]) for value in order if value in shown]


def _values(entries: Iterable[Entry], facet: Facet) -> Counter[str]:
    return Counter(value for entry in entries for name, value in entry.values if name == facet)
