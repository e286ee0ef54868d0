"""Training from the Python console or a script: the same orders, in the same queue, as the panel's section. No Qt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from medseg.bundles.catalogue import catalogue
from medseg.desktop.console.model_folders import find_model
from medseg.desktop.queue.training_choices import model_folder
from medseg.desktop.queue.training_run import make_training_order
from medseg.desktop.state.order import TrainingOrder
from medseg.desktop.state.texts import _
from medseg.io.dataset import describe_dataset
from medseg.mrml.grids import Node
from medseg.mrml.training_cases import Pair, check_steps, labels_of
from medseg.spec.errors import JobError

Cases: TypeAlias = str | Path | Sequence[tuple[Node, Node]]


def order_from_call(
    cases: Cases,
    name: str,
    *,
    minutes: float,
    start: str | None = None,
    **more: Any,
) -> tuple[Node, TrainingOrder]:
    """What a call asks for, with every case looked at.

    Args:
        cases: pairs of a volume and a segmentation node, or a folder of labelled cases.
        name: of the new model.
        minutes: how long it may train.
        start: id of the model to begin with.
        more: ``network``, ``steps`` and ``device``, as for ``make_training_order``.

    Returns:
        The scene of the cases, None where they are files, and the order.

    Raises:
        MedSegError: says what is wrong, and with which node.
    """
    output = model_folder(name, catalogue())
    bundle = None if start is None else find_model(start)
    pairs: tuple[Pair, ...] = ()
    dataset = None
    if isinstance(cases, str | Path):
        dataset = Path(cases)
        describe_dataset(dataset)
    else:
        pairs = tuple(_pair(each) for each in cases)
    order = make_training_order(
        pairs,
        dataset=dataset,
        title=name.strip(),
        output=output,
        start=bundle,
        seconds=minutes * 60,
        **more,
    )
    if pairs:
        for _name in check_steps(pairs, labels_of(pairs)):
            pass
    return (pairs[0].volume.GetScene() if pairs else None), order


def _pair(nodes: tuple[Node, Node]) -> Pair:
    try:
        volume, segmentation = nodes
    except (TypeError, ValueError):
        volume = segmentation = None
    are_nodes = hasattr(volume, "IsA") and hasattr(segmentation, "IsA")
    if not are_nodes or not (volume.IsA("vtkMRMLVolumeNode") and segmentation.IsA("vtkMRMLSegmentationNode")):
        msg = _("a case is (volume node, segmentation node), both in the scene, got {nodes}; name both")
        raise JobError(msg.format(nodes=repr(nodes)))
    if volume.GetScene() is None or volume.GetScene() is not segmentation.GetScene():
        msg = _("both nodes of a case are in one scene, got {volume} and {segmentation}; add them to it")
        raise JobError(msg.format(volume=repr(volume.GetName()), segmentation=repr(segmentation.GetName())))
    return Pair(volume, segmentation)
