"""The card of a model as text: one line that says what it finds, and the rest as HTML. No Qt."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from medseg.bundles.card import Grid, import_lines, score_grids, timing_rows
from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.model_filter import dimensions, weights_mb
from medseg.desktop.state.texts import _
from medseg.spec.manifest import LabelSpec, ModelManifest
from medseg.spec.postprocess import PostprocessRule

_NAMED = 4  # labels that the one line names
_SCORES = ("dice", "hd95")  # beginnings of the metrics that a table of several has room for


def one_line(manifest: ModelManifest) -> str:
    """What a model segments in what, e.g. "Segments liver, spleen in CT"."""
    names = [label.name for label in manifest.labels]
    labels = ", ".join(names[:_NAMED])
    if len(names) > _NAMED:
        labels = _("{labels} and {count} more").format(labels=labels, count=len(names) - _NAMED)
    return _("Segments {labels} in {channels}").format(labels=labels, channels=channel_names(manifest))


def channel_names(manifest: ModelManifest) -> str:
    """The inputs with their modality, e.g. "T1 (MR), FLAIR (MR)"."""
    return ", ".join(
        channel.modality if channel.name == channel.modality else f"{channel.name} ({channel.modality})"
        for channel in manifest.channels
    )


def card_html(bundle: Bundle) -> str:
    """Everything else a person asks before trusting a model; each text of the manifest is escaped."""
    manifest = bundle.manifest
    times = "<br>".join(f"{escape(name)}: {value}" for name, value in timing_rows(manifest.timings))
    sections = (
        ("", escape(manifest.description)),
        (_("Segments"), _labels(manifest.labels)),
        (_("Input"), escape(channel_names(manifest))),
        (_("Intended use"), escape(manifest.intended_use)),
        (_("Measured scores"), "".join(map(_table, score_grids(manifest.scores))) or escape(_("Not measured."))),
        (_("Measured times"), times or escape(_("Not measured."))),
        (_("Training data"), escape(manifest.training_data)),
        (_("Clean-up"), escape(describe_postprocess(manifest.postprocess))),
        (_("Size"), escape(_size(bundle))),
        (_("Verified on import"), "<br>".join(map(escape, import_lines(manifest.imported)))),
        (_("Origin"), escape(origin_line(bundle))),
        (_("Licence"), escape(manifest.licence)),
        (_("Authors"), escape(manifest.authors)),
        (_("References"), "<br>".join(map(escape, manifest.references))),
        (_("Model id"), escape(f"{manifest.model_id} {manifest.version}")),
    )
    return "".join(_section(title, html) for title, html in sections if html)


def origin_line(bundle: Bundle) -> str:
    """Whose a model is, and where it lies."""
    whose = {
        "built-in": _("comes with the program"),
        "shared": _("shared by others, only read"),
        "own": _("your own"),
    }
    return f"{whose[bundle.origin]}: {bundle.folder}"


def describe_postprocess(rule: PostprocessRule) -> str:
    """What is done to the labels at the end, in words."""
    volume = "{:g} mm³"
    steps = (
        _("only the largest piece of each segment is kept") if rule.keep_largest else "",
        _("pieces below {volume} are removed").format(volume=volume.format(rule.min_island_mm3))
        if rule.min_island_mm3
        else "",
        _("holes up to {volume} are filled").format(volume=volume.format(rule.fill_holes_mm3))
        if rule.fill_holes_mm3
        else "",
    )
    said = "; ".join(filter(None, steps))
    return said or _("nothing is done")


def picture_of(bundle: Bundle) -> Path | None:
    """The first picture in the bundle's ``docs`` folder; None where there is none."""
    return next(iter(sorted((bundle.folder / "docs").glob("*.png"))), None)


def _section(title: str, html: str) -> str:
    if not title:
        return f"<p>{html}</p>"
    head = f"<b>{escape(title)}</b>"
    return f"<p>{head}</p>{html}" if "<table" in html else f"<p>{head}<br>{html}</p>"


def _labels(labels: Iterable[LabelSpec]) -> str:
    rows = (
        f'<tr><td bgcolor="#{bytes(label.color).hex()}">&nbsp;&nbsp;&nbsp;&nbsp;</td><td>{escape(label.name)}</td>'
        f"<td>{escape(_codes(label))}</td></tr>"
        for label in labels
    )
    head = (
        f"<tr><th></th><th align='left'>{escape(_('Name'))}</th><th align='left'>{escape(_('Terminology'))}</th></tr>"
    )
    return f"<table cellpadding='3'>{head}{''.join(rows)}</table>"


def _codes(label: LabelSpec) -> str:
    codes = filter(None, (label.type, label.type_modifier, label.region, label.region_modifier))
    schemes = {"SCT": "SNOMED"}
    return ", ".join(f"{code.meaning} ({schemes.get(code.scheme, code.scheme)} {code.value})" for code in codes)


def _size(bundle: Bundle) -> str:
    size_mb = weights_mb(bundle)
    weights = _("weights are not there") if size_mb is None else _("{size:.3g} MB of weights").format(size=size_mb)
    window = " × ".join(map(str, bundle.manifest.window_shape))
    return _("{weights}, {dimensions} network, windows of {window} voxels").format(
        weights=weights, dimensions=dimensions(bundle.manifest), window=window
    )


def _table(grid: Grid) -> str:
    """The metrics that a narrow panel has room for, or all where none of them is there."""
    wanted = [n for n, title in enumerate(grid.columns) if title.casefold().startswith(_SCORES)]
    columns = wanted or range(len(grid.columns))
    head = "".join(f"<th align='right'>{escape(grid.columns[n])}</th>" for n in columns)
    body = ""
    for name, *values in grid.rows:
        numbers = "".join(f"<td align='right'>{escape(values[n])}</td>" for n in columns)
        body += f"<tr><td>{escape(name)}</td>{numbers}</tr>"
    return f"<p>{escape(grid.title)}</p><table cellpadding='3'><tr><th></th>{head}</tr>{body}</table>"
