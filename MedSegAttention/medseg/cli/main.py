"""The command ``medseg``: its sub-commands and its exit codes. Nothing heavy is imported here."""

import io
import os
import sys
import traceback
from functools import cache
from typing import Annotated, Any

import typer

from medseg.cli.batch import batch
from medseg.cli.correct import correct
from medseg.cli.dicom import dicom
from medseg.cli.doctor import doctor
from medseg.cli.ensemble import ensemble
from medseg.cli.evaluate import evaluate
from medseg.cli.models import models
from medseg.cli.networks import networks
from medseg.cli.segment import segment
from medseg.cli.train import train
from medseg.cli.validate import validate
from medseg.spec.errors import MedSegError

EXIT_BUG, EXIT_USER, EXIT_INTERRUPTED = 1, 2, 130
_GOES_ON = ("batch", "train")  # where the same command continues what was interrupted

app = typer.Typer(
    name="medseg",
    help="Segment medical volumes with attention networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain ASCII help, and quicker
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(segment)
app.command()(batch)
app.add_typer(models, name="models")
app.command()(networks)
app.command()(dicom)
app.command()(evaluate)
app.command()(correct)
app.command()(validate)
app.command()(train)
app.command()(ensemble)
app.command()(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        from medseg import __version__

        typer.echo(f"medseg {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version


@cache
def _command() -> Any:
    """The commands as typer makes them of the functions' signatures: once, for who calls ``run`` many times."""
    return typer.main.get_command(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and end the process.

    Exit codes: 0 done; 2 the user can mend it, one line says how; 1 a bug, with its traceback; 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no letters for ends nothing
            stream.reconfigure(errors="backslashreplace")
    _take_closed_places()
    code = run(arguments)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _stop_writing()
    except OSError as error:
        _stop_writing()
        code = code or _complain(f"what is printed cannot be written: {error}; free space, or print elsewhere")
    sys.exit(code)


def _take_closed_places() -> None:
    """Open nothing in place of streams that were closed (``>&-``): a result that opened there would be written into."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def run(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if (place := _empty(sys.argv[1:] if arguments is None else arguments)) is not None:
        return _complain(f"{place} is empty; write the file, folder or name that is meant (is a variable not set?)")
    try:
        code = _carry_out(arguments)
    except MedSegError as error:
        return _complain(str(error))
    except OSError as error:  # a full disk, a folder that went away: not ours to mend
        return _complain(f"the system refused: {error}; free space or check the path, then run it again")
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED  # which typer itself makes of a KeyboardInterrupt inside a command
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a bare command asks for help
            typer.echo(error.format_message())  # type: ignore[attr-defined]
            return EXIT_USER
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _complain(f"{error.format_message()} Try --help.")
        traceback.print_exc()
        typer.echo("this is a bug of medseg; please report it with the text above and 'medseg doctor'", err=True)
        return EXIT_BUG
    if code == EXIT_INTERRUPTED:
        return _interrupted(sys.argv[1:] if arguments is None else arguments)
    return code if isinstance(code, int) else 0


def _carry_out(arguments: list[str] | None) -> Any:
    """Run the command; whoever reads what it prints may have read enough, as ``| head`` has."""
    try:
        return _command()(args=arguments, standalone_mode=False)
    except BrokenPipeError:
        _stop_writing()
    except SystemExit as error:  # what typer makes of that
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        _stop_writing()
    return 0


def _empty(arguments: list[str]) -> str | None:
    """Where an argument is empty: a path of nothing would be the folder one is in."""
    for number, word in enumerate(arguments):
        if not word.strip():
            return f"the argument after {arguments[number - 1]!r}" if number else "the command"
    return None


def _stop_writing() -> None:
    """Let what is still written to standard output go nowhere, also when the process ends."""
    from medseg.cli.console import write_nowhere

    write_nowhere(sys.stdout)


def _interrupted(arguments: list[str]) -> int:
    command = next((word for word in arguments if not word.startswith("-")), "")
    kept = "what is done is kept, and the same command goes on from there"
    outcome = kept if command in _GOES_ON else "run it again to have its result"
    stopped = f"medseg {command}".rstrip()
    typer.echo(f"interrupted: {stopped} was stopped; no half-written file is left; {outcome}", err=True)
    return EXIT_INTERRUPTED


def _complain(message: str) -> int:
    typer.echo("error: " + " ".join(message.split()), err=True)
    return EXIT_USER
