"""Too little memory, in a process that is really given too little: it does with less, says so, and is right."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from Integration.tiny import ANATOMY, MODEL
from medseg.bundles.write import write_bundle
from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_image
from medseg.networks import build_network
from medseg.spec.manifest import LabelSpec
from small_manifest import small_manifest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a limit of a process' memory, and what it took at most, are told by Linux alone"
)

BATCH = 4  # with 2 the limit is too close to what is left of the failed attempt
CHILD = """
import resource, sys
from pathlib import Path
from medseg.cli.main import run
if limit := int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
code = run(sys.argv[2:])
lines = Path("/proc/self/status").read_text().splitlines()
print("peak", next(line.split()[1] for line in lines if line.startswith("VmPeak:")))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def hungry(models_folder):
    """A model that takes some hundred megabytes for a window."""
    wide_at_first = {"widths": [64, 4, 4, 4, 4], "pooling": [4, 2, 2, 2, 1]}  # for a second of arithmetic
    arguments = {"in_channels": 1, "label_count": 3, "gates": False, "spatial_attention_kernel": 1, **wide_at_first}
    labels = tuple(
        LabelSpec(value=n, name=f"part {n}", color=(n, 0, 0), category=ANATOMY, type=ANATOMY) for n in (1, 2)
    )
    manifest = small_manifest(model_id="hungry", labels=labels, arguments=arguments, window_shape=(80, 80, 80))
    torch.manual_seed(0)
    network = build_network(manifest.network, **manifest.arguments).eval()
    write_bundle(models_folder / "hungry", manifest, network, licence_text="Apache License 2.0\n")
    return manifest.model_id


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A volume of so many windows as a step shall hold."""
    path = tmp_path_factory.mktemp("in") / "scan.nii"
    noise = np.random.default_rng(0).normal(100, 30, (1, 80, 80, 80 * BATCH)).astype(np.float32)
    write_image(path, Image(noise, np.eye(4)))
    return path


@pytest.fixture(scope="module")
def segment(checkout, models_folder, scan):
    """Run the command in a process that may take ``limit`` bytes of addresses; gives the process and what it took."""
    return partial(
        _segment,
        os.environ
        | {
            "PYTHONPATH": str(checkout / "MedSegAttention"),
            "OMP_NUM_THREADS": "1",
            "MEDSEG_MODELS": str(models_folder),
        },
        scan,
    )


@pytest.fixture(scope="module")
def one_by_one(segment, hungry, tmp_path_factory):
    """A run with enough memory that takes one window at a time: the process, what it took, its labels."""
    path = tmp_path_factory.mktemp("free") / "free.nrrd"
    return *segment(hungry, path), path


def _segment(environment, scan, model, output, *, batch=1, limit=0):
    flags = ["--device", "cpu", "--engine", "torch", "--overlap", "0", "--window-batch", str(batch)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), "segment", str(scan), "-m", model, "-o", str(output), *flags],
        env=environment, capture_output=True, check=False, encoding="utf-8", timeout=300,
    )  # fmt: skip
    peaks = [int(line.split()[1]) * 1024 for line in done.stdout.splitlines() if line.startswith("peak ")]
    return done, peaks[0] if peaks else 0


def test_with_half_of_the_memory_it_wants_a_run_takes_fewer_windows_at_a_time_and_finds_the_same(
    segment, one_by_one, hungry, tmp_path
):
    output = tmp_path / "limited.nrrd"
    one, least, free = one_by_one
    many, most = segment(hungry, tmp_path / "many.nrrd", batch=BATCH)
    assert (one.returncode, many.returncode) == (0, 0), one.stderr + many.stderr
    assert most - least > 200 * 2**20  # or the limit between them means nothing
    done, _ = segment(hungry, output, batch=BATCH, limit=(least + most) // 2)
    assert done.returncode == 0, done.stderr
    assert "out of memory" in done.stderr
    assert "out of memory" not in one.stderr + many.stderr
    found, expected = read_labels(output).array, read_labels(free).array
    assert len(np.unique(expected)) > 1
    assert np.mean(found == expected) > 1 - 1e-6


def test_where_not_even_one_window_fits_a_region_is_advised_and_nothing_is_left(segment, one_by_one, hungry, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    _, least, _ = one_by_one
    small, floor = segment(MODEL, tmp_path / "small.nrrd")
    assert small.returncode == 0, small.stderr
    assert least - floor > 150 * 2**20
    done, _ = segment(hungry, out / "labels.nrrd", batch=BATCH, limit=(floor + least) // 2)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "--roi" in done.stderr
    assert list(out.iterdir()) == []
