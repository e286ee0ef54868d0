"""The part of the panel about cleaning the segments: as the model says, or with volumes of one's own."""

from collections.abc import Callable

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.controls import Binding, Section, load_ui, select, selected, set_choices
from medseg.desktop.panel.model_card import describe_postprocess
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.settings import DEFAULTS
from medseg.desktop.state.texts import _
from medseg.spec.postprocess import PostprocessRule

_OWN = ("keep_largest", "min_island_mm3", "fill_holes_mm3")


class PostprocessingSection(Section):
    """Keep the largest piece, remove islands, fill holes.

    Args:
        parameters: hold the choices.
        current_model: the model whose rule is used where the user has none, None where none is installed.
    """

    def __init__(self, parameters: Parameters, current_model: Callable[[], Bundle | None]) -> None:
        self.title = _("Postprocessing")
        self._parameters = parameters
        self._model = current_model
        self.widget, self._ui = load_ui("Postprocessing")
        self._binding = Binding(parameters)
        set_choices(self._ui.rule, [(_("As the model says"), False), (_("With values of my own"), True)])
        self._ui.rule.connect("currentIndexChanged(int)", lambda _index: self._choose())
        self._binding.tick(self._ui.keepLargest, "keep_largest")
        self._binding.number(self._ui.minIsland, "min_island_mm3")
        self._binding.number(self._ui.fillHoles, "fill_holes_mm3")
        self.refresh()

    def refresh(self) -> None:
        """Show what the parameters hold and what the model says."""
        settings = self._parameters.settings
        with self._binding.showing:
            select(self._ui.rule, settings.own_postprocess)
        self._binding.refresh()
        self._ui.own.setVisible(settings.own_postprocess)
        rule = settings.options().postprocess or self._model_rule()
        steps = "" if rule is None else _("Afterwards: {steps}.").format(steps=describe_postprocess(rule))
        self._ui.words.setText(steps)

    def differences(self) -> list[str]:
        """Names of the controls that differ from the default; values of one's own count only while they are used."""
        if not self._parameters.settings.own_postprocess:
            return []
        return [str(self._ui.rule.accessibleName), *self._binding.differences()]

    def _choose(self) -> None:
        is_own = bool(selected(self._ui.rule))
        settings = self._parameters.settings
        if self._binding.showing or is_own == settings.own_postprocess:
            return
        untouched = all(getattr(settings, name) == getattr(DEFAULTS, name) for name in _OWN)
        rule = self._model_rule()
        if is_own and untouched and rule is not None:  # begin with what would be done anyway
            self._parameters.change(own_postprocess=True, **{name: getattr(rule, name) for name in _OWN})
        else:
            self._parameters.change(own_postprocess=is_own)

    def _model_rule(self) -> PostprocessRule | None:
        bundle = self._model()
        return None if bundle is None else bundle.manifest.postprocess
