"""The panel's choices -> orders for the queue; an order -> a job folder, written when its turn comes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.cases import segmentable, volume_sets
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.scene.results import Mode
from medseg.desktop.state.order import Order, TimePoint
from medseg.desktop.state.parameters import OUTPUT, ROI, Parameters
from medseg.desktop.state.settings import Joining, PanelSettings
from medseg.desktop.state.texts import _
from medseg.desktop.worker.job_folder import write_request
from medseg.imaging.image import Image
from medseg.mrml.grids import Node, ijk_to_world
from medseg.mrml.measured_grid import spacing_is_known
from medseg.mrml.merging import Overlap, check_target
from medseg.mrml.placing import modality_of
from medseg.mrml.rois import roi_bounds, roi_voxels
from medseg.mrml.sequences import add_output_sequence, item_count, item_image, sequence_of
from medseg.mrml.volumes import scan_view
from medseg.spec.errors import JobError

_NAMED = 5  # volumes that are named; a status line is no list

# What happens to the segments of the segmentation to join -> how labels are merged, and whose voxels they take.
MERGING: Mapping[Joining, tuple[Mode, Overlap]] = {
    "add": ("add", "allow"),
    "overwrite": ("add", "all"),
    "overwrite_visible": ("add", "visible"),
    "replace": ("replace", "allow"),
}


def make_orders(parameters: Parameters, bundle: Bundle) -> list[Order]:
    """What Apply asks for: one order, or one a time point.

    Raises:
        MedSegError: if a volume is missing, or what was chosen means nothing.
    """
    missing = what_is_missing(parameters, bundle)
    if missing:
        raise JobError(missing)
    volumes = parameters.inputs(len(bundle.manifest.channels))
    target = parameters.node(OUTPUT)
    if target is not None:
        check_target(target)
    sequence = sequence_of(parameters.scene, volumes[0]) if parameters.settings.all_time_points else None
    if sequence is None:
        return [_order(parameters, bundle, volumes, target)]
    check_time_points(parameters.settings, channels=len(volumes), has_target=target is not None)
    order = _order(parameters, bundle, volumes, None)
    output = add_output_sequence(parameters.scene, sequence)  # now that nothing more is refused
    points = [TimePoint(sequence.GetID(), item, output.GetID()) for item in range(item_count(sequence))]
    return [replace(order, title=_title(volumes[0], point), time_point=point) for point in points]


def what_is_missing(parameters: Parameters, bundle: Bundle | None) -> str:
    """What has to be chosen before Apply can be pressed, as a sentence; empty where nothing is missing."""
    if bundle is None:
        return _("No model is installed.")
    channels = bundle.manifest.channels
    volumes = parameters.inputs(len(channels))
    missing = [channel.name for channel, node in zip(channels, volumes, strict=True) if node is None]
    if not missing:
        return ""
    if len(channels) == 1:
        return _("Choose a volume; if there is none yet, load one.")
    return _("Choose a volume for {channels}").format(channels=", ".join(missing))


def check_time_points(settings: PanelSettings, *, channels: int, has_target: bool) -> None:
    """Refuse, before anything is computed, what cannot be had for every time point of a sequence.

    Raises:
        JobError: says what to change.
    """
    if channels > 1:
        msg = _("Time points are segmented one by one for models of one channel; this one takes {count}")
        raise JobError(msg.format(count=channels))
    if has_target:
        msg = _("Time points become a new sequence of segmentations; choose a new segmentation as output")
        raise JobError(msg)
    if settings.probabilities or settings.entropy:
        msg = _(
            "Probabilities and uncertainty are brought for single volumes, not for time points; "
            "untick them, or do not segment all time points"
        )
        raise JobError(msg)


def orders_for_all(parameters: Parameters, bundle: Bundle) -> list[Order]:
    """One order for each volume of the scene, or each set of volumes that surely are one examination's channels."""
    return [_order(parameters, bundle, volumes, None) for volumes in volume_sets(parameters.scene, bundle)]


def left_out(scene: Node, bundle: Bundle) -> str:
    """A sentence that names the volumes of a scene that are in no set; empty where each is in one."""
    paired = {node.GetID() for each in volume_sets(scene, bundle) for node in each}
    names = [str(node.GetName()) for node in segmentable(scene, bundle) if node.GetID() not in paired]
    if not names:
        return ""
    more = [_("{count} more").format(count=len(names) - _NAMED)] if len(names) > _NAMED else []
    text = _("Not queued, as it is not sure which of them belong together: {names}; choose them and press Apply")
    return text.format(names=", ".join([*names[:_NAMED], *more]))


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
        settings.options(order.roi_ras_mm, order.roi_voxels),
        probabilities=settings.probabilities or settings.entropy,
        model_folder=order.bundle.folder,
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
        title=order.title,
        settings=settings,
        time_point=order.time_point,
    )


def _images(scene: Node, order: Order) -> list[Image]:
    point = order.time_point
    if point is not None and scene.GetNodeByID(point.output_id) is None:
        msg = _("The sequence for the segmentations is no longer in the scene; press Apply for all time points again")
        raise JobError(msg)
    nodes = [scene.GetNodeByID(each) for each in (order.volume_ids if point is None else (point.sequence_id,))]
    if any(node is None for node in nodes):
        msg = _("The volume is no longer in the scene; load it again and press Apply")
        raise JobError(msg)
    if point is not None:
        return [item_image(scene, nodes[0], point.item)]
    # Written to a file at once, so no copy is made meanwhile, which would keep the window busy as long again.
    count = len(order.bundle.manifest.channels)
    return [
        Image(scan_view(node, count), ijk_to_world(node), spacing_is_known(node), modality_of(scene, node))
        for node in nodes
    ]


def _order(parameters: Parameters, bundle: Bundle, volumes: Sequence[Node], target: Node) -> Order:
    roi = parameters.node(ROI)
    settings = parameters.settings
    bounds, box = None, None
    if roi is not None:
        try:
            box = roi_voxels(roi, volumes[0])
        except JobError:  # it misses the volume, and then the row says so
            bounds = roi_bounds(roi)
    settings.options(bounds, box)
    return Order(
        bundle=bundle,
        volume_ids=tuple(node.GetID() for node in volumes),
        settings=settings,
        roi_ras_mm=bounds,
        roi_voxels=box,
        target_id=None if target is None else target.GetID(),
        title=_title(volumes[0], None),
    )


def _title(volume: Node, point: TimePoint | None) -> str:
    name = str(volume.GetName())
    return name if point is None else _("{volume}, time point {number}").format(volume=name, number=point.item + 1)
