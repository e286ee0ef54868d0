"""Fixtures every test may ask for; and the share of the processors that a worker of pytest-xdist takes."""

import gc
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# OpenMP reads these once, when torch is loaded, and children inherit them. Two workers with two spinning threads each
# were ten times slower on two cores than with one thread each.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _workers > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# A shell that starts this in the background has Ctrl-C ignored, and children would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("MEDSEG_SHARED", CHECKOUT.parent / "shared"))
HAS_SHARED = (SHARED / "data").is_dir()


# What imports and collected tests make stays to the end: looking through it for garbage, again and again, took a tenth
# of the time of collecting, and later a share of every test's.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, among what tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans and official fixtures beside the checkout; skips where it is absent."""
    if not HAS_SHARED:
        pytest.skip(f"needs the test material beside the checkout, and {SHARED} is not there")
    return SHARED


@pytest.fixture(scope="session")
def sample_scan() -> Path:
    """A real scan that every clone has: T1 around the left hippocampus, 1 mm."""
    return CHECKOUT / "Resources" / "SampleData" / "colin27_left_t1.nii.gz"


@pytest.fixture(scope="session")
def real_scan(sample_scan) -> Callable[[str], Path]:
    """By its name the scan beside the checkout; where there is none, the sample stands for each."""
    return lambda name: SHARED / "data" / "volumes" / name if HAS_SHARED else sample_scan


@pytest.fixture(scope="session", params=["generated", "stored"] if HAS_SHARED else ["generated"])
def bad_inputs(request, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder of broken and odd inputs, and by name what is expected: accept, warn, reject or either of the last two.

    Made here; and, where the test material lies beside the checkout, once more as another program wrote them.
    """
    if request.param == "stored":
        folder = SHARED / "data" / "badinputs" / "files"
        table = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["inputs"]
        return folder, {name: entry["expect"] for name, entry in table.items()}
    from bad_inputs.corpus import write_corpus

    folder = tmp_path_factory.mktemp("bad_inputs")
    return folder, write_corpus(folder)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Root of the source tree."""
    return CHECKOUT
