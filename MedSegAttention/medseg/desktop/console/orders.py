"""What a call from the console asks for: its arguments become the same orders that the panel makes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from medseg.bundles.catalogue import Bundle
from medseg.desktop.queue.orders import check_time_points
from medseg.desktop.state.order import Order, TimePoint
from medseg.desktop.state.settings import Joining, PanelSettings
from medseg.mrml.grids import Node
from medseg.mrml.merging import check_target
from medseg.mrml.rois import roi_voxels
from medseg.mrml.sequences import add_output_sequence, item_count, sequence_of
from medseg.spec.errors import JobError
from medseg.spec.job import QUICK, Bounds, Options
from medseg.spec.option import keywords_of, options_of
from medseg.spec.postprocess import PostprocessRule

_MIRROR = {"": None, "model": None, "on": True, "off": False}


@dataclass(frozen=True, eq=False)
class ConsoleOrders:
    """What one call asks for, in the scene where it belongs."""

    scene: Node
    orders: tuple[Order, ...]  # at least one
    source: Node = None  # the sequence whose time points are segmented; None: a volume of its own
    sequence: Node = None  # takes the segmentations of time points; None before ``with_output``


def make_settings(
    *,
    mirror: bool | str | None = None,
    postprocess: PostprocessRule | None = None,
    roi: Sequence[float] | Node = None,
    quick: bool = False,
    **others: Any,
) -> tuple[PanelSettings, Bounds | Node]:
    """Settings from what a caller names.

    Args:
        mirror: True or "on", False or "off"; None or "" for what the model says.
        postprocess: instead of the model's rule.
        roi: R-, R+, A-, A+, S-, S+ in RAS mm; or a markups ROI node, turned as the volume is: the voxels of the volume
            that it touches. None: the whole volume.
        quick: the spacing factor of a preview.
        others: the other options of ``medseg.segment``, and ``probabilities``, ``entropy``, ``mode``.

    Returns:
        The settings, and the bounds or the node of the region.

    Raises:
        JobError: if a name or a value means nothing.
    """
    if isinstance(mirror, str):
        if mirror not in _MIRROR:
            msg = f"mirroring is 'on', 'off' or '' (as the model says), got {mirror!r}"
            raise JobError(msg)
        mirror = _MIRROR[mirror]
    if others.get("mode", "add") not in get_args(Joining):
        msg = f"mode is one of {', '.join(get_args(Joining))}, got {others['mode']!r}"
        raise JobError(msg)
    if postprocess is not None:
        if not isinstance(postprocess, PostprocessRule):
            msg = f"postprocess {options_of(Options)['postprocess'].rule}, got {postprocess!r}"
            raise JobError(msg)
        others |= {name: getattr(postprocess, name) for name in options_of(PostprocessRule)}
    if quick:
        if "spacing_factor" in others:
            msg = f"quick means spacing_factor={QUICK:g}, and {others['spacing_factor']} was given too; leave one out"
            raise JobError(msg)
        others["spacing_factor"] = QUICK
    try:
        bounds: Any = None if roi is None or hasattr(roi, "GetID") else tuple(map(float, roi))
    except (TypeError, ValueError) as error:
        msg = f"roi is a ROI node or six numbers R-,R+,A-,A+,S-,S+ in RAS mm, got {roi!r}"
        raise JobError(msg) from error
    try:
        settings = PanelSettings(mirror=mirror, own_postprocess=postprocess is not None, **others)
    except TypeError as error:
        known = ", ".join(name for name in keywords_of(Options) if name != "roi_voxels")  # a ROI node says these
        msg = f"an option is unknown ({error}); the options are {known}, see help(MedSegAttentionLogic.segment)"
        raise JobError(msg) from error
    settings.options(bounds)
    return settings, roi if bounds is None else bounds


def make_console_orders(
    volumes: Sequence[Node],
    bundle: Bundle,
    target: Node,
    settings: PanelSettings,
    roi: Bounds | Node = None,
) -> ConsoleOrders:
    """What a call asks for: one order, or one a time point of the sequence a volume belongs to.

    Raises:
        MedSegError: if a node is missing or cannot be used.
    """
    if not volumes or any(volume is None or volume.GetScene() is None for volume in volumes):
        msg = "a volume in the scene is needed for each channel, got None or a node of no scene; load it first"
        raise JobError(msg)
    if target is not None:
        check_target(target)
    scene = volumes[0].GetScene()
    if not settings.all_time_points:
        return ConsoleOrders(scene, (_order(bundle, volumes, target, settings, roi, None),))
    sequence = sequence_of(scene, volumes[0])
    if sequence is None or len(volumes) > 1 or target is not None:
        what = f"{len(volumes)} volumes" if len(volumes) > 1 else repr(volumes[0].GetName())
        rule = "allTimePoints takes one volume that shows a sequence, and makes a new sequence of segmentations"
        msg = f"{rule}, got {what}{'' if target is None else ' and a segmentation to join'}; leave it out"
        raise JobError(msg)
    check_time_points(settings, channels=len(volumes), has_target=target is not None)
    points = [TimePoint(sequence.GetID(), item, output_id="") for item in range(item_count(sequence))]
    orders = tuple(_order(bundle, volumes, None, settings, roi, point) for point in points)
    return ConsoleOrders(scene, orders, sequence)


def with_output(orders: ConsoleOrders) -> ConsoleOrders:
    """Make the sequence that takes the segmentations of time points, now that nothing more is refused."""
    if orders.source is None:
        return orders
    output = add_output_sequence(orders.scene, orders.source)
    points = [order.time_point and replace(order.time_point, output_id=output.GetID()) for order in orders.orders]
    placed = tuple(replace(order, time_point=point) for order, point in zip(orders.orders, points, strict=True))
    return replace(orders, orders=placed, sequence=output)


def _order(
    bundle: Bundle,
    volumes: Sequence[Node],
    target: Node,
    settings: PanelSettings,
    roi: Bounds | Node,
    point: TimePoint | None,
) -> Order:
    is_bounds = roi is None or isinstance(roi, tuple)
    return Order(
        bundle=bundle,
        volume_ids=tuple(volume.GetID() for volume in volumes),
        settings=settings,
        roi_ras_mm=roi if is_bounds else None,
        roi_voxels=None if is_bounds else roi_voxels(roi, volumes[0]),
        target_id=None if target is None else target.GetID(),
        title=volumes[0].GetName(),
        time_point=point,
    )
