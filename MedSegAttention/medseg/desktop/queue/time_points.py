"""The sequence that takes the segmentations of time points: it leaves the scene where none came."""

from collections.abc import Iterable

from medseg.desktop.queue.job_row import Row
from medseg.mrml.grids import Node
from medseg.mrml.sequences import remove_if_empty


def drop_empty_outputs(scene: Node, ended: Iterable[Row], rows: Iterable[Row]) -> None:
    """Remove the output sequences of rows that have ended, where no time point brought anything and none will.

    Args:
        scene: the MRML scene that they belong to.
        ended: rows that have just ended.
        rows: all rows of the queue.
    """
    awaited = {_output_id(row) for row in rows if not row.has_ended}
    for output_id in {_output_id(row) for row in ended if not row.is_stale} - awaited - {None}:
        remove_if_empty(scene, scene.GetNodeByID(output_id))


def _output_id(row: Row) -> str | None:
    return None if row.order.time_point is None else row.order.time_point.output_id
