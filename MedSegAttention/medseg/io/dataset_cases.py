"""What a labelled data set is: its cases on disk, and what its folder says about them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medseg.spec.errors import JobError
from medseg.spec.fields import listed
from medseg.spec.labels import LabelSpec

LISTED = 20  # problems an error names before it counts


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk.

    Attributes:
        name: unique in its data set.
        image: the first channel, or all of them in one file.
        labels: the expert's labels.
        more: further channels, in order.
        labelled: label values that were annotated; None: all. Voxels of the other labels are marked as background.
        ignore: value of unlabelled voxels; None: there are none.
        segments: names of the data set's values, by which the segments of a file that names its own are found.
    """

    name: str
    image: Path
    labels: Path
    more: tuple[Path, ...] = ()
    labelled: tuple[int, ...] | None = None
    ignore: int | None = None
    segments: tuple[LabelSpec, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """Every channel's file."""
        return (self.image, *self.more)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled cases and what their folder says about them; empty where it says nothing."""

    title: str
    layout: str  # in words, for the plan
    cases: Mapping[str, CaseFiles]
    label_names: Mapping[int, str] = field(default_factory=dict)  # value -> name, without background
    channel_names: tuple[str, ...] = ()  # e.g. "CT", "MRI"
    description: str = ""
    reference: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()  # what was left out, one sentence each


def checked(cases: Iterable[CaseFiles], source: str) -> dict[str, CaseFiles]:
    """Cases by name.

    Args:
        cases: in any order.
        source: what lists them, for the message.

    Raises:
        JobError: if two have one name, or files are missing; all of them are listed.
    """
    named: dict[str, CaseFiles] = {}
    missing: list[str] = []
    for case in cases:
        missing += [str(path) for path in (*case.images, case.labels) if not path.exists()]
        if case.name in named:
            both = f"{named[case.name].image} and {case.image}"
            msg = f"every case has a name of its own, and {both} are both called {case.name!r}; rename one of them"
            raise JobError(msg)
        named[case.name] = case
    if missing:
        msg = (
            f"{source} lists {len(missing)} file(s) that do not exist: {listed(missing, LISTED)}; "
            "complete the data set or mend the list"
        )
        raise JobError(msg)
    return named
