"""A child process in which MONAI itself runs bundles, one after another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Runs bundles one after another as ``python -m monai.bundle run`` does: importing MONAI takes longer than the rest.
RUN_EACH = """
import json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import monai.bundle
for line in sys.stdin:
    job = json.loads(line)
    os.chdir(job["folder"])
    try:
        monai.bundle.run(**job["options"])
        answer = "done"
    except BaseException:
        answer = traceback.format_exc()
    print(json.dumps(answer), file=answers, flush=True)
"""


def options_for(images, output):
    options = {"config_file": "configs/inference.json", "meta_file": "configs/metadata.json"}
    return {**options, "dataset_dir": str(images), "output_dir": str(output)}


def a_child_environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)}


@pytest.fixture(scope="module")
def run_monai():
    """Runs a bundle in a child process that is warm after the first."""
    command = [sys.executable, "-c", RUN_EACH]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=a_child_environment(),
    ) as process:

        def run(bundle, images, output):
            job = {"folder": str(bundle.folder), "options": options_for(images, output)}
            print(json.dumps(job), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline() or '"MONAI ended"')
            assert answer == "done", answer[-3000:]

        yield run
        process.stdin.close()
