"""What the Python console shows of a run: enough to see that it goes on, and not a line a window."""

from medseg.desktop.console.telling import Teller
from medseg.spec.events import Finished, Progress, Warned


def test_each_stage_is_told_when_it_begins_and_then_every_few_seconds():
    lines, now = [], [0.0]
    tell = Teller(lines.append, lambda: now[0])
    tell(Progress("read", 0, 1, None))
    for done in range(100):
        now[0] = 1 + done / 10  # ten seconds
        tell(Progress("windows", done, 100, 10 - done / 10))
    tell(Finished(("x",), "cpu", 11.0))
    assert lines[0] == "Reading the volume"
    assert lines[1] == "The network looks at the volume, about 10 seconds left"
    assert lines[2] == "The network looks at the volume, a few seconds left"
    assert lines[-1].startswith("Done in 11.0 s")
    assert len(lines) == 4


def test_warnings_are_told_and_standard_output_is_where_lines_go(capsys):
    Teller()(Warned("the scan is thick"))
    assert capsys.readouterr().out == "Warning: the scan is thick\n"
