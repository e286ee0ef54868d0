"""A DICOM series written tag by tag, so that any tag may be left out, wrong, or say more than the pixels hold."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
Tags = dict[tuple[int, int], tuple[str, str | bytes | int]]  # (group, element) -> value representation and value

ROWS, PIXEL_SPACING, PIXELS = (0x0028, 0x0010), (0x0028, 0x0030), (0x7FE0, 0x0010)
POSITION, ORIENTATION = (0x0020, 0x0032), (0x0020, 0x0037)


def write_series(
    folder: Path,
    volume: np.ndarray,
    positions_mm: np.ndarray,
    *,
    series: str = "A",
    modality: str = "CT",
    skip: tuple[int, ...] = (),
    tilt_degrees: float = 0.0,
    change: Callable[[Tags, int], None] = lambda _tags, _slice: None,
) -> None:
    """Write the slices ``(I, J)`` of an int16 volume ``(I, J, K)`` at these places along z, 1 x 1 mm each.

    ``change`` may alter the tags of a slice before they are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(volume.shape[2]):
        if number in skip:
            continue
        z = float(positions_mm[number])
        tags = _tags(folder.name, volume[:, :, number], number, series, modality)
        tags[POSITION] = "DS", _numbers(0.0, z * np.tan(np.radians(tilt_degrees)), z)
        if tilt_degrees:
            tags[0x0018, 0x1120] = "DS", _numbers(tilt_degrees)
        change(tags, number)
        (folder / f"im{series}{number:03d}.dcm").write_bytes(_file(tags))


def _tags(study: str, pixels: np.ndarray, number: int, series: str, modality: str) -> Tags:
    root = f"1.2.826.0.1.3680043.8.498.{zlib.crc32(study.encode())}"
    name = str(ord(series))
    return {
        (0x0008, 0x0016): ("UI", CT_IMAGE),
        (0x0008, 0x0018): ("UI", f"{root}.{name}.{number + 1}"),
        (0x0008, 0x0020): ("DA", "20200101"),
        (0x0008, 0x0060): ("CS", modality),
        (0x0008, 0x103E): ("LO", f"synthetic {series}"),
        (0x0010, 0x0010): ("PN", "SYNTHETIC^PHANTOM"),
        (0x0010, 0x0020): ("LO", "SYN0001"),
        (0x0018, 0x0050): ("DS", "2.0"),
        (0x0020, 0x000D): ("UI", root),
        (0x0020, 0x000E): ("UI", f"{root}.{name}"),
        (0x0020, 0x0011): ("IS", "1"),
        (0x0020, 0x0013): ("IS", str(number + 1)),
        ORIENTATION: ("DS", _numbers(1, 0, 0, 0, 1, 0)),
        (0x0028, 0x0002): ("US", 1),
        (0x0028, 0x0004): ("CS", "MONOCHROME2"),
        ROWS: ("US", pixels.shape[1]),
        (0x0028, 0x0011): ("US", pixels.shape[0]),
        PIXEL_SPACING: ("DS", _numbers(1, 1)),
        (0x0028, 0x0100): ("US", 16),
        (0x0028, 0x0101): ("US", 16),
        (0x0028, 0x0102): ("US", 15),
        (0x0028, 0x0103): ("US", 1),
        (0x0028, 0x1052): ("DS", "0.0"),
        (0x0028, 0x1053): ("DS", "1.0"),
        PIXELS: ("OW", pixels.T.astype("<i2").tobytes()),
    }


def _numbers(*values: float) -> str:
    return "\\".join(f"{float(value):.10g}" for value in values)


def _element(tag: tuple[int, int], representation: str, value: str | bytes | int) -> bytes:
    if isinstance(value, int):
        value = struct.pack("<H", value)
    elif isinstance(value, str):
        value = value.encode("ascii")
    value += (b"\0" if representation == "UI" else b" ") * (len(value) % 2)
    head = struct.pack("<HH", *tag) + representation.encode("ascii")
    long = representation == "OW"
    return head + struct.pack("<HI" if long else "<H", *([0] if long else []), len(value)) + value


def _file(tags: Tags) -> bytes:
    said = {
        (0x0002, 0x0002): ("UI", CT_IMAGE),
        (0x0002, 0x0003): ("UI", str(tags[0x0008, 0x0018][1])),
        (0x0002, 0x0010): ("UI", EXPLICIT_LITTLE_ENDIAN),
        (0x0002, 0x0012): ("UI", "1.2.826.0.1.3680043.8.498.1"),
    }
    meta = b"".join(_element(tag, *value) for tag, value in said.items())
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    body = b"".join(_element(tag, *tags[tag]) for tag in sorted(tags))
    return b"\0" * 128 + b"DICM" + length + meta + body
