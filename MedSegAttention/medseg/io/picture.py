"""PNG and JPEG: one slice of grey values, as radiographs are often passed on. A picture does not say where it lies."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.io.formats import JPEG
from medseg.io.grey import grey_of
from medseg.io.itk import quiet_itk, sitk
from medseg.io.stored import LPS_TO_RAS, Stored, refusal

# a soft edge has more grey values than so many, and white has so many times its pixels
_EDGE_VALUES, _EDGE_SHARE = 16, 4


def read_picture(path: Path, *, frame: int | None = None, colours: bool = False) -> Stored:
    """Read a PNG or JPEG as a volume one voxel thick.

    Columns grow to the patient's left and rows downwards, as 3D Slicer places a picture: i to the left, j to the back.

    Args:
        path: the file; colours that are all the same are one channel, transparency is left out.
        frame: there is one, number 0.
        colours: whether red, green and blue are three channels, the same in a grey picture.

    Returns:
        ``(1, I, J, 1)``, or ``(3, I, J, 1)`` with colours, with voxels of 1 mm, which is marked as unknown.

    Raises:
        ImageError: if it cannot be decoded, has colours that are not asked for, or another frame is asked for.
    """
    if frame not in (None, 0):
        raise refusal(path, f"a picture holds one image, frame 0, got frame {frame}; leave --frame out")
    _refuse_cut(path)
    try:
        with quiet_itk():
            pixels: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise refusal(path, f"it cannot be decoded ({reason}); get a whole copy") from error
    channels = _three_channels(path, pixels) if colours else _one_channel(path, pixels)[None]
    warning = f"{path}: a picture says neither how large its pixels are nor where they lie: 1 x 1 mm is assumed"
    warnings = (f"{warning}, and no area can be given",)
    return Stored(channels.transpose(0, 2, 1)[..., None], LPS_TO_RAS.copy(), warnings, spacing_known=False)


def picture_labels(path: Path, grey: NDArray[Any]) -> NDArray[Any]:
    """Labels that a picture holds: its grey values, or 0 and 1 where it is a mask in black and white.

    A mask that was resized has soft edges: many grey values, and few pixels of them. It is cut at half of white.

    Args:
        path: the file.
        grey: its values, of any shape.

    Raises:
        ImageError: if it is a JPEG, which stores values only about as they were.
    """
    with path.open("rb") as file:
        if file.read(len(JPEG)) == JPEG:
            raise refusal(path, "labels are exact numbers, and JPEG changes them; save the labels as PNG")
    white = int(np.iinfo(grey.dtype).max)
    between = grey[(grey > 0) & (grey < white)]
    soft = len(np.unique(between)) > _EDGE_VALUES and _EDGE_SHARE * between.size < np.count_nonzero(grey == white)
    if white in grey and (soft or not between.size):
        return (grey > white // 2).astype(grey.dtype)
    return grey


def _refuse_cut(path: Path) -> None:
    """Refuse a JPEG without an end: its decoder fills what is missing with grey and says nothing."""
    whole = path.read_bytes()
    if whole.startswith(JPEG) and whole.rfind(b"\xff\xd9") < whole.rfind(b"\xff\xda"):
        rule = f"a JPEG ends with its mark FFD9, and this one of {len(whole):,} bytes does not"
        raise refusal(path, f"{rule}; get a whole copy")


def _three_channels(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """``(3, J, I)`` of ``(J, I)`` or ``(J, I, colours)``; transparency is left out."""
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        return np.moveaxis(pixels[..., :3], -1, 0)
    return np.repeat(_one_channel(path, pixels)[None], 3, axis=0)


def _one_channel(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """``(J, I)`` of ``(J, I)`` or ``(J, I, colours)``."""
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim != 3:
        raise refusal(path, f"a picture has rows and columns, got {pixels.ndim} axes; save one image alone")
    return grey_of(pixels, path)
