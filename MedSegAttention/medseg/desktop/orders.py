"""The panel's choices -> orders for the queue; an order -> a job folder, written when its turn comes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.desktop.landing import PendingRun
from medseg.desktop.order import Order, TimePoint
from medseg.desktop.parameters import OUTPUT, ROI, Parameters
from medseg.desktop.request import assign_channels, write_request
from medseg.desktop.results import Mode
from medseg.desktop.settings import Joining
from medseg.desktop.texts import _
from medseg.imaging.image import Image
from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.merging import check_target
from medseg.mrml.overlap import Overlap
from medseg.mrml.rois import roi_bounds
from medseg.mrml.sequences import add_output_sequence, item_count, item_image, sequence_of
from medseg.mrml.volumes import channel_view
from medseg.spec.errors import JobError

# What happens to the segments of the segmentation to join -> how labels are merged, and whose voxels they take.
MERGING: Mapping[Joining, tuple[Mode, Overlap]] = {
    "add": ("add", "allow"),
    "overwrite": ("add", "all"),
    "overwrite_visible": ("add", "visible"),
    "replace": ("replace", "allow"),
}
_SCAN = "vtkMRMLScalarVolumeNode"  # labelmaps and colour images are of classes derived from it


def make_orders(parameters: Parameters, bundle: Bundle) -> list[Order]:
    """What Apply asks for: one order, or one a time point.

    Raises:
        MedSegError: if a volume is missing, or what was chosen means nothing.
    """
    volumes = parameters.inputs(len(bundle.manifest.channels))
    missing = [channel.name for channel, node in zip(bundle.manifest.channels, volumes, strict=True) if node is None]
    if missing:
        msg = _("Choose a volume for {channels}").format(channels=", ".join(missing))
        raise JobError(msg)
    target = parameters.node(OUTPUT)
    if target is not None:
        check_target(target)
    sequence = sequence_of(parameters.scene, volumes[0]) if parameters.settings.all_time_points else None
    if sequence is not None and len(volumes) > 1:
        msg = _("Time points are segmented one by one for models of one channel; this one takes {count}").format(
            count=len(volumes)
        )
        raise JobError(msg)
    if sequence is None:
        return [_order(parameters, bundle, volumes, target)]
    output = add_output_sequence(parameters.scene, sequence)
    points = [TimePoint(sequence.GetID(), item, output.GetID()) for item in range(item_count(sequence))]
    return [_order(parameters, bundle, volumes, None, point) for point in points]


def orders_for_all(parameters: Parameters, bundle: Bundle) -> list[Order]:
    """One order for each volume of the scene, or each set of volumes whose names fit the model's channels."""
    return [_order(parameters, bundle, volumes, None) for volumes in volume_sets(parameters.scene, bundle)]


def volume_sets(scene: Node, bundle: Bundle) -> list[list[Node]]:
    """The scans of a scene; for a model of several channels, sets of them by name."""
    left = {node.GetName(): node for node in scans(scene)}
    if len(bundle.manifest.channels) == 1:
        return [[node] for node in scans(scene)]
    found: list[list[Node]] = []
    while True:
        names = [name for name in assign_channels(list(left), bundle.manifest) if name is not None]
        if len(names) < len(bundle.manifest.channels):
            return found
        found.append([left.pop(name) for name in names])


def scans(scene: Node) -> list[Node]:
    """The scalar volumes of a scene that are no labelmaps."""
    nodes = [scene.GetNthNodeByClass(n, _SCAN) for n in range(scene.GetNumberOfNodesByClass(_SCAN))]
    return [node for node in nodes if node.GetClassName() == _SCAN and not node.GetHideFromEditors()]


def prepare(scene: Node, order: Order, folder: Path) -> PendingRun:
    """Write the job of an order, with the volumes as they are now.

    Args:
        scene: the MRML scene.
        order: what was asked for.
        folder: exists and belongs to this job alone.

    Raises:
        MedSegError: if a volume is gone, or is no image.
        OSError: if the folder cannot be written.
    """
    target = None if order.target_id is None else scene.GetNodeByID(order.target_id)
    if target is not None:
        check_target(target)
    images = _images(scene, order)
    settings = order.settings
    request = write_request(
        folder,
        images,
        order.bundle.manifest,
        settings.options(order.roi_ras_mm),
        probabilities=settings.probabilities or settings.entropy,
    )
    mode, overlap = MERGING[settings.mode]
    return PendingRun(
        request=request,
        bundle=order.bundle,
        image=images[0],
        volume_id=order.volume_ids[0],
        target_id=order.target_id,
        mode=mode,
        overlap=overlap,
        settings=settings,
        time_point=order.time_point,
    )


def _images(scene: Node, order: Order) -> list[Image]:
    point = order.time_point
    nodes = [scene.GetNodeByID(each) for each in (order.volume_ids if point is None else (point.sequence_id,))]
    if any(node is None for node in nodes):
        msg = _("The volume is no longer in the scene; load it again and press Apply")
        raise JobError(msg)
    if point is not None:
        return [item_image(scene, nodes[0], point.item)]
    # Written to a file at once, so no copy is made meanwhile, which would keep the window busy as long again.
    return [Image(channel_view(node), ijk_to_world(node)) for node in nodes]


def _order(
    parameters: Parameters, bundle: Bundle, volumes: Sequence[Node], target: Node, point: TimePoint | None = None
) -> Order:
    roi = parameters.node(ROI)
    settings = parameters.settings
    bounds = None if roi is None else roi_bounds(roi)
    settings.options(bounds)
    names: Mapping[str, str] = {"volume": volumes[0].GetName(), "number": "" if point is None else str(point.item + 1)}
    title = "{volume}" if point is None else _("{volume}, time point {number}")
    return Order(
        bundle=bundle,
        volume_ids=tuple(node.GetID() for node in volumes),
        settings=settings,
        roi_ras_mm=bounds,
        target_id=None if target is None else target.GetID(),
        title=title.format(**names),
        time_point=point,
    )
