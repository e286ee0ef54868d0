"""The model card, docs/README.md: everything a person asks before trusting a model, out of its manifest."""

from collections.abc import Iterator, Mapping
from typing import Any

from medseg.spec.manifest import Code, IntensityRule, LabelSpec, ModelManifest, PostprocessRule, SliceRule


def model_card(manifest: ModelManifest) -> str:
    """Write a model card in Markdown; scores and times are listed as the manifest has them, none is made up."""
    sections = (
        ("Intended use", manifest.intended_use),
        ("Segments", _segments(manifest)),
        ("Input", _input(manifest)),
        ("Training data", manifest.training_data),
        ("Scores", _scores(manifest.scores) or "Not measured."),
        ("Measured times", _figures(manifest.timings) or "Not measured."),
        ("Licence", manifest.licence),
        ("Authors", manifest.authors),
        ("References", "\n".join(f"- {reference}" for reference in manifest.references)),
        ("Run it", _run(manifest)),
    )
    head = f"# {manifest.title}\n\n`{manifest.model_id}` {manifest.version}\n\n{manifest.description}\n"
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections if text)


def _segments(manifest: ModelManifest) -> str:
    rows = [f"| {label.value} | {label.name} | {_colour(label)} | {_codes(label)} |" for label in manifest.labels]
    return "\n".join(["| value | segment | colour | codes |", "| --- | --- | --- | --- |", *rows])


def _colour(label: LabelSpec) -> str:
    return "#" + "".join(f"{part:02x}" for part in label.color)


def _codes(label: LabelSpec) -> str:
    codes = (label.type, label.type_modifier, label.region, label.region_modifier)
    return ", ".join(_code(code) for code in codes if code is not None)


def _code(code: Code) -> str:
    return f"{code.meaning} ({code.scheme} {code.value})"


def _input(manifest: ModelManifest) -> str:
    channels = ", ".join(f"{channel.name} ({channel.modality})" for channel in manifest.channels)
    spacing = "the image's own" if manifest.spacing_mm is None else f"{_times(manifest.spacing_mm)} mm"
    mirror = ", ".join("ijk"[axis] for axis in manifest.mirror_axes) or "none"
    lines = (
        f"Channels: {channels}",
        f"Orientation of i, j, k: {manifest.orientation}; spacing: {spacing}",
        f"Intensities: {_intensity(manifest.intensity)}",
        f"Cropped to the body first: {'yes' if manifest.crop_to_body else 'no'}",
        f"Window: {_times(manifest.window_shape)} voxels; overlap {manifest.overlap:g}; mirrored axes: {mirror}",
        *(() if manifest.slices is None else (f"Slices: {_slices(manifest.slices)}",)),
        f"Afterwards: {_afterwards(manifest.postprocess)}",
        f"Network: `{manifest.network}` with {_arguments(manifest.arguments)}",
    )
    return "\n".join(f"- {line}" for line in lines)


def _slices(rule: SliceRule) -> str:
    neighbours = f", each with {rule.context} neighbour(s) on both sides" if rule.context else ""
    size = "resized to the window" if rule.fit == "resize" else "in windows"
    return f"across {'ijk'[rule.axis]}{neighbours}, {size}"


def _times(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)


def _intensity(rule: IntensityRule) -> str:
    of = " over the voxels that are not 0" if rule.nonzero_only else ""
    clip = None if rule.lower is None or rule.upper is None else f"{rule.lower:g} to {rule.upper:g}"
    return {
        "none": "as they are",
        "zscore": f"mean 0 and standard deviation 1 per channel{of}",
        "clip_zscore": f"clipped to {clip}, minus {rule.mean}, over {rule.std}",
        "clip_unit": f"{clip} scaled to 0..1, clipped",
        "percentile": f"percentiles {clip} scaled to 0..1 per channel, clipped",
    }[rule.kind]


def _afterwards(rule: PostprocessRule) -> str:
    steps = (
        "the largest component of each label is kept" if rule.keep_largest else "",
        f"islands below {rule.min_island_mm3:g} mm3 are removed" if rule.min_island_mm3 else "",
        f"holes up to {rule.fill_holes_mm3:g} mm3 are filled" if rule.fill_holes_mm3 else "",
    )
    return "; ".join(filter(None, steps)) or "nothing"


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in arguments.items()) or "its own defaults"


def _scores(scores: Mapping[str, Any]) -> str:
    """One table for each way the cases of a data set were shown, or a plain list where scores are not nested so."""
    if not all(_is_nested(tables, 2) for tables in scores.values()):
        return _figures(scores)
    return "\n\n".join(
        f"{name}, {title}:\n\n{_grid(rows)}" for name, tables in scores.items() for title, rows in tables.items()
    )


def _is_nested(value: object, levels: int) -> bool:
    """Whether a value holds mappings, ``levels`` deep below itself."""
    if not isinstance(value, Mapping):
        return False
    return levels == 0 or all(_is_nested(below, levels - 1) for below in value.values())


def _grid(rows: Mapping[str, Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for title, row in rows.items():
        lines.append(f"| {title} | {' | '.join(_number(row.get(column, '')) for column in columns)} |")
    return "\n".join(lines)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(figures: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in _flat(figures, "")]
    return "\n".join(["| what | value |", "| --- | --- |", *rows]) if rows else ""


def _flat(figures: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        title = f"{above}, {name}" if above else name
        if isinstance(value, Mapping):
            yield from _flat(value, title)
        else:
            yield title, _number(value)


def _run(manifest: ModelManifest) -> str:
    inputs = " ".join(f"{channel.name}.nii.gz" for channel in manifest.channels)
    return (
        f"```\nmedseg segment {inputs} --model {manifest.model_id} --output segmentation.seg.nrrd\n```\n\n"
        "The folder is a MONAI bundle as well; from inside it:\n\n"
        "```\npython -m monai.bundle run --config_file configs/inference.json"
        " --dataset_dir IMAGES --output_dir OUT\n```"
    )
