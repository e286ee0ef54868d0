"""Part: whole volumes from file to file, ours against MONAI's and nnU-Net's; also stage by stage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg.io.read import read_labels
from medseg.kernels.engines.compiled_cache import ENVIRONMENT_NAME
from performance.child import ChildFailed, in_child
from performance.peers import ties_beside
from performance.phantom import write_model, write_scan
from performance.rows import Bar, Grid, Part, Row, Table, times_as_fast
from performance.setting import Setting, Volume
from performance.telling import tell

STAGES = ("read", "preprocess", "get ready", "network", "stitch", "decode", "restore", "postprocess", "write", "total")
BAR_SHAPE, BAR_LABELS = (512, 512, 200), 14
LEAST_FASTER, AIM = 2.5, 4.0
MOST_DIFFERENT = 1e-7  # of the voxels
OTHER, OTHER_CLEAR = "other labels a million", "near ties aside"
NOTE = (
    "One run each, file to file. MONAI, nnU-Net and the plain path run the network in eager PyTorch. Every method "
    "has the same weights, window, overlap {overlap} and one window at a time. Memory is beyond a process with the "
    'network loaded, in all and from the first window to the labels. "ours, auto" uses a network that was compiled '
    "before. Labels are compared with the plain path, which sums our windows over the whole volume in float32; MONAI "
    "and nnU-Net lay or weigh windows otherwise, so theirs are not compared. A near tie is a voxel whose two likeliest "
    "labels are less than 0.0001 standard deviations of the logits apart; random weights have many."
)


def measure(setting: Setting) -> Part:
    """Every volume with every method, each run in a process of its own."""
    models = setting.folder / "models"
    tables, grids, bars, notes = [], [], [], []
    for case in setting.volumes:
        scan = setting.folder / f"{'x'.join(map(str, case.shape))}.nii.gz"
        if not scan.exists():
            write_scan(scan, case.shape)
        model = f"base-{case.labels}"
        if not (models / model).exists():
            write_model(models, model, labels=case.labels, window=setting.cube, overlap=setting.overlap)
        table, answers, failures = one_case(setting, case, scan, model)
        notes += failures
        if table.rows:
            tables.append(table)
        if case.stages and answers:
            grids.append(stage_grid(case, answers))
        bars += bars_of(case, table)
    return Part("volumes", tuple(tables), tuple(grids), tuple(bars), notes=tuple(notes))


def one_case(
    setting: Setting, case: Volume, scan: Path, model: str
) -> tuple[Table, Mapping[str, dict[str, Any]], list[str]]:
    """One volume with every method."""
    environment = {"MEDSEG_MODELS": str(setting.folder / "models"), ENVIRONMENT_NAME: str(setting.folder / model)}
    kind = "processor" if case.threads == 1 else "wall"
    answers: dict[str, dict[str, Any]] = {}
    outputs: dict[str, Path] = {}
    failures = []
    if "ours, auto" in case.methods:
        in_child("performance.volumes:compile_model", threads=1, environment=environment, model=model)
    for method in case.methods:
        output = setting.folder / f"{scan.name[:-7]}-{case.labels}-{method.replace(', ', '-').replace(' ', '-')}.nii.gz"
        output.unlink(missing_ok=True)
        asked = {"method": method, "model": model, "scan": str(scan), "output": str(output)}
        try:
            answers[method] = in_child(
                "performance.peers:volume", threads=case.threads, environment=environment, **asked
            )
        except ChildFailed as failed:
            failures.append(f"{method} on {named(case)}: not measured, {failed}")
            tell(f"  {failures[-1]}")
            continue
        outputs[method] = output
        tell(f"  {method} on {named(case)}: {answers[method]['wall']['total']:.0f} s")
    rows = []
    for method, answer in answers.items():
        total, network = answer[kind]["total"], answer[kind].get("network", 0.0)
        cells = {"network s": f"{network:.1f}", "beyond the network s": f"{total - network:.1f}"}
        cells["windows MiB"] = "-" if answer["windows_mib"] is None else f"{answer['windows_mib']:.0f}"
        cells |= differing(outputs, method)
        rows.append(Row(method, (total,), answer["peak_mib"], cells))
    key = f"volume-{scan.name[:-7]}-{case.labels}-{case.threads}"
    note = NOTE.format(overlap=setting.overlap)
    return Table(key, named(case), kind, case.threads, tuple(rows), note), answers, failures  # type: ignore[arg-type]


def compile_model(model: str) -> None:
    """In a child: leave the compiled network where the timed runs find it."""
    import torch

    from medseg.bundles.catalogue import find_bundle
    from medseg.bundles.weights import load_network
    from medseg.inference.predictor import network_shape
    from medseg.kernels.engines.make import make_engine

    bundle = find_bundle(model)
    make_engine(load_network(bundle), network_shape(bundle.manifest), device=torch.device("cpu"))


def differing(outputs: Mapping[str, Path], method: str) -> dict[str, str]:
    """How many voxels of a million got another label than by the plain path, in all and beyond near ties."""
    if "plain path" not in outputs:
        return {}
    if not method.startswith("ours"):
        return {OTHER: "", OTHER_CLEAR: ""}
    different = read_labels(outputs[method]).array[0] != read_labels(outputs["plain path"]).array[0]
    clear = different & ~np.load(ties_beside(outputs["plain path"]))
    return {OTHER: f"{1e6 * different.mean():.2f}", OTHER_CLEAR: f"{1e6 * clear.mean():.2f}"}


def bars_of(case: Volume, table: Table) -> list[Bar]:
    """What was promised for this case."""
    bars = []
    if case.shape == BAR_SHAPE and case.labels == BAR_LABELS:
        ratio = times_as_fast(table.row("ours, auto"), table.row("MONAI"))
        bars.append(Bar(f"{table.title}: ours against MONAI's inferer and eager", LEAST_FASTER, ratio, aim=AIM))
    for name in ("ours, torch", "ours, auto"):
        row = table.row(name)
        if row is not None and OTHER_CLEAR in row.cells:
            share = float(row.cells[OTHER_CLEAR])
            what = f"{table.title}: voxels of a million in which {name} differs from the plain path, near ties aside"
            bars.append(Bar(what, 1e6 * MOST_DIFFERENT, share, at_most=True, unit=""))
    return bars


def named(case: Volume) -> str:
    """Said in words."""
    threads = "1 thread" if case.threads == 1 else f"{case.threads} threads"
    return f"{' x '.join(map(str, case.shape))} voxels, {case.labels} labels, {threads}"


def stage_grid(case: Volume, answers: Mapping[str, Mapping[str, Any]]) -> Grid:
    """Wall seconds by stage; a stage that a method does not have is left empty."""
    lines = []
    for stage in STAGES:
        cells = [answer["stages"].get(stage) for answer in answers.values()]
        if any(cell is not None for cell in cells):
            lines.append((stage, *("" if cell is None else f"{cell:.2f}" for cell in cells)))
    lines.append(("total, processor", *(f"{answer['processor']['total']:.2f}" for answer in answers.values())))
    note = "Wall seconds; the network's are those inside its calls, and stitch is what the windows took beyond them."
    return Grid(f"stage by stage: {named(case)}", ("stage", *answers), tuple(lines), note)
