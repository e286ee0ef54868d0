"""The real worker in a real child process: one warm worker is shared, torch takes seconds to load."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.inference.device import available_devices
from medseg.io.read import read_labels
from medseg.io.write import write_image
from medseg.jobs.run.run_job import run_job
from medseg.jobs.worker.command import worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.events import Described, Failed, Finished, Progress, Started, Stopped, Using, decode_event
from medseg.spec.job import Job, Options
from medseg.spec.wire import Quit, Run, encode_job, encode_request

# The contract is two seconds; a computer that does other things too may take longer, and is no reason to fail.
LOADED_SECONDS = 6

# Runs in every worker of this file before anything else: a library that cannot keep quiet.
NOISE = """
import os, threading, time
def chatter():
    while True:
        print("chatter from Python")
        os.write(1, b"chatter from C\\n")
        time.sleep(0.005)
threading.Thread(target=chatter, daemon=True).start()
"""


@pytest.fixture(scope="module")
def environment(models_folder, tmp_path_factory):
    noise = tmp_path_factory.mktemp("noise")
    (noise / "sitecustomize.py").write_text(NOISE)
    variables = {**os.environ, "MEDSEG_MODELS": str(models_folder), "PYTHONPATH": str(noise), "OMP_NUM_THREADS": "1"}
    return worker_environment(variables)


@pytest.fixture(scope="module")
def quiet_environment(environment):
    return worker_environment({**environment, "PYTHONPATH": ""})


@pytest.fixture(scope="module")
def worker(environment):
    with WorkerProcess(environment=environment) as process:
        yield process


@pytest.fixture
def job(tmp_path, scan_file):
    return Job(inputs=(str(scan_file),), model="tiny", output=str(tmp_path / "labels.nii.gz"))


@pytest.fixture
def slow_job(tmp_path):
    """Thousands of windows: minutes of work."""
    path = tmp_path / "large.nrrd"
    noise = np.random.default_rng(0).normal(size=(1, 48, 48, 48)).astype(np.float32)
    write_image(path, Image(noise, np.diag([2.0, 2.0, 2.0, 1.0])))
    options = Options(device="cpu", overlap=0.9)
    return Job(inputs=(str(path),), model="tiny", output=str(tmp_path / "slow.nii.gz"), options=options)


@pytest.fixture(scope="module")
def large_scan(tmp_path_factory):
    """Fine voxels: seconds go into what comes before and after the network."""
    path = tmp_path_factory.mktemp("large") / "large.nii"
    ramp = np.broadcast_to(np.arange(200, dtype=np.int16), (1, 200, 200, 200))
    write_image(path, Image(ramp, np.diag([0.5, 0.5, 0.5, 1.0])))
    return path


def until_busy(events):
    """Go on until the network has seen its first windows."""
    for event in events:
        if isinstance(event, Using):
            return event
    pytest.fail("the job ended before it was busy")


def event_is_a_window_done(event):
    return isinstance(event, Progress) and event.stage == "windows" and event.done > 0


def wait_gone(pid, seconds):
    """Seconds until a process has ended, or all of them."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_job_tells_its_stages_in_order_and_gives_what_this_process_gives(worker, job, tmp_path):
    here = run_job(replace(job, output=str(tmp_path / "here.nii.gz")))
    events = list(worker.run(job, "case 1"))
    assert events[0] == Started("case 1")
    assert isinstance(events[-1], Finished)
    assert events[-1].outputs == (job.output,)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == ["read", "preprocess", "windows", "restore", "postprocess", "write"]
    assert stages == sorted(stages, key=list(dict.fromkeys(stages)).index)
    using = next(event for event in events if isinstance(event, Using))
    assert events.index(using) > events.index(next(event for event in events if event_is_a_window_done(event)))
    assert using.device == events[-1].device
    assert using.threads == 1
    assert using.memory_mb > 50
    labels = read_labels(tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(labels.array, here.labels.array)
    np.testing.assert_allclose(labels.affine, here.labels.affine, atol=1e-5)


def test_what_libraries_print_goes_to_the_log(worker, job):
    list(worker.run(replace(job, overwrite=True)))
    assert {"chatter from Python", "chatter from C"} <= set(worker.log)


def test_a_second_job_finds_the_worker_warm(worker, job):
    list(worker.run(replace(job, overwrite=True)))
    pid = worker.pid
    *_, last = worker.run(replace(job, overwrite=True))
    assert isinstance(last, Finished)
    assert worker.pid == pid


def test_paths_in_any_script_arrive(worker, job, tmp_path):
    folder = tmp_path / "Größe 大きさ 👩🏽‍⚕️"
    folder.mkdir()
    scan = folder / "снимок.nii.gz"
    scan.write_bytes((tmp_path / "scan.nii.gz").read_bytes())
    output = folder / "naïve.seg.nrrd"
    *_, last = worker.run(replace(job, inputs=(str(scan),), output=str(output)))
    assert last.outputs == (str(output),)
    assert output.is_file()


def test_a_job_that_cannot_be_done_is_refused_and_the_worker_goes_on(worker, job, tmp_path):
    pid = worker.pid
    missing = replace(job, inputs=(str(tmp_path / "no such scan.nii.gz"),))
    *_, last = worker.run(missing)
    assert isinstance(last, Failed)
    assert not last.is_bug
    assert "no such scan.nii.gz" in last.message
    *_, last = worker.run(job)
    assert isinstance(last, Finished)
    assert worker.pid == pid


def test_a_cancelled_job_ends_in_time_leaves_no_file_and_a_warm_worker(worker, job, slow_job, tmp_path):
    until_busy(events := worker.run(slow_job))
    before, pid, begun = set(tmp_path.iterdir()), worker.pid, time.monotonic()
    worker.cancel(grace_seconds=30)  # on a busy computer the answer may be late, and here nobody must be killed
    assert list(events)[-1] == Stopped()
    assert time.monotonic() - begun < LOADED_SECONDS
    assert set(tmp_path.iterdir()) == before
    *_, last = worker.run(job)
    assert isinstance(last, Finished)
    assert worker.pid == pid


@pytest.mark.parametrize("stage", ["read", "preprocess", "restore"])
def test_a_cancel_in_a_stage_that_cannot_stop_ends_in_time_too(quiet_environment, job, large_scan, tmp_path, stage):
    options = Options(device="cpu", overlap=0.0)
    large = replace(job, inputs=(str(large_scan),), output=str(tmp_path / "large.nii"), options=options)
    with WorkerProcess(environment=quiet_environment) as worker:
        events = worker.run(large)
        next(event for event in events if isinstance(event, Progress) and event.stage == stage)
        begun = time.monotonic()
        worker.cancel()
        assert list(events)[-1] == Stopped()
        assert time.monotonic() - begun < LOADED_SECONDS
        assert not (tmp_path / "large.nii").exists()


def test_a_worker_describes_its_devices_between_jobs_and_while_one_runs(worker, job, slow_job):
    described = worker.devices()
    assert tuple(device.name for device in described) == available_devices()
    *_, last = worker.run(replace(job, overwrite=True))
    assert isinstance(last, Finished)
    assert [device.total_mb for device in worker.devices()] == [device.total_mb for device in described]
    until_busy(events := worker.run(slow_job))
    worker.describe()
    while_busy = next(event for event in events if isinstance(event, Described))
    assert [device.name for device in while_busy.devices] == [device.name for device in described]
    assert event_is_a_window_done(next(events))
    worker.cancel(grace_seconds=30)
    assert list(events)[-1] == Stopped()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_crash_is_told_with_the_end_of_the_log(worker, slow_job, tmp_path):
    until_busy(events := worker.run(slow_job))
    os.kill(worker.pid, signal.SIGSEGV)
    *_, last = events
    assert isinstance(last, Failed)
    assert last.is_bug
    assert "SIGSEGV" in last.message
    assert not (tmp_path / "slow.nii.gz").exists()
    faults = [line for line in worker.log if "Segmentation fault" in line]
    assert len(faults) == 1


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("thread", [False, True], ids=["started by the main thread", "started by another thread"])
def test_a_worker_dies_with_a_parent_that_was_killed(quiet_environment, slow_job, tmp_path, thread):
    (tmp_path / "job.json").write_text(encode_job(slow_job))
    code = f"""
import sys, threading
from pathlib import Path
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.wire import decode_job
def work():
    worker = WorkerProcess()
    for event in worker.run(decode_job(Path({str(tmp_path / "job.json")!r}).read_bytes())):
        print(worker.pid, type(event).__name__, flush=True)
threading.Thread(target=work).start() if {thread} else work()
"""
    command = [sys.executable, "-P", "-c", code]
    parent = subprocess.Popen(command, env=quiet_environment, stdout=subprocess.PIPE, text=True)
    with parent:
        pid = next(int(line.split()[0]) for line in parent.stdout if line.split()[1] == "Using")
        parent.kill()
    assert wait_gone(pid, 10) < LOADED_SECONDS
    assert not (tmp_path / "slow.nii.gz").exists()


def test_one_job_from_a_file_needs_only_what_computes(quiet_environment, job, tmp_path):
    (tmp_path / "Auftrag ö.json").write_text(encode_job(job))
    code = "import sys; from medseg.jobs.worker import main as worker; code = worker.main(sys.argv[1:]);"
    code += "print('modules:', *sys.modules, file=sys.stderr); sys.exit(code)"
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "Auftrag ö.json")]
    done = subprocess.run(
        command, env=quiet_environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, encoding="utf-8"
    )
    events = [event for event in map(decode_event, done.stdout.splitlines()) if event is not None]
    assert events[0] == Started("Auftrag ö")
    assert isinstance(events[-1], Finished)
    (modules,) = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("modules:")]
    assert "torch" in modules
    assert not {"monai", "lightning_fabric", "rich", "typer", "nibabel", "matplotlib", "pandas", "torchvision"} & set(
        modules
    )


def test_a_bug_is_told_with_its_place_before_the_worker_ends(environment, tmp_path, job):
    (tmp_path / "job.json").write_text(encode_job(job))
    code = """
import sys
from medseg.jobs.worker import main as worker
def run(job, tell, cancelled):
    [][job.frame or 0]
worker._load = lambda tell: worker.Loaded(run)
sys.exit(worker.main(sys.argv[1:]))
"""
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "job.json")]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    last = decode_event(done.stdout.splitlines()[-1])
    assert last.is_bug
    assert last.message == "IndexError: list index out of range"
    assert "Traceback" in done.stderr


def talk(code, environment, *jobs):
    """Give a worker jobs, one after the other, and let it go; its answers, its log and its exit code."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    answers = []
    with subprocess.Popen([sys.executable, "-P", "-c", code], env=environment, encoding="utf-8", **pipes) as process:
        for job in jobs:
            process.stdin.write(encode_request(Run(job)) + "\n")
            process.stdin.flush()
            events = map(decode_event, process.stdout)
            answers.append(next(event for event in events if isinstance(event, Finished | Failed)))
        process.stdin.write(encode_request(Quit()) + "\n")
        process.stdin.flush()
        code = process.wait(30)
        return answers, process.stderr.read(), code


def test_a_worker_that_took_requests_ends_well_whatever_became_of_the_jobs(quiet_environment, job):
    code = """
import sys
from medseg.jobs.worker import main as worker
from medseg.spec.errors import JobError
def run(job, tell, cancelled):
    raise JobError("no")
worker._load = lambda tell: worker.Loaded(run)
sys.exit(worker.main(sys.argv[1:]))
"""
    answers, log, code = talk(code, quiet_environment, job)
    assert answers == [Failed("no", is_bug=False)]
    assert (log, code) == ("", 0)


def test_a_network_is_read_once_for_two_jobs(quiet_environment, job):
    code = """
import sys
from medseg.jobs.run import loaded_networks
from medseg.jobs.worker import main as worker
read = loaded_networks.load_network
def counted(bundle):
    print("read the network", file=sys.stderr)
    return read(bundle)
loaded_networks.load_network = counted
sys.exit(worker.main(sys.argv[1:]))
"""
    answers, log, _code = talk(code, quiet_environment, job, replace(job, overwrite=True))
    assert [type(answer) for answer in answers] == [Finished, Finished]
    assert log.count("read the network") == 1
