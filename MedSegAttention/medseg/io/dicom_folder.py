"""The DICOM files of a folder: which series they are of, which are damaged, and what lies elsewhere."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg.io.dicom_file import NOT_IMAGES, NoImage, describe_object, explain, is_dicom
from medseg.io.dicom_header import read_tags
from medseg.io.dicom_heights import SAME_PLACE_MM
from medseg.io.dicom_slice import DicomSlice
from medseg.io.stored import refusal
from medseg.spec.errors import ImageError

_SLICE_ENDINGS = {".dcm", ".ima", ".dicom"}
_NEIGHBOURS = 32  # folders beside this one that are looked into, two files each
_NAMED = 5
_MOST_BELOW = 20_000  # files


@dataclass(frozen=True, eq=False)
class DicomFolder:
    """What lies directly in a folder."""

    folder: Path
    images: list[DicomSlice]
    others: list[NoImage]  # every other file that may matter


def read_folder(folder: Path) -> DicomFolder:
    """Read the tags of all DICOM files directly in a folder, or below one that holds none itself.

    Hidden files and DICOMDIR do not count.

    Raises:
        ImageError: if a tag that should be numbers is not.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not _is_skipped(path)]
    if not any(map(_has_mark, files)):
        files += _below(folder)
    images: list[DicomSlice] = []
    others: list[NoImage] = []
    strangers: list[Path] = []
    for path in files:
        try:
            has_mark = is_dicom(path)
        except OSError as error:
            others.append(NoImage(path, "unreadable", f"it may not be read: {error.strerror}"))
            continue
        piece = read_tags(path) if has_mark else None
        if piece is not None and piece.modality not in NOT_IMAGES:
            images.append(piece)
        elif piece is not None:
            others.append(NoImage(path, "no image", describe_object(piece.modality), piece.series))
        elif has_mark:
            others.append(explain(path))
        else:
            strangers.append(path)
    endings = _SLICE_ENDINGS | {piece.path.suffix.lower() for piece in images} - {""}
    for path in strangers:
        found = explain(path)
        is_packed_slice = found.why == "packed" and path.name.lower().endswith(tuple(f"{e}.gz" for e in _SLICE_ENDINGS))
        is_named_so = found.why == "not DICOM" and path.suffix.lower() in endings
        if found.why == "empty" or is_packed_slice or is_named_so:
            others.append(found)
    return DicomFolder(folder, images, others)


def _below(folder: Path) -> list[Path]:
    """Files of the folders below one that holds no DICOM itself, as on a CD.

    Raises:
        ImageError: if there are too many to be one series.
    """
    files = []
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            files.append(path)
        if len(files) > _MOST_BELOW:
            rule = f"a folder of one series is expected, and there are more than {_MOST_BELOW} files below this one"
            raise refusal(folder, f"{rule}; give the folder that holds the slices")
    return [path for path in sorted(files) if not _is_skipped(path)]


def one_series(path: Path, found: DicomFolder) -> tuple[list[DicomSlice], list[str]]:
    """The one series of a folder, or the series that one of its files belongs to, and what the user should know.

    Raises:
        ImageError: if there is none, several and none is chosen, or files of the series are damaged.
    """
    series: defaultdict[str, list[DicomSlice]] = defaultdict(list)
    for piece in found.images:
        series[piece.series].append(piece)
    own = next((piece.series for piece in found.images if piece.path == path), None) if path.is_file() else None
    if path.is_file() and own is None:
        raise refusal_of_file(path)
    if not series:
        raise _no_series(path, found)
    if own is None and len(series) > 1:
        listed = "; ".join(_describe(pieces) for pieces in series.values())
        raise refusal(
            path, f"one series is expected, got {len(series)}: {listed}; give one file of the series you want"
        )
    chosen = next(iter(series)) if own is None else own
    warnings = _about_others(path, found, chosen)
    folders = sorted({piece.path.parent for piece in series[chosen]})
    if len(folders) > 1:
        names = ", ".join(str(folder.relative_to(found.folder)) for folder in folders[:_NAMED])
        warnings.append(
            f"{path}: the slices of the series lie in {len(folders)} folders and are read together: {names}"
        )
    return series[chosen], [*warnings, *_elsewhere(path, found.folder, series[chosen])]


def refusal_of_file(path: Path) -> Exception:
    """Why one file gives no image."""
    piece = read_tags(path)
    why = explain(path) if piece is None else NoImage(path, "no image", describe_object(piece.modality), piece.series)
    steps = {
        "no image": "choose a file of the series it belongs to",
        "packed": "give the unpacked file",
        "not DICOM": "check that it is the file you mean",
        "empty": "get a whole copy",
        "unreadable": "get a whole copy of the file",
    }
    return refusal(path, f"a DICOM file with an image is expected, and this is {why.said}; {steps[why.why]}")


def _about_others(path: Path, found: DicomFolder, series: str) -> list[str]:
    damaged = [other for other in found.others if other.why in ("unreadable", "empty")]
    own = [other for other in damaged if other.series == series]
    if own:
        rule = f"every slice of the series must be whole, and {len(own)} cannot be read: {_listed(own)}"
        also = [other for other in damaged if other.series != series]
        more = f" (beside it {_listed(also)})" if also else ""
        raise refusal(path, f"{rule}{more}; get whole copies, or move these files away to go on without them")
    sentences = []
    unknown = [other for other in damaged if not other.series]
    if unknown:
        sentences.append(
            f"{path}: {_files(unknown)} could not be read, so that slices may be missing: {_listed(unknown)}; "
            "get whole copies"
        )
    for why, rule in (
        ("packed", "are packed and were not read"),
        ("not DICOM", "are named like slices and are not DICOM"),
    ):
        some = [other for other in found.others if other.why == why]
        if some:
            sentences.append(f"{path}: {_files(some)} {rule}: {_listed(some)}")
    objects = [other for other in found.others if other.why == "no image"]
    if objects:
        sentences.append(f"{path}: left out {len(objects)} DICOM files without an image: {_listed(objects)}")
    return sentences


def _no_series(path: Path, found: DicomFolder) -> Exception:
    count = len(list(found.folder.iterdir()))
    rule = f"a folder must hold DICOM images, and none of its {count} entries is one"
    said = f" ({_listed(found.others)})" if found.others else ""
    return refusal(path, f"{rule}{said}; give the folder that holds the slices")


def _elsewhere(path: Path, folder: Path, slices: Sequence[DicomSlice]) -> list[str]:
    """A sentence where the series goes on in a folder beside this one, or in one below it."""
    if not slices[0].series or any(piece.path.parent != folder for piece in slices):
        return []
    try:
        beside = [other for other in sorted(folder.resolve().parent.iterdir()) if other != folder.resolve()]
        below = sorted(folder.iterdir())
        folders = [other for other in (*below, *beside) if other.is_dir() and not other.name.startswith(".")]
        more = [other for other in folders[:_NEIGHBOURS] if _continues(other, slices)]
    except (OSError, ImageError):  # what is wrong there is no matter here
        return []
    if not more:
        return []
    names = ", ".join(str(other) for other in more[:_NAMED])
    rule = f"the series goes on in {names}, and only the slices of this folder are read"
    return [f"{path}: {rule}: put all of them into one folder"]


def _continues(folder: Path, slices: Sequence[DicomSlice]) -> bool:
    """Whether the first or last file of a folder is a slice of the same series, at a place where none of these lies."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not _is_skipped(path)]
    places = np.array([piece.position for piece in slices if piece.position is not None])
    for path in {*files[:1], *files[-1:]}:
        try:
            piece = read_tags(path) if is_dicom(path) else None
        except ImageError:  # what is wrong with a neighbour does not matter here
            continue
        if piece is None or piece.series != slices[0].series or piece.rows != slices[0].rows:
            continue
        if piece.tags.get("0008|0018") in {each.tags.get("0008|0018") for each in slices}:
            continue
        if (piece.position is None) != (not places.size) or _axes(piece) != _axes(slices[0]):
            continue
        if piece.position is None or np.linalg.norm(places - piece.position, axis=1).min() > SAME_PLACE_MM:
            return True
    return False


def _axes(piece: DicomSlice) -> list[float]:
    return [] if piece.axes is None else np.round(piece.axes.ravel(), 2).tolist()


def _has_mark(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError:
        return False


def _is_skipped(path: Path) -> bool:
    return path.name.upper() == "DICOMDIR" or path.name.startswith(".")


def _describe(pieces: Sequence[DicomSlice]) -> str:
    first = pieces[0]
    size = f"{first.columns} x {first.rows} x {sum(piece.frames for piece in pieces)}"
    return f"{first.modality or 'unknown'} {first.description!r} {size} (e.g. {first.path.name})"


def _listed(others: Sequence[NoImage]) -> str:
    named = ", ".join(f"{other.path.name} ({other.said})" for other in others[:_NAMED])
    return named + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")


def _files(others: Sequence[NoImage]) -> str:
    return "1 file" if len(others) == 1 else f"{len(others)} files"
