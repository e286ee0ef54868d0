"""What is segmented, by which model, and where the segments go."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.controls import Binding, set_choices
from medseg.desktop.panel.inputs_view import InputsView
from medseg.desktop.panel.model_picker import ModelPicker
from medseg.desktop.panel.try_it import TryIt
from medseg.desktop.state.parameters import OUTPUT, Parameters
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.sequences import sequence_of


class Choices:
    """The upper part of the panel: model, volumes, time points, and the segmentation to join.

    Args:
        parameters: hold the choices.
        names: the panel's controls by their names in the ``.ui`` file.
        bundles: the models there are, by id.
        on_volume: hears each volume that the user chose.
        say: hears a sentence for the user.
    """

    def __init__(
        self,
        parameters: Parameters,
        names: SimpleNamespace,
        bundles: Callable[[], dict[str, Bundle]],
        on_volume: Callable[[Node], None] = lambda _node: None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._parameters, self._names = parameters, names
        self._model_shown: str | None = None
        self.inputs = InputsView(parameters, on_volume)
        self.picker = ModelPicker(parameters, bundles)
        self._try_it = TryIt(names.tryIt, parameters, bundles, say)
        names.inputsPlace.layout().addWidget(self.inputs.widget)
        names.modelPlace.layout().addWidget(self.picker.widget)
        set_choices(
            names.mode,
            [
                (_("Keep them; new ones may overlap"), "add"),
                (_("Keep them; new ones overwrite"), "overwrite"),
                (_("Keep them; new ones overwrite visible ones"), "overwrite_visible"),
                (_("Replace those of the same name"), "replace"),
            ],
        )
        names.output.noneDisplay = _("New segmentation")
        self._binding = Binding(parameters)
        self._binding.choice(names.mode, "mode")
        self._binding.tick(names.allTimePoints, "all_time_points")
        self._binding.node(names.output, OUTPUT)

    def current_model(self) -> Bundle | None:
        """The model that is chosen; None where it is not installed."""
        return self.picker.current

    @property
    def labels(self) -> list[Any]:
        """What stands before the fields, to be given one width."""
        return [*self.inputs.labels, self.picker.label, self._names.outputLabel, self._names.modeLabel]

    def set_scene(self, scene: Node) -> None:
        """Offer the nodes of a scene; None: of no scene."""
        self._names.output.setMRMLScene(scene)
        self.inputs.set_scene(scene)
        self._try_it.set_scene(scene)
        self._model_shown = None

    def refresh(self) -> None:
        """Show what the parameters hold; of existing segments nothing is asked where there are none."""
        bundle = self.picker.current
        self.picker.refresh()
        if bundle is not None and bundle.manifest.model_id != self._model_shown:
            self._model_shown = bundle.manifest.model_id
            self.inputs.set_model(bundle)
        self.inputs.refresh()
        self._try_it.refresh()
        self._binding.refresh()
        for part in (self._names.mode, self._names.modeLabel):
            part.setVisible(self._parameters.node(OUTPUT) is not None)
        volume = self._parameters.inputs(1)[0]
        self._names.allTimePoints.setVisible(
            self._parameters.settings.all_time_points
            or (volume is not None and sequence_of(self._parameters.scene, volume) is not None)
        )
