"""The part of the panel that gives segments of a model other names, colours and codes, stored by Save alone."""

from collections.abc import Callable

import qt

from medseg.bundles.catalogue import Bundle
from medseg.bundles.own import require_own
from medseg.bundles.relabel import (
    LabelChange,
    code_text,
    color_text,
    difference_lines,
    relabelled,
    suggested_changes,
)
from medseg.bundles.update import update_bundle
from medseg.desktop.panel.controls import Showing, load_ui, set_cell, show_text
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.state.order import Order
from medseg.desktop.state.texts import _
from medseg.spec.errors import JobError, MedSegError
from medseg.spec.manifest import LabelSpec, ModelManifest

_VALUE, _NAME, _COLOR, _CODE = range(4)


class ModelLabels:
    """A table of the chosen model's segments.

    Args:
        current_model: the chosen one; None where it is not installed.
        queue: knows which models are at work.
        on_change: called when a model's words were stored.
    """

    def __init__(
        self, current_model: Callable[[], Bundle | None], queue: JobQueue, on_change: Callable[[], None]
    ) -> None:
        self._current, self._queue, self._on_change = current_model, queue, on_change
        self._bundle: Bundle | None = None  # whose segments the table shows
        self._showing = Showing()
        self.widget, self._ui = load_ui("ModelLabels")
        ui = self._ui
        ui.labels.setColumnCount(4)
        ui.labels.setHorizontalHeaderLabels([_("Value"), _("Name"), _("Colour"), _("Term or code")])
        ui.labels.horizontalHeader().setSectionResizeMode(_CODE, qt.QHeaderView.Stretch)
        ui.labels.connect("cellChanged(int,int)", lambda _line, _column: self._edited())
        ui.suggest.connect("clicked()", self.suggest)
        ui.save.connect("clicked()", self.save)
        ui.discard.connect("clicked()", self.discard)
        show_text(ui.changes, "")

    def refresh(self) -> None:
        """Show the segments of the model that is chosen; what is being edited stays while that is the same."""
        bundle = self._current()
        if bundle != self._bundle:
            self._bundle = bundle
            self.discard()

    def discard(self) -> None:
        """Show what the model's files say."""
        bundle = self._bundle
        self._fill(() if bundle is None else bundle.manifest.labels)
        may_edit, text = False, _("No model is chosen.")
        if bundle is not None:
            text = _("Segments of {title}:").format(title=bundle.manifest.title)
            try:
                require_own(bundle)
                may_edit = True
            except JobError as error:
                text = f"{text} {error}"
        self._ui.about.setText(text)
        triggers = qt.QAbstractItemView.NoEditTriggers
        if may_edit:
            triggers = qt.QAbstractItemView.DoubleClicked | qt.QAbstractItemView.EditKeyPressed
        self._ui.labels.setEditTriggers(triggers)
        self._ui.suggest.setEnabled(may_edit)
        self._edited()

    def suggest(self) -> None:
        """Write the likeliest terms into the table."""
        if self._bundle is None:
            return
        labels = self._bundle.manifest.labels
        found = suggested_changes(labels)
        with self._showing:
            for line, change in ((n, found[label.value]) for n, label in enumerate(labels) if label.value in found):
                set_cell(self._ui.labels, line, _CODE, change.code or "")
                if change.color is not None:
                    set_cell(self._ui.labels, line, _COLOR, change.color)
        self._edited()
        if not found:
            show_text(self._ui.changes, _("No term is like the name of a segment that has none."))

    def save(self) -> None:
        """Store what differs, after all of it was understood."""
        bundle = self._bundle
        if bundle is None:
            return
        try:
            require_own(bundle)
            changed = self._changed(bundle)
            running = [row.order for row in self._queue.rows if not row.has_ended]
            if any(isinstance(order, Order) and order.bundle.folder == bundle.folder for order in running):
                msg = _("A job in the queue uses this model; wait for its end, or cancel it there")
                raise JobError(msg)
            update_bundle(bundle, changed)
        except (MedSegError, OSError) as error:
            show_text(self._ui.changes, str(error))
            return
        self._on_change()
        show_text(self._ui.changes, _("Stored; results that are in the scene keep their words."))

    def _fill(self, labels: tuple[LabelSpec, ...]) -> None:
        table = self._ui.labels
        with self._showing:
            table.setRowCount(len(labels))
            for line, label in enumerate(labels):
                value = set_cell(table, line, _VALUE, str(label.value))
                value.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
                set_cell(table, line, _NAME, label.name)
                set_cell(table, line, _COLOR, color_text(label.color))
                set_cell(table, line, _CODE, code_text(label))

    def _edited(self) -> None:
        """Show what would be stored, or what is not understood yet."""
        if self._showing:
            return
        bundle, lines = self._bundle, []
        may_save = False
        if bundle is not None:
            try:
                lines = difference_lines(bundle.manifest.labels, self._changed(bundle).labels)
                may_save = bool(lines)
            except MedSegError as error:
                lines = [str(error)]
        show_text(self._ui.changes, "\n".join(lines))
        self._ui.save.setEnabled(may_save)
        self._ui.discard.setEnabled(bool(lines))

    def _changed(self, bundle: Bundle) -> ModelManifest:
        table = self._ui.labels

        def text(line: int, column: int) -> str:
            return str(table.item(line, column).text())

        labels = bundle.manifest.labels
        changes = {
            label.value: LabelChange(name=text(line, _NAME), color=text(line, _COLOR), code=text(line, _CODE))
            for line, label in enumerate(labels)
        }
        differing = {
            label.value: changes[label.value]
            for label in labels
            if changes[label.value] != LabelChange(label.name, color_text(label.color), code_text(label))
        }
        return relabelled(bundle.manifest, differing) if differing else bundle.manifest
