"""The flags of every command with a network: made from ``Options``, and nothing else."""

import pytest
import typer

from medseg.cli.batch import batch
from medseg.cli.main import app, run
from medseg.cli.options import with_options
from medseg.cli.segment import segment
from medseg.cli.validate import validate
from medseg.spec.job import Options
from medseg.spec.option import options_of
from medseg.spec.postprocess import PostprocessRule

COMMANDS = ("segment", "batch", "validate")


@pytest.fixture
def parsed():
    """What a command line makes of the options: a command of its own, with the same flags."""
    heard = []

    def command(model: str, options: Options) -> None:
        heard.append((model, options))

    small = typer.Typer()
    small.command()(with_options(command))

    def parse(*arguments):
        small(args=["a-model", *arguments], standalone_mode=False)
        return heard.pop()[1]

    return parse


def test_no_flag_leaves_all_to_the_model(parsed):
    assert parsed() == Options()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--device", "cuda:1"], Options(device="cuda:1")),
        (["--overlap", "0.25"], Options(overlap=0.25)),
        (["--no-mirror"], Options(mirror=False)),
        (["--quick"], Options(spacing_factor=2.0)),
        (["--roi=-40,0,-50,10,-40,20.5"], Options(roi_ras_mm=(-40.0, 0.0, -50.0, 10.0, -40.0, 20.5))),
        (["--roi-voxels", "1,2,3,4,5,6"], Options(roi_voxels=(1, 2, 3, 4, 5, 6))),
    ],
)
def test_a_flag_is_its_option(parsed, arguments, expected):
    assert parsed(*arguments) == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_says_what_every_option_says_of_itself(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    for about in [*options_of(Options).values(), *options_of(PostprocessRule).values()]:
        if about.kind is not PostprocessRule:
            assert about.help in words
            assert f"--{about.keyword.replace('_', '-')}" in words
        if about.high is not None:
            assert f"({about.low:g} to {about.high:g})" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--roi", "1,2,3,4,5"], "six numbers R-,R+,A-,A+,S-,S+, in RAS mm, got '1,2,3,4,5'; write e.g. --roi=-40"),
        (["--roi-voxels", "0,1,0,1,0,1.5"], "six whole numbers"),
        (["--overlap", "0.95"], "overlap must lie in 0..0.9, got 0.95"),
        (["--engine", "onnx"], "engine is one of auto, torch, openvino"),
        (["--quick", "--spacing-factor", "3"], "--quick means --spacing-factor 2, and 3 was given too"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_value_that_means_nothing_is_refused_alike_by_every_command(command, arguments, words, tmp_path, capsys):
    own = {
        "segment": [str(tmp_path / "t1.nii"), "--model", "m", "--output", str(tmp_path / "out.nii")],
        "batch": [str(tmp_path), "--model", "m", "--output", str(tmp_path / "out")],
        "validate": ["m", str(tmp_path)],
    }
    assert run([command, *own[command], *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_the_three_commands_are_the_ones_that_have_these_flags():
    with_flags = {name for name, found in typer.main.get_command(app).commands.items() if _has_flags(found)}
    assert with_flags == set(COMMANDS) == {each.__name__ for each in (segment, batch, validate)}


def _has_flags(command):
    return any("--window-batch" in parameter.opts for parameter in command.params)


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (["--quick"], "spacing factor"),
        (["--overlap=0.1"], "overlap"),
        (["--no-mirror"], "mirroring"),
        (["--roi=0,9,0,9,0,9"], "region"),
        (["--roi-voxels=0,9,0,9,0,9"], "region in voxels"),
        (["--keep-largest"], "clean-up"),
    ],
)
def test_scores_of_another_way_to_segment_are_not_put_into_the_model_card(arguments, title, tmp_path, capsys):
    """They would stand there as those of the model."""
    assert run(["validate", "hippocampus-ultralight3d", str(tmp_path), "--card", "mine", *arguments]) == 2
    assert f"got another {title} beside --card" in capsys.readouterr().err


def test_the_way_a_model_is_run_does_not_keep_its_scores_from_the_card(tmp_path, capsys):
    flags = ["--device=cpu", "--precision=bfloat16", "--engine=torch", "--window-batch=2"]
    assert run(["validate", "hippocampus-ultralight3d", str(tmp_path), "--card", "mine", *flags]) == 2
    assert "beside --card" not in capsys.readouterr().err
