"""What is imported and when: nothing heavy for a page of help, and in a worker only what its job needs."""

import os
import subprocess
import sys

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.spec.job import Job
from medseg.spec.wire import encode_job

HEAVY = {"torch", "monai", "lightning_fabric", "scipy", "SimpleITK", "numpy", "openvino", "rich", "PIL", "psutil"}
SPARED = {"monai", "lightning_fabric", "scipy", "PIL", "pandas", "matplotlib", "nibabel"}  # by a worker


def imported_by(checkout, *arguments):
    """Modules that a child imports while it runs, and what it printed."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "MedSegAttention"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", *map(str, arguments)],
        env=environment, capture_output=True, check=True, encoding="utf-8", timeout=100,
    )  # fmt: skip
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}, done.stdout


@pytest.mark.parametrize("command", [["--help"], ["segment", "--help"], ["train", "--help"], ["models", "--help"]])
def test_a_page_of_help_loads_nothing_heavy(checkout, command):
    modules, printed = imported_by(checkout, "-m", "medseg", *command)
    assert "Usage: " in printed
    assert "medseg.cli.main" in modules
    assert not HEAVY & modules
    assert "medseg.spec.option" in modules
    assert "medseg.spec.manifest" not in modules, "its classes took as long as all flags together"


def test_the_version_is_found_without_anything_heavy(checkout):
    modules, printed = imported_by(checkout, "-m", "medseg", "--version")
    assert printed.startswith("medseg ")
    assert "importlib.metadata" in modules
    assert not HEAVY & modules


def test_every_public_name_is_imported_without_torch(checkout):
    """What a call needs is loaded by the call; until then ``dir`` and ``help`` are quick."""
    program = (
        "import medseg, pydoc; names = [getattr(medseg, name) for name in medseg.__all__];"
        "print('window_batch' in pydoc.render_doc(medseg.segment), len(medseg.models()) > 0)"
    )
    modules, printed = imported_by(checkout, "-c", program)
    assert printed.split() == ["True", "True"]
    assert not {"torch", "monai", "lightning", "scipy", "openvino", "rich", "typer"} & modules


def test_a_worker_loads_what_its_job_needs_and_no_more(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_MODELS", str(checkout / "Models"))
    noise = np.random.default_rng(0).normal(100, 20, (1, 20, 24, 20)).astype(np.float32)
    write_image(tmp_path / "in.nii", Image(noise, np.diag([2.0, 2.0, 2.0, 1.0])))  # it is resampled
    order = tmp_path / "job.json"
    job = Job(
        inputs=(str(tmp_path / "in.nii"),), model="hippocampus-ultralight3d", output=str(tmp_path / "out.seg.nrrd")
    )
    order.write_text(encode_job(job), encoding="ascii")
    modules, printed = imported_by(checkout, "-m", "medseg.jobs.worker.main", order)
    assert '"Finished"' in printed
    assert (tmp_path / "out.seg.nrrd").is_file()
    assert {"torch", "medseg.jobs.run.segment"} <= modules
    assert not SPARED & modules
