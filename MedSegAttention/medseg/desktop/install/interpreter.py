"""A Python of the user's choice: asked once, in a process of its own, whether the worker can run in it."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.desktop.install.requirements import Requirement
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_process import child_environment
from medseg.jobs.worker.command import worker_environment
from medseg.spec.errors import MissingDependency

TIME_LIMIT_S = 20.0  # the first start from a network drive is slow
OLDEST = (3, 11)
_OTHERS = ("numpy", "scipy", "SimpleITK")  # what Slicer's own Python has anyway
_MARK = "medseg-probe:"

# Runs in any Python 3. Nothing is imported but the standard library: torch alone would take seconds.
_PROBE = """
import json, sys
found = {}
if sys.version_info >= (3, 8):
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec
    for name in sys.argv[1:]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "" if find_spec(name) else None
print("MARK" + json.dumps({"python": list(sys.version_info[:3]), "found": found}))
""".replace("MARK", _MARK)


@dataclass(frozen=True)
class Interpreter:
    """A Python the worker can run in."""

    path: str
    python: str  # its version
    versions: dict[str, str]  # of the packages that were asked for


def examine_interpreter(path: str, wanted: Sequence[Requirement], *, time_limit_s: float = TIME_LIMIT_S) -> Interpreter:
    """Start a Python and ask for its packages, with the variables a worker would get.

    The worker runs this program's own code there; what has to be installed is what that code needs.

    Args:
        path: of the interpreter.
        wanted: packages beside those that Slicer has anyway.
        time_limit_s: how long it may take.

    Raises:
        MissingDependency: says what is wrong with it and what to do.
    """
    needs = [*wanted, *(Requirement(name, "") for name in _OTHERS)]
    version, found = _ask(path, [need.name for need in needs], time_limit_s)
    python = ".".join(str(number) for number in version)
    if version[:2] < OLDEST:
        msg = _("{path} is Python {version}, and {oldest} or later is needed; choose another one")
        raise MissingDependency(msg.format(path=path, version=python, oldest=".".join(map(str, OLDEST))))
    lacking = [(need, found[need.name]) for need in needs if not need.is_met_by(found[need.name])]
    if lacking:
        has = _("{need} (it has {version})")
        unmet = [need.name if version is None else has.format(need=need, version=version) for need, version in lacking]
        packages = " ".join(f'"{need}"' for need, _version in lacking)  # the program itself is on no package index
        command = f'"{path}" -m pip install --upgrade {packages}'
        msg = _("{path} lacks what the worker needs: {names}; run {command}, or choose another Python")
        raise MissingDependency(msg.format(path=path, names=", ".join(unmet), command=command))
    return Interpreter(path, python, {need.name: found[need.name] or "" for need in wanted})


def _ask(path: str, names: Sequence[str], time_limit_s: float) -> tuple[tuple[int, ...], dict[str, str | None]]:
    choose = _("choose the python of a virtual environment in Install and diagnostics, or none")

    def refusal(what: str) -> MissingDependency:
        return MissingDependency(f"{what}; {choose}")

    if not Path(path).is_file():
        is_folder, is_absent = _("the interpreter {path} is a folder"), _("the interpreter {path} does not exist")
        raise refusal((is_folder if Path(path).is_dir() else is_absent).format(path=path))
    try:
        done = subprocess.run(  # noqa: S603 - the user chose it to be run
            [path, "-c", _PROBE, *names],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=time_limit_s,
            check=False,
            env=worker_environment(child_environment(path)),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows a console would flash
        )
    except OSError as error:
        what = _("{path} cannot be started ({reason})").format(path=path, reason=error.strerror or error)
        raise refusal(what) from error
    except subprocess.TimeoutExpired as error:
        what = _("{path} did not answer within {seconds:g} s, so it is no Python or cannot start")
        raise refusal(what.format(path=path, seconds=time_limit_s)) from error
    lines = done.stdout.decode("utf-8", errors="replace").splitlines()
    answers = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
    if done.returncode or not answers:
        said = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        reason = said[-1] if said else _("exit code {code}").format(code=done.returncode)
        raise refusal(_("{path} is no Python that works ({reason})").format(path=path, reason=reason))
    answer = json.loads(answers[-1])
    return tuple(answer["python"]), answer["found"]
