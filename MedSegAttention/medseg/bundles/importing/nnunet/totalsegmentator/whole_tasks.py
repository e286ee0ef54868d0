"""Which of TotalSegmentator's tasks a folder may hold, by the names of its data sets alone. No torch."""

import re
from collections.abc import Iterable

from medseg.bundles.importing.nnunet.totalsegmentator.tasks import all_tasks

OURS = re.compile(r"totalseg", re.IGNORECASE)
"""What a data set of TotalSegmentator is called; those of its smaller tasks are called otherwise."""
_NUMBER = re.compile(r"Dataset(\d{3,})_")


def number_of(name: str) -> int | None:
    """The number in the name of a data set's folder; None where it has none."""
    match = _NUMBER.match(name)
    return None if match is None else int(match[1])


def whole_tasks(names: Iterable[str]) -> tuple[str, ...]:
    """Names of the tasks all of whose data sets are there; none where no data set is TotalSegmentator's.

    Args:
        names: of data sets' folders.

    Example:
        >>> whole_tasks(["Dataset298_TotalSegmentator_total_6mm", "Dataset150_icb_v0"])
        ('total_fastest', 'cerebral_bleed')
        >>> whole_tasks(["Dataset298_Liver"])
        ()
    """
    names = list(names)
    numbers = {number_of(name) for name in names}
    if not any(OURS.search(name) for name in names):
        return ()
    return tuple(task.name for task in all_tasks().values() if task.datasets <= numbers)
