"""Fixtures every test may ask for; and the share of the processors that a worker of pytest-xdist takes."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# OpenMP reads these once, when torch is loaded, and children inherit them. Two workers with two spinning threads each
# were ten times slower on two cores than with one thread each.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _workers > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans, broken inputs and official fixtures beside the checkout; skips where it is absent."""
    folder = Path(os.environ.get("MEDSEG_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the test material beside the checkout, and {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Root of the source tree."""
    return CHECKOUT
