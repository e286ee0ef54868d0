"""Statistics of a segmentation and its agreement with another: measured in steps, shown, put into the scene, saved."""

from collections.abc import Callable
from pathlib import Path

from medseg.desktop.panel.controls import ask_path_to_save
from medseg.desktop.panel.sections.measurements_view import MeasurementsView
from medseg.desktop.panel.sections.task import Task
from medseg.desktop.state.parameters import REFERENCE, Parameters
from medseg.desktop.state.texts import _
from medseg.mrml.agreement import dice_steps
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import own_volume, segment_names
from medseg.mrml.statistics import add_statistics_table, statistics_steps, write_statistics
from medseg.spec.errors import MedSegError

STATISTICS, DICE = "statistics", "Dice"  # kinds of task


class Measuring:
    """What is measured of one segmentation, and where it goes.

    Args:
        parameters: of the panel; the segmentation to compare with is one of them.
        table: shows the numbers.
        task: runs the measuring.
        say: hears a sentence for the user.
        ask_path: given a name, asks for a file; None: the user does not want one.
    """

    def __init__(
        self,
        parameters: Parameters,
        table: MeasurementsView,
        task: Task,
        say: Callable[[str], None],
        ask_path: Callable[[str], Path | None],
    ) -> None:
        self._parameters, self._table, self._task, self._say, self._ask_path = parameters, table, task, say, ask_path
        self.node: Node = None  # whose numbers are shown; None: no numbers are

    @property
    def is_running(self) -> bool:
        """Whether numbers are still to come."""
        return self._task.kind in (STATISTICS, DICE)

    @property
    def is_complete(self) -> bool:
        """Whether the numbers shown are those of every segment."""
        count = 0 if self.node is None else int(self.node.GetSegmentation().GetNumberOfSegments())
        return self.node is not None and len(self._table.rows) == count and not self.is_running

    @property
    def has_rows(self) -> bool:
        """Whether every segment is measured."""
        return self.node is not None and bool(self._table.rows) and self._task.kind != STATISTICS

    def measure(self, node: Node) -> None:
        """Measure every segment, on the volume that was segmented, and compare where a reference is chosen."""
        volume = own_volume(node)
        count = int(node.GetSegmentation().GetNumberOfSegments())
        self._begin(node)

        def end() -> None:
            self._say(_("{count} segments are measured.").format(count=len(self._table.rows)))
            self.compare(node)

        self._task.begin(
            STATISTICS,
            lambda: statistics_steps(node, volume),
            self._table.put,
            end,
            progress=_("Measuring: {done} of {total}"),
            total=count,
            stopped=_("Stopped; not every segment is measured."),
        )

    def compare(self, node: Node) -> None:
        """Score each segment against the one of the same name in the reference, if there is one."""
        reference = self._parameters.node(REFERENCE)
        if reference is None:
            return
        if node is reference:
            self._say(_("Choose another segmentation to compare with; this is the same one."))
            return
        self._task.stop()
        if self.node is not node:
            self._begin(node)
        self._table.begin_comparison()
        end = _("Compared with {name}.").format(name=reference.GetName())
        self._task.begin(
            DICE,
            lambda: dice_steps(node, reference),
            lambda score: self._table.put_dice(*score),
            lambda: self._say(end),
            progress=_("Comparing: {done} of {total}"),
            total=len(self._table.names | set(segment_names(reference).values())),
            stopped=_("Stopped; not every segment is compared."),
        )

    def names_changed(self) -> None:
        """Call the segments what they are called now; a score was of the old name and goes."""
        if self.node is not None:
            self._table.rename(segment_names(self.node))

    def forget(self) -> None:
        """Drop the measurements: they are outdated, or the segmentation is not shown any more."""
        self.node = None
        self._table.clear()

    def add_table(self) -> None:
        """Put the statistics into the scene as a table node."""
        if self.node is not None:
            name = _("{name} statistics").format(name=self.node.GetName())
            table = add_statistics_table(self._parameters.scene, self._table.rows, name, self._table.scores)
            self._say(_("The statistics are in the table {name}.").format(name=table.GetName()))

    def save_csv(self) -> None:
        """Write the statistics to a file that the user names."""
        path = None if self.node is None else self._ask_path(self.node.GetName())
        if path is None:
            return
        try:
            write_statistics(path, self._table.rows, self._table.scores, overwrite=True)  # the dialog has asked
        except (MedSegError, OSError) as error:
            self._say(str(error))
        else:
            self._say(_("Saved as {path}").format(path=path))

    def _begin(self, node: Node) -> None:
        self._task.stop()
        self._table.begin(node)
        self.node = node


def ask_csv_path(name: str) -> Path | None:
    """Let the user say where a table goes, with this name without its ending proposed; None: nowhere."""
    return ask_path_to_save(_("Save statistics"), f"{name}.csv", _("Comma-separated values (*.csv)"))
