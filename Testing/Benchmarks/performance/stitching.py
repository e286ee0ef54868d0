"""Part: everything but the network. A 1^3 convolution runs in its place, so stitching and decoding are seen alone."""

from performance.child import ChildFailed, in_child
from performance.phantom import write_model, write_scan
from performance.rows import Bar, Part, Row, Table, times_as_fast
from performance.setting import Setting
from performance.telling import tell

METHODS = ("MONAI", "nnU-Net", "ours, torch")
OVERLAP, LABELS = 0.5, 14
MEMORY_BAR, TIME_BAR = 4.5, 0.6
NOTE = (
    "Processor seconds from the first window to the labels, without those inside the network, which is one 1^3 "
    "convolution; memory is what that time adds to what was held before it, image and network."
)


def measure(setting: Setting) -> Part:
    """Rounds of all methods, each run in a process of its own, as long as the time lasts."""
    shape = setting.volumes[0].shape
    scan = setting.folder / f"{'x'.join(map(str, shape))}.nii.gz"
    if not scan.exists():
        write_scan(scan, shape)
    models = setting.folder / "models"
    model = "pointwise"
    write_model(models, model, labels=LABELS, window=setting.cube, overlap=OVERLAP)
    seconds: dict[str, list[float]] = {}
    memory: dict[str, float | None] = {}
    notes = []
    for method in METHODS:
        seconds[method] = []
    for number in range(rounds_of(setting)):
        for method in METHODS:
            asked = {"method": method, "model": model, "scan": str(scan), "output": str(setting.folder / "s.nii.gz")}
            (setting.folder / "s.nii.gz").unlink(missing_ok=True)
            try:
                answer = in_child(
                    "performance.peers:volume",
                    threads=1,
                    environment={"MEDSEG_MODELS": str(models)},
                    pointwise=True,
                    **asked,
                )
            except ChildFailed as failed:
                notes.append(f"{method}: not measured, {failed}")
                continue
            seconds[method].append(answer["stitch_decode"]["processor"])
            memory[method] = answer["windows_mib"]
            tell(f"  round {number + 1}, {method}: {seconds[method][-1]:.1f} s, {memory[method] or 0:.0f} MiB")
    rows = tuple(Row(method, tuple(times), memory[method]) for method, times in seconds.items() if times)
    title = f"windows stitched and decoded, {' x '.join(map(str, shape))} voxels, {LABELS} labels, 1 thread"
    table = Table("stitching", title, "processor", 1, rows, f"{NOTE} Overlap {OVERLAP}.")
    return Part("stitching", (table,), (), bars_of(table), notes=tuple(notes))


def rounds_of(setting: Setting) -> int:
    """One for large volumes."""
    return 1 if setting.name == "full" else 2


def bars_of(table: Table) -> tuple[Bar, ...]:
    """Memory and time against MONAI's."""
    ours, theirs = table.row("ours, torch"), table.row("MONAI")
    faster = times_as_fast(ours, theirs)
    less = None
    if ours is not None and theirs is not None and ours.peak_mib and theirs.peak_mib:
        less = theirs.peak_mib / ours.peak_mib
    return (
        Bar(f"{table.title}: MONAI's memory against ours", MEMORY_BAR, less),
        Bar(f"{table.title}: our time against MONAI's", TIME_BAR, faster and 1 / faster, at_most=True),
    )
