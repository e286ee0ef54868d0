"""Fixtures every test may ask for."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


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
