"""One measurement in a process of its own: its peak memory is nobody else's, and its threads are set from the start."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]


class ChildFailed(Exception):
    """A child process ended without an answer; the message holds the last line it wrote."""


def in_child(function: str, *, threads: int, environment: Mapping[str, str] | None = None, **arguments: object) -> Any:
    """Call ``module:function`` in a child process and return its answer.

    Args:
        function: of a module that can be imported from ``Testing/Benchmarks``.
        threads: of PyTorch, OpenMP and SimpleITK in the child.
        environment: variables beyond this process's own.
        arguments: of the function; JSON carries them and the answer.

    Raises:
        ChildFailed: when it raised or was killed.
    """
    count = str(threads)
    variables = {
        **os.environ,
        **(environment or {}),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": count,
    }
    command = [sys.executable, "-m", "performance.child", function, count, json.dumps(arguments)]
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        last = ""
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
        answer = process.stdout.read()
    if process.returncode:
        msg = f"{function} ended with {process.returncode}: {last}"
        raise ChildFailed(msg)
    return json.loads(answer.splitlines()[-1])


def main() -> None:
    """In the child: call and answer on the last line."""
    import torch

    module, _, name = sys.argv[1].partition(":")
    torch.set_num_threads(int(sys.argv[2]))
    answer = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[3]))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
