"""The part of the panel where a model is chosen: a list, a search for those who have many, and the model's card."""

from collections.abc import Callable, Iterable
from typing import Any

import qt

from medseg.bundles.catalogue import Bundle, user_folder
from medseg.desktop.panel.controls import Showing, load_ui, select, selected, set_choices
from medseg.desktop.panel.model_card import card_html, one_line, picture_of
from medseg.desktop.panel.model_chips import ModelChips
from medseg.desktop.panel.model_filter import Entry, Filter, facets, make_entry, matching
from medseg.desktop.panel.model_titles import closed_titles
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _
from medseg.spec.measured import DatasetScores

_FEW = 5  # models that a list shows well enough; with more the search is open until one is chosen
_PICTURE = 72  # pixels, its longer edge


class ModelPicker:
    """A combo box of models, a search that opens on demand, and a card.

    Args:
        parameters: hold the chosen model's id.
        bundles: the models there are, by id.
    """

    def __init__(self, parameters: Parameters, bundles: Callable[[], dict[str, Bundle]]) -> None:
        self._parameters = parameters
        self._read_bundles = bundles
        self._bundles: dict[str, Bundle] = {}
        self._first = ""  # id of the model that counts where none was chosen; also when others come later
        self._entries: list[Entry] = []
        self._found: list[Entry] = []  # one a line of the list
        self._wanted = Filter()
        self._shown: Bundle | str | None = None  # what the card shows; the id of a model that is not there
        self._showing = Showing()
        self.widget, self._ui = load_ui("ModelPicker")
        self._chips = ModelChips(self._ui.chips, lambda *chip: self._search_for(self._wanted.toggled(*chip)))
        ui = self._ui
        ui.model.connect("currentIndexChanged(int)", lambda _index: self._choose(selected(ui.model)))
        ui.find.connect("toggled(bool)", lambda is_down: self._open_finder(is_down))
        ui.search.connect("textChanged(QString)", lambda text: self._search_for(Filter(text, self._wanted.chips)))
        ui.search.connect("returnPressed()", lambda: self._choose_line(0))
        ui.found.connect("currentRowChanged(int)", lambda row: self._choose_line(row))
        ui.more.connect("toggled(bool)", lambda is_down: self._open_details(is_down))
        self._ui.details.setVisible(False)
        self.reload()
        self._open_finder(len(self._bundles) > _FEW and not parameters.settings.model)

    @property
    def label(self) -> Any:
        """What stands before the box."""
        return self._ui.modelLabel

    @property
    def current(self) -> Bundle | None:
        """The chosen model, the one with the best Dice where none was chosen; None where it is not there."""
        wanted = self._parameters.settings.model
        return self._bundles.get(wanted or self._first)

    def reload(self) -> None:
        """Read anew which models there are."""
        self._bundles = dict(self._read_bundles())
        if self._first not in self._bundles:
            self._first = max(
                self._bundles, key=lambda name: _mean_dice(self._bundles[name].manifest.scores), default=""
            )
        self._entries = [make_entry(bundle) for bundle in self._bundles.values()]
        known = {value for entry in self._entries for value in entry.values}
        wanted = Filter(self._wanted.words, self._wanted.chips & known)
        self._chips.build(facets(self._entries, wanted))
        choices = [(title, model_id) for model_id, title in closed_titles(self._bundles).items()]
        with self._showing:
            set_choices(self._ui.model, choices or [(_("No model is installed"), "")])
        for index, bundle in enumerate(self._bundles.values()):  # a long title does not fit the box
            self._ui.model.setItemData(index, bundle.manifest.title, qt.Qt.ToolTipRole)
        self._ui.model.setEnabled(bool(choices))
        self._ui.find.setVisible(len(self._bundles) > 1)
        self._shown = None
        self._search_for(wanted)

    def refresh(self) -> None:
        """Show what the parameters hold."""
        current = self.current
        with self._showing:
            chosen = self._parameters.settings.model if current is None else current.manifest.model_id
            if chosen or self._bundles:
                select(self._ui.model, chosen, lambda name: _("{model} (not installed)").format(model=name))
            ids = [entry.model_id for entry in self._found]
            self._ui.found.setCurrentRow(ids.index(chosen) if chosen in ids else -1)
        self._show_card(current)

    def _choose(self, model_id: Any) -> None:
        if not self._showing and model_id and model_id != self._parameters.settings.model:
            self._parameters.change(model=model_id)
            self.refresh()

    def _choose_line(self, row: int) -> None:
        if not self._showing and 0 <= row < len(self._found):
            self._choose(self._found[row].model_id)

    def _open_finder(self, is_open: bool) -> None:
        self._ui.finder.setVisible(is_open)
        self._ui.find.setChecked(is_open)
        if is_open:
            self._ui.search.setFocus()

    def _open_details(self, is_open: bool) -> None:
        self._ui.details.setVisible(is_open)
        self._ui.more.setArrowType(qt.Qt.DownArrow if is_open else qt.Qt.RightArrow)

    def _search_for(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._found = matching(self._entries, self._wanted)
        self._chips.show(facets(self._entries, self._wanted), self._wanted)
        with self._showing:
            self._ui.found.clear()
            for entry in self._found:
                self._ui.found.addItem(entry.title)
        text = _("Mo&dels found: {found} of {all}").format(found=len(self._found), all=len(self._entries))
        self._ui.foundLabel.setText(text)
        self.refresh()

    def _show_card(self, bundle: Bundle | None) -> None:
        shown = self._parameters.settings.model if bundle is None else bundle
        if shown == self._shown:
            return
        self._shown = shown
        self._ui.more.setVisible(bundle is not None)
        self._ui.details.setVisible(bundle is not None and bool(self._ui.more.checked))
        self._show_picture(bundle)
        if bundle is None:
            name = self._parameters.settings.model
            text = _("No model is installed; put a bundle into {folder}.")
            if name:
                text = _(
                    "The model {model} of this scene is not installed; put its bundle into {folder}, or choose another."
                )
            self._ui.summary.setText(text.format(model=name, folder=user_folder()))
            return
        self._ui.model.setToolTip(bundle.manifest.title)
        self._ui.summary.setText(one_line(bundle.manifest))
        self._ui.details.setHtml(card_html(bundle))

    def _show_picture(self, bundle: Bundle | None) -> None:
        path = None if bundle is None else picture_of(bundle)
        picture = qt.QPixmap() if path is None else qt.QPixmap(str(path))
        is_there = bundle is not None and not picture.isNull()
        self._ui.picture.setVisible(is_there)
        if bundle is not None and is_there:
            self._ui.picture.setPixmap(
                picture.scaled(_PICTURE, _PICTURE, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
            )
            self._ui.picture.setAccessibleName(_("Picture of {title}").format(title=bundle.manifest.title))


def _mean_dice(scores: Iterable[DatasetScores]) -> float:
    """The best mean Dice over the data sets of a card; below 0 where there is none."""
    return max((each.plain.mean_dice.mean or 0.0 for each in scores), default=-1.0)
