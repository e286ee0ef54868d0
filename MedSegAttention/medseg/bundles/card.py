"""The model card, docs/README.md: everything a person asks before trusting a model, out of its manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medseg.spec.imported import ImportRecord
from medseg.spec.locating import LocateRule
from medseg.spec.manifest import IntensityRule, ModelManifest, SliceRule
from medseg.spec.measured import CaseDice, DatasetScores, Estimate, ScoreTable, Timing
from medseg.spec.monai import IntensityStep, MonaiRule
from medseg.spec.postprocess import PostprocessRule
from medseg.spec.stages import Composition

# field of SegmentScores, title, digits of its interval
_FIGURES = (
    ("dice", "Dice", 4),
    ("surface_dice", "surface Dice at 1 mm", 4),
    ("hd95_mm", "HD95 mm", 3),
    ("volume_difference_percent", "volume difference %", 2),
)
_KINDS = {"nnunet": "a model of nnU-Net v2", "monai": "a MONAI bundle", "weights": "weights alone"}


@dataclass(frozen=True)
class Grid:
    """A table of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # each begins with its name, which has no column title


def model_card(manifest: ModelManifest) -> str:
    """Write a model card in Markdown; scores and times are those of the manifest, none is made up."""
    sections = (
        ("Intended use", manifest.intended_use),
        ("Segments", _segments(manifest)),
        ("Input", _input(manifest)),
        ("Training data", manifest.training_data),
        ("Scores", "\n\n".join(map(_markdown, score_grids(manifest.scores))) or "Not measured."),
        ("Measured times", _times_table(manifest.timings) or "Not measured."),
        ("Verified on import", _listing(import_lines(manifest.imported))),
        ("Licence", manifest.licence),
        ("Authors", manifest.authors),
        ("References", _listing(manifest.references)),
        ("Run it", _run(manifest)),
    )
    head = f"# {manifest.title}\n\n`{manifest.model_id}` {manifest.version}\n\n{manifest.description}\n"
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections if text)


def import_lines(record: ImportRecord | None) -> list[str]:
    """What was verified of a model from elsewhere, what was not, and what had to be assumed; nothing of our own."""
    if record is None:
        return []
    digest = f", SHA-256 {record.sha256}" if record.sha256 else ""
    folds = f" of {record.networks} networks, which are averaged" if record.networks > 1 else ""
    return [
        f"From {record.source}, {_KINDS[record.kind]}{digest}",
        "Nothing of it was run: configurations were read as values, weights by a reader that makes no objects",
        f"Each of its {record.tensors} weight tensors{folds} has the name and shape that the network asks for, and "
        "finite numbers",
        "One window of noise went through the network: as many outputs as labels, all of them finite",
        "Not verified: how well it segments; no scan was compared",
        *(f"Assumed, since no file said it: {note}" for note in record.assumed),
    ]


def _listing(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _segments(manifest: ModelManifest) -> str:
    rows = []
    for label in manifest.labels:
        codes = filter(None, (label.type, label.type_modifier, label.region, label.region_modifier))
        named = ", ".join(f"{code.meaning} ({code.scheme} {code.value})" for code in codes)
        rows.append(f"| {label.value} | {label.name} | #{bytes(label.color).hex()} | {named} |")
    table = "\n".join(["| value | segment | colour | codes |", "| --- | --- | --- | --- |", *rows])
    if manifest.overlapping is not None:
        table += (
            f"\n\nSegments may overlap: a voxel belongs to each whose probability is at least "
            f"{manifest.overlapping.threshold:.3g}. In formats of one number a voxel they are painted in the order "
            f"{', '.join(label.name for label in manifest.painted_labels)}; .seg.nrrd and Slicer keep each whole."
        )
    if manifest.locate is None or manifest.located_labels == manifest.labels:
        return table
    located = _segments(replace(manifest, labels=manifest.located_labels, locate=None))
    return f"In a crop:\n\n{table}\n\nIn a whole image, in which the model is located first:\n\n{located}"


def _locate(rule: LocateRule) -> str:
    boxes = ", ".join(box.name for box in rule.boxes)
    degrees = rule.straighten_from_deg
    straight = f", straightened if the head is turned by {degrees:g} degrees or more" if degrees > 0 else ""
    times = {0: "", 1: "once more", 2: "at most twice more"}.get(rule.refine, f"at most {rule.refine} times more")
    again = times and f"; then {times} with {rule.refine_margin_mm:g} mm around what it found there"
    return (
        f"where an image has a side of {rule.crop_below_mm:g} mm or more and no region is given, the template "
        f"`{rule.template}` is registered to it (rigid, then affine) and the network sees these boxes: {boxes}"
        f"{straight}{again}"
    )


def _stages(composition: Composition) -> Iterator[str]:
    """Say of each stage what it is shown and what of its answer counts."""
    for number, stage in enumerate(composition.stages, start=1):
        shown = "the whole image"
        if stage.within is not None:
            labels = ", ".join(stage.within.labels) or "everything"
            shown = f"a box {stage.within.margin_mm:g} mm around {labels} of `{stage.within.stage}`"
        if stage.previous:
            shown += f" and the labels of `{stage.previous}`"
        count = len(stage.answers)
        gives = f"gives {count} segment{'' if count == 1 else 's'}" if count else "helps the others"
        yield f"Stage {number}, `{stage.name}` (`stages/{stage.place}`): is shown {shown}; {gives}"
    joins = {"overwrite": "later stages overwrite earlier ones", "mean": "probabilities are averaged"}
    yield f"Joined: {joins[composition.join]}; one stage is in memory at a time"


def _input(manifest: ModelManifest) -> str:
    channels = ", ".join(f"{channel.name} ({channel.modality})" for channel in manifest.channels)
    spacing = "the image's own" if manifest.spacing_mm is None else f"{_times(manifest.spacing_mm)} mm"
    mirror = ", ".join("ijk"[axis] for axis in manifest.mirror_axes) or "none"
    rule = manifest.monai
    orientation = manifest.orientation if rule is None or rule.reorients else "that of the image"
    spacing = spacing if rule is None or rule.resize == "no" else "the image resized to the window"
    intensities = _intensity(manifest.intensity) if rule is None else monai_intensities(rule)
    arguments = ", ".join(f"`{name}={value}`" for name, value in manifest.arguments.items()) or "its own defaults"
    if manifest.composition is not None:
        staged = (
            f"Channels: {channels}",
            *_stages(manifest.composition),
            f"Afterwards: {_afterwards(manifest.postprocess)}",
        )
        return "\n".join(f"- {line}" for line in staged)
    lines = (
        f"Channels: {channels}",
        f"Orientation of i, j, k: {orientation}; spacing: {spacing}",
        f"Intensities: {intensities}",
        f"Cropped to the body first: {'yes' if manifest.crop_to_body else 'no'}",
        f"Window: {_times(manifest.window_shape)} voxels; overlap {manifest.overlap:g}; mirrored axes: {mirror}",
        *(() if manifest.locate is None else (f"Located: {_locate(manifest.locate)}",)),
        *(() if manifest.slices is None else (f"Slices: {_slices(manifest.slices)}",)),
        f"Afterwards: {_afterwards(manifest.postprocess)}",
        f"Network: `{manifest.network}` with {arguments}",
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


def monai_intensities(rule: MonaiRule) -> str:
    """What a MONAI bundle does to intensities, step by step."""
    return ", then ".join(map(_step, rule.steps)) or "as they are"


def _step(step: IntensityStep) -> str:
    each = " per channel" if step.by_channel else ""
    of = " over the voxels that are not 0" if step.nonzero else ""
    low, high = (0.0, 1.0) if step.low is None or step.high is None else (step.low, step.high)
    to = f"{low:g}..{high:g}{', clipped' if step.clip else ''}"
    match step.kind:
        case "normalise" if step.mean is None and step.std is None:
            return f"mean 0 and standard deviation 1{each}{of}"
        case "normalise":
            return f"minus {step.mean or 0:g}, over {1 if step.std is None else step.std:g}{of}"
        case "scale":
            return f"the whole range scaled to {to}{each}"
        case "range":
            return f"{step.lower:g} to {step.upper:g} scaled to {to}"
    return f"percentiles {step.lower:g} to {step.upper:g} scaled to {to}{each}"


def _afterwards(rule: PostprocessRule) -> str:
    steps = (
        "the largest component of each label is kept" if rule.keep_largest else "",
        f"islands below {rule.min_island_mm3:g} mm3 are removed" if rule.min_island_mm3 else "",
        f"holes up to {rule.fill_holes_mm3:g} mm3 are filled" if rule.fill_holes_mm3 else "",
    )
    return "; ".join(filter(None, steps)) or "nothing"


def score_grids(scores: Sequence[DatasetScores]) -> list[Grid]:
    """Tables of scores: for each data set one for each way its cases were shown, then bias and worst cases."""
    grids = []
    for each in scores:
        grids.append(_score_grid(f"{each.dataset}, as they are", each.plain))
        if each.mirrored is not None:
            grids.append(_score_grid(f"{each.dataset}, left and right exchanged", each.mirrored))
        if each.volume_bias:
            columns = ("mean difference ml", "95 %", "limits of agreement ml")
            rows = tuple(
                _bias_row(bias.segment, bias.difference_ml, bias.limits_of_agreement_ml) for bias in each.volume_bias
            )
            grids.append(Grid(f"{each.dataset}, volume bias", columns, rows))
        if each.area_bias:
            columns = ("mean difference cm2", "95 %", "limits of agreement cm2")
            rows = tuple(
                _bias_row(bias.segment, bias.difference_cm2, bias.limits_of_agreement_cm2) for bias in each.area_bias
            )
            grids.append(Grid(f"{each.dataset}, area bias", columns, rows))
        if each.worst_cases:
            columns = ("Dice", *(("expert (left), model (right)",) if any(c.picture for c in each.worst_cases) else ()))
            rows = tuple(_case_row(case)[: 1 + len(columns)] for case in each.worst_cases)
            grids.append(Grid(f"{each.dataset}, worst cases", columns, rows))
    return grids


def timing_rows(timings: Sequence[Timing]) -> list[tuple[str, str]]:
    """What was measured on which device, and the figure; those that are not known are left out."""
    figures = (
        ("seconds_per_case", "seconds a case, median"),
        ("seconds_per_window", "seconds a window, one pass, median"),
        ("peak_memory_mib", "most memory, MiB"),
        ("window_memory_mib", "MiB a window"),
    )
    return [
        (f"{title} ({timing.device} ({timing.device_kind}))", f"{getattr(timing, name):g}")
        for timing in timings
        for name, title in figures
        if getattr(timing, name) is not None
    ]


def _score_grid(title: str, table: ScoreTable) -> Grid:
    columns = tuple(column for _, name, _ in _FIGURES for column in (name, f"{name}, 95 %"))
    rows = [
        (each.segment, *(cell for name, _, digits in _FIGURES for cell in _cells(getattr(each, name), digits)))
        for each in table.segments
    ]
    mean = {"dice": table.mean_dice, "hd95_mm": Estimate(table.mean_hd95_mm)}
    means = (cell for name, _, digits in _FIGURES for cell in _cells(mean.get(name, Estimate()), digits))
    return Grid(title, columns, (*rows, ("mean", *means)))


def _bias_row(segment: str, difference: Estimate, limits: tuple[float, float] | None) -> tuple[str, ...]:
    return (segment, *_cells(difference, 4), _cells(Estimate(None, *(limits or (None, None))), 4)[1])


def _case_row(case: CaseDice) -> tuple[str, ...]:
    return case.case, _number(case.dice), f"![{case.case}]({case.picture})" if case.picture else ""


def _cells(estimate: Estimate, digits: int) -> tuple[str, str]:
    """The mean and its interval in words; nothing where it is not known."""
    known = estimate.low is not None and estimate.high is not None
    return _number(estimate.mean), f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}" if known else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _markdown(grid: Grid) -> str:
    lines = (f"{grid.title}:\n", f"| | {' | '.join(grid.columns)} |", f"| --- |{' --- |' * len(grid.columns)}")
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in grid.rows)])


def _times_table(timings: Sequence[Timing]) -> str:
    rows = [f"| {name} | {value} |" for name, value in timing_rows(timings)]
    return "\n".join(["| what | value |", "| --- | --- |", *rows]) if rows else ""


def _run(manifest: ModelManifest) -> str:
    inputs = " ".join(f"{channel.name}.nii.gz" for channel in manifest.channels)
    return (
        f"```\nmedseg segment {inputs} --model {manifest.model_id} --output segmentation.seg.nrrd\n```\n\n"
        "The folder is a MONAI bundle as well; from inside it:\n\n"
        "```\npython -m monai.bundle run --config_file configs/inference.json"
        " --dataset_dir IMAGES --output_dir OUT\n```"
    )
