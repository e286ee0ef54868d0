"""Exactly so many bytes of a file, plain or compressed; fewer are refused, and nothing is allocated on trust."""

import bz2
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO

from medseg.io.stored import refusal

MAX_RATIO = 1100  # deflate cannot shrink by more than 1032
MAX_RATIO_BZIP2 = 50_000_000  # bzip2 can: 45 bytes may hold 900 kB of zeros, many times over
PIECE = 1 << 20
_GZIP = b"\x1f\x8b"


def first_bytes(path: Path, count: int) -> bytes:
    """Up to ``count`` bytes from the start of a file, looking into gzip.

    Raises:
        ImageError: if the file cannot be opened, or starts as gzip and goes on as something else.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(count)
        if start[:2] != _GZIP:
            return start
        with gzip.open(path) as unpacked:
            return unpacked.read(count)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        raise refusal(
            path, f"the file cannot be read, {error.strerror or error}; check the path and its permissions"
        ) from error


def is_gzip(path: Path) -> bool:
    """Whether a file starts with gzip's two bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def read_plain(path: Path, start: int, count: int) -> bytearray:
    """``count`` bytes from ``start``.

    Raises:
        ImageError: if the file ends before.
    """
    held = path.stat().st_size - start
    if held < count:
        raise _too_short(path, count, max(held, 0))
    with path.open("rb") as stream:
        stream.seek(start)
        return _fill(path, stream, count)


def read_gzip(path: Path, start: int, count: int, *, more_allowed: bool = False) -> tuple[bytearray, str]:
    """``count`` unpacked bytes of the gzip stream that begins at ``start``, with its checksum verified.

    Args:
        path: the file.
        start: where the stream begins.
        count: bytes that are wanted, unpacked.
        more_allowed: whether unpacked bytes may follow them, as NIfTI allows.

    Returns:
        The bytes and a sentence about what follows them, empty when nothing does.

    Raises:
        ImageError: if the stream is cut, damaged or holds fewer bytes, or more where that is not allowed.
    """
    _refuse_impossible(path, start, count, MAX_RATIO)
    with path.open("rb") as packed:
        packed.seek(start)
        with gzip.GzipFile(fileobj=packed) as stream:
            try:
                unpacked = _fill(path, stream, count)
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise _damaged(path, error) from error
            try:
                extra = len(stream.read(PIECE))  # reaching the end is what verifies the checksum
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                if not _ends_whole(path, start):
                    raise _damaged(path, error) from error
                return unpacked, f"{path}: bytes that are not gzip follow the image and were left out"
    if extra and not more_allowed:
        raise _too_long(path, count)
    return unpacked, f"{path}: {extra} or more bytes follow the voxels and were left out" if extra else ""


def _ends_whole(path: Path, start: int) -> bool:
    """Whether the last gzip stream ends with its right checksum and what follows is no gzip."""
    with path.open("rb") as packed:
        packed.seek(start)
        rest = packed.read()
    while rest.startswith(_GZIP):
        engine = zlib.decompressobj(wbits=31)  # with gzip's header and checksum
        try:
            while not engine.eof and rest:
                engine.decompress(rest, 64 * PIECE)
                rest = engine.unconsumed_tail
        except zlib.error:
            return False
        if not engine.eof:
            return False
        rest = engine.unused_data
    return bool(rest)


def read_zlib(path: Path, start: int, count: int) -> bytearray:
    """``count`` unpacked bytes of the zlib stream that begins at ``start``.

    Raises:
        ImageError: if the stream is cut, damaged or holds another number of bytes.
    """
    _refuse_impossible(path, start, count, MAX_RATIO)
    engine = zlib.decompressobj()
    with path.open("rb") as stream:
        stream.seek(start)
        try:
            unpacked = bytearray(engine.decompress(stream.read(), count + 1))
        except zlib.error as error:
            raise _damaged(path, error) from error
    if len(unpacked) > count:
        raise _too_long(path, count)
    if len(unpacked) < count or not engine.eof:  # the end is what verifies the checksum
        raise _too_short(path, count, len(unpacked))
    return unpacked


def read_bzip2(path: Path, start: int, count: int) -> bytearray:
    """``count`` unpacked bytes of the bzip2 stream that begins at ``start``.

    Raises:
        ImageError: if the stream is cut, damaged or holds another number of bytes.
    """
    _refuse_impossible(path, start, count, MAX_RATIO_BZIP2)
    with path.open("rb") as packed:
        packed.seek(start)
        with bz2.BZ2File(packed) as stream:
            try:
                unpacked = _fill(path, stream, count)
                extra = stream.read(1)
            except (EOFError, OSError) as error:
                raise _damaged(path, error) from error
    if extra:
        raise _too_long(path, count)
    return unpacked


def _fill(path: Path, stream: BinaryIO | gzip.GzipFile | bz2.BZ2File, count: int) -> bytearray:
    try:
        unpacked = bytearray(count)
    except (MemoryError, OverflowError) as error:
        raise refusal(
            path, f"its voxels need {count:,} bytes, more than this machine can give; crop it first"
        ) from error
    view = memoryview(unpacked)
    filled = 0
    while filled < count:
        got = stream.readinto(view[filled : filled + PIECE])  # type: ignore[union-attr]
        if not got:
            raise _too_short(path, count, filled)
        filled += got
    return unpacked


def _refuse_impossible(path: Path, start: int, count: int, ratio: int) -> None:
    held = path.stat().st_size - start
    if count > ratio * max(held, 0):
        rule = f"the header claims {count:,} bytes of voxels, which {held:,} packed bytes cannot hold; get a whole copy"
        raise refusal(path, rule)


def _too_short(path: Path, count: int, held: int) -> Exception:
    return refusal(
        path, f"the header promises {count:,} bytes and the file holds {held:,}; it is cut off, get a whole copy"
    )


def _too_long(path: Path, count: int) -> Exception:
    return refusal(path, f"the header promises {count:,} bytes and the file holds more; export it again")


def _damaged(path: Path, error: Exception) -> Exception:
    return refusal(path, f"the compressed bytes are damaged or cut off ({error}); get a whole copy of the file")
