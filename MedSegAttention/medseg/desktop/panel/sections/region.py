"""The part of the panel about where to look: a region of interest, and a quick preview."""

from collections.abc import Callable
from typing import Any

from medseg.desktop.panel.controls import Binding, Section, load_ui
from medseg.desktop.scene.located_boxes import newest_boxes, shown_boxes, toggle_boxes
from medseg.desktop.state.parameters import ROI, Parameters
from medseg.desktop.state.settings import DEFAULTS
from medseg.desktop.state.steps import later
from medseg.desktop.state.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.rois import fit_roi, roi_bounds, roi_voxels, snap_roi
from medseg.spec.errors import JobError, MedSegError
from medseg.spec.job import QUICK

_NEW_SHARE = 0.5  # of the volume's edges that a new region has


class RegionSection(Section):
    """Which box is segmented, and how finely.

    Args:
        parameters: hold the region node and the choice of a preview.
        current_volume: the first input volume, None where none is chosen.
        current_segmentation: the result that is looked at, None where there is none.
        on_change: called, when Qt's loop next turns, after the region was moved or sized: a run takes another time.
    """

    def __init__(
        self,
        parameters: Parameters,
        current_volume: Callable[[], Node],
        current_segmentation: Callable[[], Node],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.title = _("Region")
        self._parameters = parameters
        self._volume, self._segmentation = current_volume, current_segmentation
        self._on_change, self._is_told = on_change, False
        self._in_views: Node = None  # the region that the views show because it was chosen here
        self._scene: Node = None  # that the selector lists
        self._observed: Node = None
        self._tags: list[int] = []
        self.widget, self._ui = load_ui("Region")
        self._binding = Binding(parameters)
        self._binding.tick(self._ui.quick, "spacing_factor", on=QUICK, off=DEFAULTS.spacing_factor)
        self._binding.node(self._ui.roi, ROI, self._show_in_views)
        self._ui.roi.connect("nodeAddedByUser(vtkMRMLNode*)", lambda node: self._move(_centre_roi, node))
        self._ui.fit.connect("clicked()", lambda: self._move(fit_roi))
        self._ui.snap.connect("clicked()", lambda: self._move(snap_roi))
        self._ui.boxes.connect("clicked()", self._toggle_boxes)
        self.refresh()

    def refresh(self) -> None:
        """Show what the parameters hold."""
        if self._scene is not self._parameters.scene:
            self._scene = self._parameters.scene
            with self._binding.showing:
                self._ui.roi.setMRMLScene(self._scene)
        self._binding.refresh()
        self._observe(self._parameters.node(ROI))
        self._show_extent()
        self._show_boxes()

    def differences(self) -> list[str]:
        """Names of the controls that differ from the default."""
        region = [] if self._parameters.node(ROI) is None else [str(self._ui.roi.accessibleName)]
        return region + self._binding.differences()

    def close(self) -> None:
        """Let go of the region node and of the scene."""
        self._observe(None)
        with self._binding.showing:
            self._ui.roi.setMRMLScene(None)

    def _move(self, change: Callable[[Node, Node], Any], roi: Node = None) -> None:
        if self._volume() is None:
            return
        try:
            change(self._parameters.node(ROI) if roi is None else roi, self._volume())
        except MedSegError as error:
            self._ui.extent.setText(str(error))
        else:
            self._show_extent()

    def _toggle_boxes(self) -> None:
        node = self._segmentation()
        if node is not None:
            toggle_boxes(self._parameters.scene, node)
        self._show_boxes()

    def _show_boxes(self) -> None:
        """Offer to show where the model of the result was located, if it was."""
        scene, node = self._parameters.scene, self._segmentation()
        is_shown = node is not None and bool(shown_boxes(scene, node))
        self._ui.boxes.setEnabled(is_shown or bool(newest_boxes(node)))
        self._ui.boxes.setText(_("Hide where the model looked") if is_shown else _("Show where the model looked"))

    def _dropped(self, roi: Node) -> None:
        """The mouse has let go of the region: its faces go onto the edges of voxels."""
        if roi is self._observed:
            self._move(snap_roi, roi)

    def _observe(self, roi: Node) -> None:
        if roi is self._observed:
            return
        if self._observed is not None:
            for tag in self._tags:
                self._observed.RemoveObserver(tag)
        self._observed = roi
        if roi is not None:
            self._tags = [
                roi.AddObserver("ModifiedEvent", lambda *_: self._changed()),
                # The handle still belongs to the mouse while this is heard.
                roi.AddObserver(roi.PointEndInteractionEvent, lambda *_: later(lambda: self._dropped(roi))),
            ]

    def _changed(self) -> None:
        self._show_extent()
        if not self._is_told:  # dragging tells many times a second
            self._is_told = True
            later(self._tell)

    def _tell(self) -> None:
        self._is_told = False
        if self._observed is not None:
            self._on_change()

    def _show_in_views(self, roi: Node) -> None:
        """Show the region that was chosen, and no longer the one before; only its edges, so that anatomy is seen."""
        before, self._in_views = self._in_views, roi
        if before is not None and before is not roi and before.GetDisplayNode() is not None:
            before.GetDisplayNode().SetVisibility(False)
        if roi is None:
            return
        if roi.GetDisplayNode() is None:
            roi.CreateDefaultDisplayNodes()
        display = roi.GetDisplayNode()
        if display is not None:
            display.SetVisibility(True)
            display.SetHandlesInteractive(True)
            display.SetFillVisibility(False)

    def _show_extent(self) -> None:
        roi, volume = self._parameters.node(ROI), self._volume()
        self._ui.fit.setEnabled(roi is not None and volume is not None)
        self._ui.snap.setEnabled(roi is not None and volume is not None)
        try:
            self._ui.extent.setText(extent_text(roi, volume))
        except MedSegError as error:
            self._ui.extent.setText(str(error))


def extent_text(roi: Node, volume: Node) -> str:
    """How large the box is that is segmented, in millimetres and in voxels of the volume.

    Raises:
        JobError: if the region has no size.
        ImageError: if the volume hangs under a non-linear transform.
    """
    if roi is None:
        return _("The whole volume is segmented.")
    edges = [0.0, 0.0, 0.0]
    roi.GetSizeWorld(edges)
    size = " × ".join(f"{edge:.1f}" for edge in edges)
    if volume is None or volume.GetImageData() is None:
        return _("{size} mm").format(size=size)
    try:
        i, i_stop, j, j_stop, k, k_stop = roi_voxels(roi, volume)
    except JobError:
        roi_bounds(roi)
        return _("{size} mm; it lies beside the volume: move it, or fit it to the volume").format(size=size)
    voxels = " × ".join(map(str, (i_stop - i, j_stop - j, k_stop - k)))
    return _("{size} mm; {voxels} voxels (I, J, K)").format(size=size, voxels=voxels)


def _centre_roi(roi: Node, volume: Node) -> None:
    """Put a new region into the middle of the volume, where it can be seen and dragged."""
    fit_roi(roi, volume)
    roi.SetSize(*(edge * _NEW_SHARE for edge in roi.GetSize()))
    snap_roi(roi, volume)
