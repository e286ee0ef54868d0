"""Part: networks on one window under each engine, ours and MONAI's, times and memory."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from medseg.kernels.engines.engine import EngineRefused
from medseg.kernels.engines.openvino_engine import openvino_engine, openvino_is_installed
from medseg.kernels.engines.torch_engine import torch_engine
from performance.child import ChildFailed, in_child
from performance.memory import Peak
from performance.nets import OURS, SLAB, eager, network, plainly
from performance.rows import Bar, Part, Row, Table, times_as_fast
from performance.setting import Setting
from performance.telling import tell
from performance.turns import take_turns

CPU = torch.device("cpu")
CUBE_BARS = (  # what, against what, at least, aim
    ("base openvino", "base eager", 3.5, 5),
    ("base openvino", "DynUNet eager", 18, None),
    ("base openvino", "SwinUNETR eager", 50, None),
    ("base openvino", "DynUNet openvino", 9, None),
    ("base openvino", "SegResNet openvino", 5, None),
    ("base openvino", "SwinUNETR openvino", 18, None),
    ("M openvino", "DynUNet eager", 9, None),
)
SLAB_BARS = (("D-LKA torch", "D-LKA plain", 1.9, None), ("D-LKA openvino", "D-LKA plain", 3.5, 5))
NOTE = (
    'Peak memory is beyond a process that has imported everything: weights, engine and one pass; "openvino" from its '
    "compiled file. Compiling one takes more, once a machine."
)


def measure(setting: Setting) -> Part:
    """The same networks on one thread and on all, then memory, each in its own process."""
    cube = setting.cube
    names = [f"{name} {kind}" for name in setting.networks for kind in kinds(name)]
    cubes = [name for name in names if not name.startswith("D-LKA")]
    slabs = [name for name in names if name.startswith("D-LKA")]
    tables, bars, notes = [], [], []
    counts = (1, setting.threads) if setting.threads > 1 else (1,)
    shares = {1: 0.33}  # of this part's time for the rounds; the rest is getting ready and memory
    peaks: dict[str, float | None] = {}
    for threads in counts:
        answer = in_child(
            "performance.networks:turns",
            threads=threads,
            names=[*cubes, *slabs],
            cube=cube,
            folder=str(setting.folder),
            rounds=setting.rounds,
            budget_s=shares.get(threads, 0.15) * setting.seconds,
        )
        if threads == 1:
            peaks = {name: peak_of(name, setting) for name in answer["seconds"]}
            notes += [f"Getting ready, on one thread: {', '.join(answer['ready'])}."] if answer["ready"] else []
        notes += answer["refused"]
        for key, title, chosen in (
            ("cube", f"one window of {cube}^3 voxels, {plural(threads)}", cubes),
            ("slab", f"D-LKA Net on {' x '.join(map(str, SLAB))}, {plural(threads)}", slabs),
        ):
            rows = [
                Row(name, tuple(answer["seconds"][name]), peaks.get(name))
                for name in chosen
                if name in answer["seconds"]
            ]
            if rows:
                kind = "processor" if threads == 1 else "wall"
                tables.append(Table(f"networks-{key}-{threads}", title, kind, threads, tuple(rows), NOTE))  # type: ignore[arg-type]
    for table in tables:
        if table.threads == 1:
            bars += [
                Bar(f"{what} against {against}, {table.title}", least, ratio_in(table, what, against), aim=aim)
                for what, against, least, aim in (CUBE_BARS if "cube" in table.key else SLAB_BARS)
            ]
    return Part("networks", tuple(tables), (), tuple(bars), notes=tuple(notes))


def ratio_in(table: Table, what: str, against: str) -> float | None:
    """How many times as fast, in one table."""
    return times_as_fast(table.row(what), table.row(against))


def plural(threads: int) -> str:
    """Said in words."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def kinds(name: str) -> tuple[str, ...]:
    """Ways a network is run."""
    ways = ("plain", "eager", "torch") if name == "D-LKA" else ("eager", "torch") if name in OURS else ("eager",)
    return (*ways, "openvino") if openvino_is_installed() else ways


def peak_of(name: str, setting: Setting) -> float | None:
    """Peak memory of one way to run one network; None where the child could not say."""
    try:
        answer: float | None = in_child(
            "performance.networks:peak", threads=1, name=name, cube=setting.cube, folder=str(setting.folder)
        )
    except ChildFailed as failed:
        tell(f"  no memory for {name}: {failed}")
        return None
    return answer


def shape_of(name: str, cube: int) -> tuple[int, ...]:
    """``(C, i, j, k)`` of a network's window."""
    return (1, *(SLAB if name.startswith("D-LKA") else (cube,) * 3))


def turns(names: Sequence[str], cube: int, folder: str, rounds: int, budget_s: float) -> dict[str, Any]:
    """In a child: everything takes turns in one process."""
    runs: dict[str, Callable[[], object]] = {}
    ready, refused = [], []
    for name in names:
        begun = time.process_time()
        try:
            runs[name] = runner(name, cube, Path(folder))
        except EngineRefused as error:
            refused.append(f"{name}: {error}")
            continue
        passed = time.process_time() - begun
        tell(f"  {name} ready after {passed:.1f} s of processor time")
        if name.endswith(("torch", "openvino")):
            ready.append(f"{name} {passed:.1f} s")
    return {"seconds": take_turns(runs, rounds=rounds, budget_s=budget_s), "ready": ready, "refused": refused}


def peak(name: str, cube: int, folder: str) -> float | None:
    """In a child: memory of one network, made and run once."""
    import monai.networks.nets  # noqa: F401 - so that imports are not counted

    if openvino_is_installed():
        import openvino  # noqa: F401
    memory = Peak()
    runner(name, cube, Path(folder))()
    return memory.in_all


def runner(name: str, cube: int, folder: Path) -> Callable[[], object]:
    """One network, ready to run on noise.

    Raises:
        EngineRefused: when the engine does not take it.
    """
    which, _, kind = name.partition(" ")
    built, shape = network(which), shape_of(name, cube)
    x = torch.randn(1, *shape)
    if kind == "plain":
        return plainly(built, x)
    if kind == "eager":
        return lambda: eager(built, x)
    by_torch = kind == "torch"
    engine = torch_engine(built, shape, device=CPU) if by_torch else openvino_engine(built, shape, folder=folder)
    return lambda: engine(x)
