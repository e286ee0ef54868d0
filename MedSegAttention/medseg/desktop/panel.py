"""The panel: choices become a job, events become progress, the answer becomes segments."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.bundles.catalogue import Bundle, catalogue
from medseg.desktop.job_process import JobProcess
from medseg.desktop.landing import PendingRun, land
from medseg.desktop.one_step import OneStep
from medseg.desktop.request import assign_channels, make_options, write_request
from medseg.desktop.texts import _, describe_event, describe_model, percent_done
from medseg.mrml.merging import check_target
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import MedSegError
from medseg.spec.events import CANCELLED, Event, Failed, Finished, Progress, Warned
from medseg.spec.job import Options

MakeProcess = Callable[[Callable[[Event], None], Callable[[str], None]], JobProcess]


class Panel:
    """What a user sees of the module.

    Args:
        scene: the MRML scene.
        make_process: given who hears events and log lines, makes the process that computes.
        ensure_packages: called on Apply, before anything else; raises ``MissingDependency``.
        controls: the widgets; None: real ones.
        versions: of Slicer and of this program, written beside each result.
    """

    def __init__(
        self,
        scene: Any,
        make_process: MakeProcess,
        *,
        ensure_packages: Callable[[], None] = lambda: None,
        controls: Any = None,
        versions: dict[str, str] | None = None,
    ) -> None:
        self.controls = _real_controls() if controls is None else controls
        self._scene = scene
        self._process = make_process(self._hear, self.controls.log.appendPlainText)
        self._ensure_packages = ensure_packages
        self._versions = versions or {}
        self._bundles: dict[str, Bundle] = {}
        self._run: PendingRun | None = None
        self._warnings: list[str] = []
        self._step: OneStep | None = None  # the last change of a segmentation that was there before
        self._result: Any = None
        self._connect()
        self.set_scene(scene)
        self.load_models()

    @property
    def widget(self) -> Any:
        """The Qt widget to put into a layout."""
        return self.controls.widget

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way."""
        return self._run is not None

    def load_models(self) -> None:
        """Fill the list of models anew."""
        self._bundles = catalogue()
        box = self.controls.model
        box.clear()
        for model_id, bundle in self._bundles.items():
            box.addItem(bundle.manifest.title, model_id)
        if not self._bundles:
            self.controls.status.setText(_("No model is installed."))
        self._model_changed()

    def set_scene(self, scene: Any) -> None:
        """Show the nodes of a scene; also call when it was closed, with the same scene."""
        self._scene = scene
        self.controls.set_scene(scene)
        self._refresh()

    def apply(self) -> None:
        """Start a job with what the controls hold; what is wrong with it is said in the status line."""
        status = self.controls.status
        status.setText(_("Starting..."))
        status.repaint()  # copying and writing the volume keeps the window busy for a moment
        try:
            with ExitStack() as on_failure:
                on_failure.callback(self._refresh)
                on_failure.callback(status.setText, "")
                self._start(on_failure)
                on_failure.pop_all()
        except (MedSegError, OSError) as error:
            status.setText(str(error))

    def cancel(self) -> None:
        """Stop the job."""
        self.controls.status.setText(_("Stopping..."))
        self._process.cancel()

    def undo(self) -> None:
        """Take the last change of an existing segmentation back; a second time: make it again."""
        if self._step is None:
            return
        try:
            text = self._step.turn()
        except MedSegError as error:
            text = str(error)
            self._step = None
        self.controls.status.setText(text)
        self._refresh()

    def show_3d(self) -> None:
        """Show the last result as surfaces."""
        if self._result is not None:
            self._result.CreateClosedSurfaceRepresentation()

    def close(self) -> None:
        """End the worker and remove what it left."""
        self._process.close()
        self._drop_request()

    def leave_scene(self) -> None:
        """Let go of all that belongs to the scene, which is being closed; a run of it is stopped and never shown.

        The next scene gives the same ids to other nodes.
        """
        self._step = self._result = None
        if self._run is not None:
            self._run = replace(self._run, is_stale=True)
            self.cancel()
        self._refresh()

    def _connect(self) -> None:
        controls = self.controls
        controls.model.connect("currentIndexChanged(int)", lambda _index: self._model_changed())
        controls.output.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._refresh())
        controls.apply.connect("clicked()", self.apply)
        controls.cancel.connect("clicked()", self.cancel)
        controls.undo.connect("clicked()", self.undo)
        controls.show_3d.connect("clicked()", self.show_3d)

    def _bundle(self) -> Bundle | None:
        return self._bundles.get(current_value(self.controls.model))

    def _model_changed(self) -> None:
        bundle = self._bundle()
        if bundle is not None:
            manifest = bundle.manifest
            self.controls.card.setText(describe_model(manifest))
            before = len(self.controls.inputs)
            self.controls.set_channels([channel.name for channel in manifest.channels], self._scene)
            for selector in self.controls.inputs[before:]:
                selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._refresh())
            self._guess_inputs(bundle)
        self._refresh()

    def _guess_inputs(self, bundle: Bundle) -> None:
        """For a model of several channels choose volumes by their names."""
        if len(self.controls.inputs) < 2:
            return
        kind = "vtkMRMLScalarVolumeNode"  # labelmaps and colour images are of classes derived from it
        nodes = [self._scene.GetNthNodeByClass(n, kind) for n in range(self._scene.GetNumberOfNodesByClass(kind))]
        by_name = {node.GetName(): node for node in nodes if node.GetClassName() == kind}
        chosen = assign_channels(list(by_name), bundle.manifest)
        for selector, name in zip(self.controls.inputs, chosen, strict=True):
            if name is not None:
                selector.setCurrentNode(by_name[name])

    def _refresh(self) -> None:
        """Enable what can be done now."""
        controls, busy = self.controls, self.is_busy
        volumes = [selector.currentNode() for selector in controls.inputs]
        controls.apply.setEnabled(
            not busy and self._bundle() is not None and bool(volumes) and all(node is not None for node in volumes)
        )
        controls.cancel.setEnabled(busy)
        controls.undo.setEnabled(not busy and self._step is not None)
        controls.undo.setText(_("R&edo") if self._step is not None and self._step.is_undone else _("&Undo"))
        controls.show_3d.setEnabled(not busy and self._result is not None)
        controls.mode.setEnabled(controls.output.currentNode() is not None)
        controls.progress.setVisible(busy)

    def _start(self, on_failure: ExitStack) -> None:
        self._ensure_packages()
        folder = Path(tempfile.mkdtemp(prefix="medseg-"))
        on_failure.callback(self._forget, folder)
        self._run = self._write(folder)
        self._warnings.clear()
        self.controls.progress.setValue(0)
        self._refresh()
        self._process.start(self._run.request.job)

    def _write(self, folder: Path) -> PendingRun:
        bundle = self._bundles[current_value(self.controls.model)]
        nodes = [selector.currentNode() for selector in self.controls.inputs]
        target = self.controls.output.currentNode()
        if target is not None:
            check_target(target)
        images = [image_from_volume_node(node) for node in nodes]
        return PendingRun(
            request=write_request(folder, images, bundle.manifest, self._options()),
            bundle=bundle,
            image=images[0],
            volume_id=nodes[0].GetID(),
            target_id=None if target is None else target.GetID(),
            mode=current_value(self.controls.mode),
        )

    def _options(self) -> Options:
        controls = self.controls
        roi, bounds = controls.roi.currentNode(), None
        if roi is not None:
            bounds = [0.0] * 6
            roi.GetRASBounds(bounds)
        return make_options(
            device=current_value(controls.device),
            overlap=current_value(controls.overlap),
            mirror=current_value(controls.mirror),
            roi_bounds=bounds,
        )

    def _hear(self, event: Event) -> None:
        self.controls.status.setText(describe_event(event))
        match event:
            case Progress():
                self.controls.progress.setValue(percent_done(event))
            case Warned(message):
                self._warnings.append(message)
                self.controls.log.appendPlainText(message)
            case Finished():
                self.controls.status.setText("\n".join([describe_event(event), *self._warnings]))
                self._finish(event)
            case Failed(message, _):
                if message != CANCELLED:
                    self.controls.log.appendPlainText(message)
                self._drop_request()

    def _finish(self, finished: Finished) -> None:
        run = self._run
        if run is None:
            return
        if run.is_stale:
            self.controls.status.setText(_("The scene was closed; the result was dropped."))
            self._drop_request()
            return
        landing = land(self._scene, run, finished, self._versions)
        self._result, self._step = landing.node, landing.step
        if landing.message is not None:
            self.controls.status.setText(landing.message)
            self.controls.log.appendPlainText(landing.message)
        if landing.kept is None:
            self._drop_request()
        else:
            self._run = None
            self._refresh()

    def _drop_request(self) -> None:
        self._forget(self._run.request.folder if self._run is not None else None)
        self._refresh()

    def _forget(self, folder: Path | None) -> None:
        self._run = None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def current_value(box: Any) -> Any:
    """What stands behind the chosen line of a combo box."""
    return box.itemData(box.currentIndex)


def _real_controls() -> Any:
    from medseg.desktop.controls import Controls

    return Controls()
