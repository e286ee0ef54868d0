"""What a file holds once it is decoded, before anyone has asked whether it can be true."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Affine
from medseg.spec.errors import ImageError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # its own inverse


@dataclass(frozen=True, eq=False)
class Stored:
    """The voxels of a file, where the file says they lie, and what was noticed while decoding.

    Args:
        array: ``(C, I, J, K)``, native byte order, scaling applied.
        affine: ``(4, 4)``, voxel -> RAS millimetres, as written; it may still be singular or not finite.
        warnings: sentences for the user.
        shear_explained: whether ``warnings`` already says why the axes are not perpendicular.
        fields: key/value pairs of the header that are not geometry.
        spacing_known: whether the file says how large a voxel is; where it does not, 1 mm stands for it.
        modality: of DICOM; "" where the file says nothing.
        sources: of DICOM the files that were read, in any order; else none.
    """

    array: NDArray[Any]
    affine: Affine
    warnings: tuple[str, ...] = ()
    shear_explained: bool = False
    fields: dict[str, str] = field(default_factory=dict)
    spacing_known: bool = True
    modality: str = ""
    sources: tuple[Path, ...] = ()


def refusal(path: Path, rule: str) -> ImageError:
    """The error for a file that cannot be used: its name, then the rule, the value and the next step."""
    return ImageError(f"{path}: {rule}")


def detached_file(path: Path, name: str, *, whole: str) -> Path:
    """The file beside a header that holds its voxels.

    Args:
        path: the header.
        name: of the other file, as the header says it.
        whole: ending of files that hold header and voxels, for the message.

    Raises:
        ImageError: if there are several such files, or the one is missing.
    """
    if name.upper().startswith("LIST") or "%" in name:
        raise refusal(path, f"its voxels lie in several files ({name!r}); save the image as one {whole}")
    source = path.parent / name
    if not source.is_file():
        raise refusal(path, f"its voxels lie in {name!r}, which is missing; put that file beside the header")
    return source


def pick_frame(path: Path, frames: NDArray[Any], frame: int | None, *, channels: int | None = 1) -> NDArray[Any]:
    """One of several time points as a single-channel array, or all of them where they are channels.

    Args:
        path: the file, for the message.
        frames: ``(T, I, J, K)``.
        frame: which one, counted from 0; None is allowed when there is only one, or they are channels.
        channels: how many volumes are the channels of one image; None: any number.

    Returns:
        ``(1, I, J, K)``, or ``(C, I, J, K)``

    Raises:
        ImageError: if there are several and none is chosen, or the chosen one does not exist.
    """
    count = frames.shape[0]
    if frame is None and channels in (None, count):
        return frames
    if frame is None and count > 1:
        rule = f"one volume is expected, got {count} (time points or channels); choose one with --frame 0..{count - 1}"
        raise refusal(path, rule)
    chosen = check_frame(path, frame or 0, count)
    return frames[chosen : chosen + 1]


def check_frame(path: Path, frame: int, count: int) -> int:
    """Refuse a frame that there is not; raises ``ImageError``."""
    if not 0 <= frame < count:
        rule = f"a frame is counted from 0 and the last one here is {count - 1}, got {frame}; choose 0..{count - 1}"
        raise refusal(path, rule)
    return frame
