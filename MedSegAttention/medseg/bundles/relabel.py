"""Names, colours and codes of a model's segments, changed by a person, who is told of each change."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medseg.bundles.anatomy import SIDES, Term, get_term, suggest
from medseg.bundles.label_specs import coded
from medseg.spec.errors import JobError
from medseg.spec.labels import Code, IntTriple, LabelSpec
from medseg.spec.manifest import ModelManifest
from medseg.spec.measured import DatasetScores, ScoreTable

_CODE = re.compile(r"(?P<scheme>\w+):(?P<value>[\w.-]+):(?P<meaning>.+)")


@dataclass(frozen=True)
class LabelChange:
    """What becomes of one segment; None: it stays.

    Attributes:
        name: its name.
        color: as #rrggbb.
        code: an anatomical term, e.g. "left kidney", or a code as SCHEME:VALUE:MEANING.
    """

    name: str | None = None
    color: str | None = None
    code: str | None = None


def relabelled(manifest: ModelManifest, changes: Mapping[int, LabelChange]) -> ModelManifest:
    """The manifest with other words for its segments; scores keep their rows under the new names.

    Args:
        manifest: of the model.
        changes: by the value of the segment.

    Raises:
        JobError: for a value that no segment has, or a model whose boxes name its segments themselves.
        ManifestError: for a colour, term or code that is none, or names that are the same.
    """
    known = [label.value for label in manifest.labels]
    if unknown := sorted(set(changes) - set(known)):
        msg = f"{manifest.model_id} has no segment of value {unknown[0]}; its values are {', '.join(map(str, known))}"
        raise JobError(msg)
    if manifest.locate is not None and any(box.labels for box in manifest.locate.boxes):
        msg = f"{manifest.model_id} names its segments in each box where it is located; change its metadata.json"
        raise JobError(msg)
    labels = tuple(_changed(label, changes.get(label.value, LabelChange())) for label in manifest.labels)
    names = {old.name: new.name for old, new in zip(manifest.labels, labels, strict=True)}
    return replace(manifest, labels=labels, scores=tuple(_renamed(each, names) for each in manifest.scores))


def suggested_terms(label: LabelSpec) -> list[Term]:
    """Terms for a segment that has not got one of them yet, the likeliest first."""
    return [
        term for term in suggest(label.name) if (term.type, term.type_modifier) != (label.type, label.type_modifier)
    ]


def suggested_changes(labels: Sequence[LabelSpec]) -> dict[int, LabelChange]:
    """The likeliest term for each segment without one of its own: codes, and the term's colour where it is free."""
    taken = {label.color for label in labels}
    changes: dict[int, LabelChange] = {}
    for label in labels:
        found = suggested_terms(label)
        if not found:
            continue
        color = found[0].color if found[0].color not in taken else None
        taken |= {color} if color is not None else set()
        changes[label.value] = LabelChange(code=found[0].name, color=None if color is None else color_text(color))
    return changes


def difference_lines(before: Sequence[LabelSpec], after: Sequence[LabelSpec]) -> list[str]:
    """One line for each word that differs, e.g. "2: code SCT 85756007 Tissue -> SCT 64033007 Kidney, Left"."""
    lines = []
    for old, new in zip(before, after, strict=True):
        pairs = (
            ("name", old.name, new.name),
            ("colour", color_text(old.color), color_text(new.color)),
            ("code", code_text(old), code_text(new)),
        )
        lines += [f"{old.value}: {what} {was} -> {now}" for what, was, now in pairs if was != now]
    return lines


def color_text(color: IntTriple) -> str:
    """A colour as #rrggbb."""
    return f"#{bytes(color).hex()}"


def code_text(label: LabelSpec) -> str:
    """The codes of a segment in words, as ``LabelChange.code`` takes the first of them."""
    codes = [label.type_modifier, label.region, label.region_modifier]
    others = "".join(f", {code.meaning}" for code in codes if code is not None)
    return f"{label.type.scheme}:{label.type.value}:{label.type.meaning}{others}"


def _changed(label: LabelSpec, change: LabelChange) -> LabelSpec:
    if change.name is not None:
        label = replace(label, name=change.name.strip())
    if change.color is not None:
        label = replace(label, color=read_color(change.color))
    if change.code is None or change.code.strip() == code_text(label):
        return label
    match = _CODE.fullmatch(change.code.strip())
    if match is None:
        return coded(label, get_term(change.code))
    meaning, _, side = match["meaning"].strip().rpartition(", ")
    modifier = SIDES.get(side.lower()) if meaning else None
    code = Code(match["scheme"], match["value"], meaning if modifier else match["meaning"].strip())
    return replace(label, type=code, type_modifier=modifier, region=None, region_modifier=None)


def read_color(text: str) -> IntTriple:
    """A colour from #rrggbb.

    Raises:
        JobError: if it is none.
    """
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text.strip()) is None:
        msg = f"a colour is written #rrggbb, got {text!r}; e.g. #dd8265"
        raise JobError(msg)
    red, green, blue = bytes.fromhex(text.strip()[1:])
    return red, green, blue


def _renamed(scores: DatasetScores, names: Mapping[str, str]) -> DatasetScores:
    return replace(
        scores,
        plain=_renamed_rows(scores.plain, names),
        mirrored=None if scores.mirrored is None else _renamed_rows(scores.mirrored, names),
        volume_bias=tuple(replace(each, segment=names.get(each.segment, each.segment)) for each in scores.volume_bias),
        area_bias=tuple(replace(each, segment=names.get(each.segment, each.segment)) for each in scores.area_bias),
    )


def _renamed_rows(table: ScoreTable, names: Mapping[str, str]) -> ScoreTable:
    rows = tuple(replace(each, segment=names.get(each.segment, each.segment)) for each in table.segments)
    return replace(table, segments=rows)
