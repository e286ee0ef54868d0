"""Engines from end to end: the command with each of them, the cache over processes, half precision on a real case."""

import os
import re
import subprocess
import sys
from math import ceil

import numpy as np
import pytest
import torch

from Integration.tiny import MODEL
from medseg.bundles.catalogue import built_in_folder, scan
from medseg.cli.main import run
from medseg.io.read import read_image, read_labels
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.segment import segment_case
from medseg.jobs.worker.command import worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.kernels.engines.agreement import LEAST_DICE
from medseg.kernels.engines.openvino_engine import describe_openvino, openvino_is_installed
from medseg.spec.events import Finished, Using
from medseg.spec.job import Job, Options

HIPPOCAMPUS = "hippocampus-ultralight3d"
needs_openvino = pytest.mark.skipif(not openvino_is_installed(), reason="needs the extra openvino")


@pytest.fixture
def words_of(checkout, scan_file):
    """The words of ``medseg segment``: a shipped model on its sample, or the tiny one."""

    def words(output, *options, model=MODEL):
        sample = checkout / "Resources" / "SampleData" / "colin27_left_t1.nii.gz"
        scan = scan_file if model == MODEL else sample
        chosen = ["segment", scan, "--model", model, "--output", output, "--device", "cpu", *options]
        return [str(word) for word in chosen]

    return words


@pytest.fixture
def command(checkout, tmp_path, words_of):
    """Starts ``medseg segment`` in a process, with a cache of its own."""

    def start(output, *options, model=MODEL, path=""):
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(checkout / "MedSegAttention"), str(path)]),
            "OMP_NUM_THREADS": "1",
            "MEDSEG_ENGINE_CACHE": str(tmp_path / "cache"),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "medseg", *words_of(output, *options, model=model)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return start


@pytest.fixture
def segment(command, words_of, tmp_path, monkeypatch, capsys):
    """Segments, waits, and gives the labels and the line that names the engine; here, or in a process of its own."""

    def segment(name, *options, model=MODEL, elsewhere=False):
        if elsewhere:
            process = command(tmp_path / name, *options, model=model)
            output, errors = process.communicate(timeout=300)
            code = process.returncode
        else:
            monkeypatch.setenv("MEDSEG_ENGINE_CACHE", str(tmp_path / "cache"))
            code = run(words_of(tmp_path / name, *options, model=model))
            output, errors = capsys.readouterr()
        assert code == 0, errors
        (line,) = re.findall("^engine: (.*)$", output, re.MULTILINE)
        return read_labels(tmp_path / name).array, line

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes: a compiled network is kept for so many
    yield segment
    torch.set_num_threads(before)


def are_the_same(found, expected):
    return np.count_nonzero(found != expected) <= ceil(found.size / 1e7)  # a tie may fall to the other side


@needs_openvino
def test_the_second_command_takes_the_compiled_network_from_the_cache_and_all_engines_agree(segment):
    plain, by_torch = segment("torch.nii.gz", "--engine", "torch", model=HIPPOCAMPUS)
    assert by_torch.startswith("PyTorch")
    assert set(np.unique(plain)) == {0, 1, 2}
    first, engine = segment("first.nii.gz", "--engine", "openvino", model=HIPPOCAMPUS)
    assert engine.startswith("OpenVINO")
    assert "cache" not in engine
    second, again = segment("second.nii.gz", "--engine", "openvino", model=HIPPOCAMPUS, elsewhere=True)
    assert again == f"{engine}, compiled network from the cache"
    assert are_the_same(first, plain)
    assert np.array_equal(second, first)


@needs_openvino
def test_two_commands_that_compile_at_once_do_not_disturb_each_other(command, segment, tmp_path):
    both = [command(tmp_path / f"{name}.nii.gz", "--engine", "openvino") for name in "ab"]
    for process in both:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert "engine: OpenVINO" in output
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".compiled"]
    later, engine = segment("later.nii.gz", "--engine", "openvino")
    assert "from the cache" in engine
    assert all(np.array_equal(read_labels(tmp_path / f"{name}.nii.gz").array, later) for name in "ab")


def test_without_openvino_the_command_says_how_to_get_it_and_pytorch_does_the_work(command, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['openvino'] = None\n")
    process = command(tmp_path / "out.nii.gz", "--engine", "openvino", path=hidden)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "engine: PyTorch" in output
    assert 'warning: OpenVINO is not installed (pip install "openvino>=2026.1"); PyTorch runs it' in errors


@needs_openvino
def test_a_warm_worker_compiles_once_and_tells_which_engine_it_used(models_folder, scan_file, tmp_path):
    environment = os.environ | {
        "MEDSEG_MODELS": str(models_folder),
        "OMP_NUM_THREADS": "1",
        "MEDSEG_ENGINE_CACHE": str(tmp_path / "cache"),
    }
    with WorkerProcess(environment=worker_environment(environment)) as worker:

        def answered(engine):
            options = Options(device="cpu", engine=engine)
            out = str(tmp_path / f"{engine}.nii.gz")
            job = Job(inputs=(str(scan_file),), model=MODEL, output=out, options=options, overwrite=True)
            *events, finished = worker.run(job)
            assert isinstance(finished, Finished)
            assert {event.engine for event in events if isinstance(event, Using)} == {finished.engine}
            return finished.engine

        first = answered("openvino")
        (compiled,) = (tmp_path / "cache").iterdir()
        compiled.unlink()
        assert first.startswith("OpenVINO")
        assert answered("openvino") == first  # the cache is empty: it was kept
        assert answered("torch").startswith("PyTorch")
        assert answered("openvino") == first
        assert list((tmp_path / "cache").iterdir()) == []


@needs_openvino
def test_in_half_precision_openvino_gives_a_real_case_the_same_labels_or_says_why_not(sample_scan, tmp_path):
    if "bfloat16" not in describe_openvino():
        pytest.skip("needs a processor with bfloat16")
    bundle = scan([built_in_folder()]).bundles[HIPPOCAMPUS]
    image = read_image(sample_scan).image
    plain = segment_case([image], bundle, Options(device="cpu", engine="torch")).labels.array
    options = Options(device="cpu", engine="openvino", precision="bfloat16")
    found = segment_case([image], bundle, options, engines=KeptEngines(folder=tmp_path))
    if found.engine.startswith("PyTorch"):
        rule = rf"Dice of 0\.\d{{4}} only; {LEAST_DICE} is needed; PyTorch runs it instead$"
        assert any(re.search(rule, warning) for warning in found.warnings)
        return
    assert found.warnings == ()
    for label in np.unique(plain):
        ours, theirs = found.labels.array == label, plain == label
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) >= LEAST_DICE
