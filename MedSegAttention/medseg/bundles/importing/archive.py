"""A folder or a ZIP archive from elsewhere: every member is looked at before one byte is written."""

import errno
import lzma
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from medseg.spec.errors import ManifestError

LARGEST_TOTAL = 16 * 2**30
"""Bytes that an archive may unpack to."""
LARGEST_TEXT = 16 * 2**20
"""Bytes of one configuration or text."""
MOST_MEMBERS = 10_000

# what zipfile raises, and the system for a member in the place of a folder
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, ValueError, FileExistsError,
    NotADirectoryError, IsADirectoryError,
)  # fmt: skip
_MAGIC = b"PK\x03\x04"
_TEXTS = frozenset({".json", ".yaml", ".yml", ".md", ".txt", ""})
_WEIGHTS = frozenset({".pt", ".pth", ".ts", ".safetensors"})
_UNREAD = "summary.json"  # nnU-Net's scores of every case and label, which may be larger than any text that is read
_CHUNK = 2**20


def open_folder(path: Path, scratch: Path) -> Path:
    """Give the folder of a MONAI bundle: ``path`` itself, or a single folder in it; see ``open_archive``.

    Raises:
        ManifestError: as ``open_archive``, and when there is no ``configs`` folder.
    """
    return _bundle_root(open_archive(path, scratch), path)


def open_archive(path: Path, scratch: Path) -> Path:
    """Give a folder as it is; an archive is unpacked below ``scratch`` first.

    Of an archive only texts and weights are unpacked. Refused as a whole are archives with a member that leaves the
    folder, is a link or a device, is encrypted, or comes twice, and those that are larger than the limits above,
    whatever sizes they state.

    Args:
        path: a folder, or a ``.zip`` file.
        scratch: an empty folder.

    Returns:
        ``path`` or ``scratch``.

    Raises:
        ManifestError: when the archive is refused or damaged.
    """
    if path.is_dir():
        return path
    if not is_archive(path):
        msg = f"{path} is neither a folder nor a ZIP archive; give the folder of the model, or its .zip file"
        raise ManifestError(msg)
    try:
        with zipfile.ZipFile(path) as archive:
            _unpack(archive, path, scratch)
    except _DAMAGED as error:
        msg = f"{path} is damaged or packed in a way that is not read ({error}); fetch it again"
        raise ManifestError(msg) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning; all else is the system's
            raise
        msg = f"{path} is damaged; fetch it again"
        raise ManifestError(msg) from error
    return scratch


def is_archive(path: Path) -> bool:
    """Whether a file begins as ZIP archives do; ``zipfile`` itself stumbles over some damaged ones."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _unpack(archive: zipfile.ZipFile, path: Path, scratch: Path) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        _refuse(path, f"holds {len(members)} members, and {MOST_MEMBERS} are allowed")
    names = [_safe_name(member, path) for member in members]
    plain = [str(name).casefold() for name in names]
    if len(set(plain)) != len(plain):
        twice = next(name for name in plain if plain.count(name) > 1)
        _refuse(path, f"holds {twice!r} twice")
    left = LARGEST_TOTAL
    for member, name in zip(members, names, strict=True):
        if member.is_dir() or name.name == _UNREAD or name.suffix.lower() not in _TEXTS | _WEIGHTS:
            continue
        limit = min(left, LARGEST_TOTAL if name.suffix.lower() in _WEIGHTS else LARGEST_TEXT)
        left -= _write(archive, member, scratch / name, limit, path)


def _safe_name(member: zipfile.ZipInfo, path: Path) -> PurePosixPath:
    """A member's name, known to stay inside the folder it is unpacked in."""
    name = PurePosixPath(member.filename)
    reasons = (
        (name.is_absolute() or ".." in name.parts, "would be written outside its folder"),
        ("\\" in member.filename or ":" in member.filename, "has a name with a backslash or a colon"),
        (not member.is_dir() and not name.parts, "has no name"),
        (stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR), "is a link or a device"),
        (bool(member.flag_bits & 1), "is encrypted"),
        (member.file_size > LARGEST_TOTAL, f"is larger than {LARGEST_TOTAL} bytes"),
    )
    for is_wrong, reason in reasons:
        if is_wrong:
            _refuse(path, f"its member {member.filename!r} {reason}")
    return name


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, limit: int, path: Path) -> int:
    """Unpack one member; what counts is what comes out, not what the archive says about it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(member) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                _refuse(path, f"its member {member.filename!r} is larger than {limit} bytes")
            file.write(chunk)
    return written


def _bundle_root(folder: Path, path: Path) -> Path:
    for candidate in (folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())):
        if (candidate / "configs").is_dir():
            return candidate
    msg = f"{path} holds no folder 'configs', which a MONAI bundle has; give the bundle's own folder or archive"
    raise ManifestError(msg)


def _refuse(path: Path, reason: str) -> None:
    msg = f"{path} is not unpacked: {reason}; get the archive from another source"
    raise ManifestError(msg)
