"""The button of a first start: while there is no volume, one click loads a sample and chooses a model for it."""

from collections.abc import Callable, Container
from typing import Any

from medseg.desktop.scene.looking import look_at_volume
from medseg.desktop.scene.sample import SAMPLE_MODEL, load_sample, sample_path
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node, nodes_of


class TryIt:
    """*Try it with a sample*; hidden as soon as there is something else to segment.

    Args:
        button: of the panel.
        parameters: hold the choices.
        models: ids of the models there are.
        say: hears what to do next.
    """

    def __init__(
        self, button: Any, parameters: Parameters, models: Callable[[], Container[str]], say: Callable[[str], None]
    ) -> None:
        self._button, self._parameters, self._models, self._say = button, parameters, models, say
        self._has_sample = sample_path().is_file()
        self._scene: Node = None
        self._tags: list[int] = []
        button.connect("clicked()", self.load)

    def set_scene(self, scene: Node) -> None:
        """Hear what comes into a scene and leaves it; None: of no scene."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        events = [] if scene is None else [scene.NodeAddedEvent, scene.NodeRemovedEvent]
        self._scene, self._tags = scene, [scene.AddObserver(event, lambda *_: self.refresh()) for event in events]

    def refresh(self) -> None:
        """Show the button while the scene has no volume."""
        is_empty = self._scene is not None and not nodes_of(self._scene, "vtkMRMLVolumeNode")
        self._button.setVisible(self._has_sample and is_empty)

    def load(self) -> None:
        """Load the sample and choose it and its model: what is left to do is Apply."""
        try:
            node = load_sample()
        except RuntimeError as error:
            self._say(_("The sample could not be loaded: {error}").format(error=error))
            return
        if SAMPLE_MODEL in self._models():
            self._parameters.change(model=SAMPLE_MODEL)
        self._parameters.set_inputs([node])
        look_at_volume(self._parameters.scene, node)
        self._say(_("This is a part of a head in MR. Press Apply: the hippocampus is found in some seconds."))
