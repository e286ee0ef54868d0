"""Whether the elements of a DICOM file fit into it: what reads them takes as much memory as their headers claim.

GDCM takes the memory before it reads, up to 4 GB an element, and does not give it back where reading fails; a few
damaged slices of a folder ended the process.
"""

import mmap
import struct
from pathlib import Path

_BEGINNING = 128  # bytes before the mark "DICM"
_ITEMS, _PIXELS = 0xFFFE, (0x7FE0, 0x0010)
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}  # 4 bytes of length
_OTHERWISE = (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")  # big endian, deflated: not looked through here


def elements_fit(path: Path) -> bool:
    """Whether no element before the voxels is longer than what is left of the file, as far as can be told (PS3.5, 7.1).

    Sequences are looked through; files that are big endian or deflated are taken as they are.
    """
    size = path.stat().st_size
    if size <= _BEGINNING:
        return True
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
        at = _BEGINNING + 4 if held[_BEGINNING : _BEGINNING + 4] == b"DICM" else 0
        while at + 8 <= size:
            tag = struct.unpack_from("<HH", held, at)
            kind = held[at + 4 : at + 6]
            if tag == _PIXELS:
                return True
            begin, length = at + 8, struct.unpack_from("<I", held, at + 4)[0]
            if tag[0] != _ITEMS and kind.isalpha() and kind.isupper():
                length = struct.unpack_from("<H", held, at + 6)[0]
                if kind in _LONG:
                    begin, length = at + 12, struct.unpack_from("<I", held, at + 8)[0] if at + 12 <= size else 0
            if tag == (0x0002, 0x0010) and held[begin : begin + length].strip(b"\0 ") in _OTHERWISE:
                return True
            if length != _UNDEFINED and begin + length > size:
                return False
            at = begin if tag[0] == _ITEMS or kind == b"SQ" or length == _UNDEFINED else begin + length
    return True
