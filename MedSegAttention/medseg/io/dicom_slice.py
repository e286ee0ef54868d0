"""One slice: what its DICOM file, or its frame of one, says about where it lies and how it was acquired."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.io.stored import refusal


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """What one file says about itself; vectors in LPS, lengths in mm, None where a tag is absent or empty."""

    path: Path
    series: str
    description: str
    modality: str
    rows: int
    columns: int
    frames: int
    samples: int  # numbers a voxel; 3 for colour
    bits: int
    instance: int
    position: NDArray[np.float64] | None  # of the first voxel's centre
    axes: NDArray[np.float64] | None  # (2, 3): direction of growing column index, then of growing row index
    spacing: tuple[float, float] | None  # between rows, between columns
    thickness: float | None  # SpacingBetweenSlices, else SliceThickness
    tilt: float  # degrees, 0 when absent
    tags: dict[str, str]  # those that are text, as "gggg|eeee" in lower case -> value
    frame: int = 0  # which of the file's frames this is
    groups: tuple[dict[str, str], ...] = field(
        default=(), repr=False
    )  # tags of each frame of its own, of the whole file

    @property
    def is_enhanced(self) -> bool:
        """Whether its frames have tags of their own (functional groups), which are among ``tags``."""
        return bool(self.groups)

    @property
    def order(self) -> tuple[int, int]:
        """Instance Number, and the frame's in its file."""
        return self.instance, self.frame

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"{self.path.name} frame {self.frame}" if self.frames > 1 else self.path.name

    def numbers(self, tag: str, count: int) -> list[float] | None:
        """The first numbers of a tag; None where it is absent or empty.

        Raises:
            ImageError: if it holds fewer, or something else.
        """
        return numbers_of(self.path, self.tags, tag, count)


def slice_from(
    path: Path, tags: dict[str, str], size: tuple[int, int, int], *, samples: int, frame: int = 0
) -> DicomSlice:
    """A slice from the texts of its tags.

    Raises:
        ImageError: if a tag that should be numbers is not.
    """
    position = numbers_of(path, tags, "0020|0032", 3)
    axes = numbers_of(path, tags, "0020|0037", 6)
    spacing = numbers_of(path, tags, "0028|0030", 2) or numbers_of(path, tags, "0018|1164", 2)
    thickness = numbers_of(path, tags, "0018|0088", 1) or numbers_of(path, tags, "0018|0050", 1)
    return DicomSlice(
        path=path,
        series=tags.get("0020|000e", ""),
        description=tags.get("0008|103e", ""),
        modality=tags.get("0008|0060", ""),
        rows=size[0],
        columns=size[1],
        frames=size[2],
        samples=samples,
        bits=int((numbers_of(path, tags, "0028|0100", 1) or [16])[0]),
        instance=int((numbers_of(path, tags, "0020|0013", 1) or [0])[0]),
        position=np.array(position) if position else None,
        axes=np.array(axes).reshape(2, 3) if axes else None,
        spacing=(spacing[0], spacing[1]) if spacing else None,
        thickness=abs(thickness[0]) if thickness and thickness[0] else None,  # NM may count it downwards
        tilt=(numbers_of(path, tags, "0018|1120", 1) or [0.0])[0],
        tags=tags,
        frame=frame,
    )


def numbers_of(path: Path, tags: dict[str, str], tag: str, count: int) -> list[float] | None:
    """The first numbers of a tag; None where it is absent or empty.

    Raises:
        ImageError: if it holds fewer, or something else.
    """
    text = tags.get(tag, "")
    if not text:
        return None
    try:
        numbers = [float(word) for word in text.split("\\")]
    except ValueError:
        numbers = []
    if len(numbers) < count or not np.isfinite(numbers).all():
        rule = f"tag ({tag.replace('|', ',')}) holds {count} finite numbers, got {text!r}; export the series again"
        raise refusal(path, rule)
    return numbers[:count]
