"""What the files of a case hold, so that another image of the same name is not taken for the one that was segmented."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medseg.io.dicom_projection import is_projection
from medseg.io.dicom_file import is_dicom
from medseg.io.dicom_header import read_tags
from medseg.spec.errors import ImageError

_HEADERS = (".nhdr", ".mhd", ".hdr")  # whose voxels lie in another file
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class Content:
    """Of one input.

    Attributes:
        size: bytes of all its files.
        changed_ns: when the last of them was written or put there.
        sha256: of what they hold; of a DICOM series also of their names.
    """

    size: int
    changed_ns: int
    sha256: str

    def is_of(self, other: "Content") -> bool:
        """Whether both hold the same, whenever it was written."""
        return (self.size, self.sha256) == (other.size, other.sha256)


def contents_of(inputs: Sequence[str], known: Sequence[Content] = ()) -> tuple[Content, ...]:
    """Look at every input of a case; none where one of them cannot be read, which is said when it is run.

    Args:
        inputs: files or DICOM folders.
        known: of an earlier look; where size and time are those, the files are not read again.
    """
    earlier = [*known, *[None] * len(inputs)]
    try:
        return tuple(
            _content(sorted(_files(Path(name))), before) for name, before in zip(inputs, earlier, strict=False)
        )
    except (OSError, ImageError):
        return ()


def _content(files: Sequence[Path], known: Content | None) -> Content:
    facts = [path.stat() for path in files]
    size = sum(each.st_size for each in facts)
    changed_ns = max((max(each.st_mtime_ns, each.st_ctime_ns) for each in facts), default=0)
    if known is not None and (known.size, known.changed_ns) == (size, changed_ns):
        return known
    whole = hashlib.sha256()
    for path in files:
        if len(files) > 1:
            whole.update(os.fsencode(path.name) + b"\0")
        with path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return Content(size, changed_ns, whole.hexdigest())


def _files(path: Path) -> Iterator[Path]:
    """The files of an input: of a DICOM slice its whole series, of a header also what holds the voxels."""
    if path.is_dir():
        yield from (each for each in path.iterdir() if _is_dicom_file(each))
    elif is_dicom(path):
        own = read_tags(path)
        if own is None or is_projection(own):
            yield path
            return
        for each in path.parent.iterdir():
            tags = read_tags(each) if _is_dicom_file(each) else None
            if tags is not None and tags.series == own.series:
                yield each
    else:
        yield path
        if path.name.lower().endswith(_HEADERS):
            with path.open("rb") as stream:
                text = stream.read(_HEADER_BYTES)
            beside = (each for each in path.parent.iterdir() if each != path and each.is_file())
            pair = {f"{path.stem}.img".lower(), f"{path.stem}.img.gz".lower()}
            yield from (each for each in beside if each.name.lower() in pair or os.fsencode(each.name) in text)


def _is_dicom_file(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file() and not path.name.startswith(".") and is_dicom(path)
    return False
