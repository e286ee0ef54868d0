"""Which cases a batch has: image files, DICOM series and numbered channels of a folder, or the lines of a CSV file."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from medseg.io.dicom_file import NOT_IMAGES, is_dicom
from medseg.io.dicom_header import read_tags
from medseg.io.dicom_projection import is_projection
from medseg.io.formats import PICTURE_SUFFIXES, READ_SUFFIXES, image_files, image_name, output_suffix
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import ModelManifest
from medseg.spec.places import expanded

_NUMBERED = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_BAD = set('/\\:*?"<>|') | set(map(chr, range(32)))  # in a file name, on one system or another
_NOT_A_SCAN = (".seg.nrrd", ".dcm")  # a result; a slice, which comes with its series


@dataclass(frozen=True)
class Case:
    """One case before it is run."""

    name: str  # of its row, and of its output without the ending
    inputs: tuple[str, ...]  # file or DICOM folder, one a channel
    output: PurePath  # below the batch's output folder
    problem: str = ""  # why it cannot be run; the others can


def find_cases(source: Path, manifest: ModelManifest, output_folder: Path, suffix: str) -> list[Case]:
    """List the cases of a folder or of a CSV file.

    A folder has a case for each image file directly in it, and for each DICOM series in it or any folder below. For a
    model of several channels, files called ``case_0000.nii.gz``, ``case_0001.nii.gz`` ... are the channels of one case.
    A CSV file has the columns ``case``, ``image`` or one a channel, and perhaps ``output``.

    Args:
        source: folder or CSV file.
        manifest: of the model.
        output_folder: is not searched.
        suffix: of the outputs, as ".seg.nrrd".

    Raises:
        JobError: if there is no case, two have one name, or the CSV file cannot be understood.
    """
    if source.is_file():
        cases = _listed(source, [channel.name for channel in manifest.channels], suffix)
    elif source.is_dir():
        found = [*_files(source, manifest), *_series(source, output_folder)]
        cases = [
            Case(name, inputs, PurePath(name + suffix), problem)
            for name, inputs, problem in sorted(map(_as_text, found), key=lambda case: case[0].casefold())
        ]
    else:
        msg = f"{source}: there is no such folder or CSV file; check the path"
        raise JobError(msg)
    if not cases:
        rule = "a batch is a folder with images or DICOM series, or a CSV file with cases"
        endings = ", ".join((*READ_SUFFIXES, *PICTURE_SUFFIXES))
        msg = f"{source}: {rule}, and none was found; the endings read are {endings}"
        raise JobError(msg)
    _check_apart(source, cases, "name", lambda case: case.name)
    _check_apart(source, cases, "output", lambda case: str(case.output))
    return cases


def _listed(path: Path, channels: Sequence[str], suffix: str) -> list[Case]:
    """The lines of a CSV file in UTF-8 with commas, semicolons or tabs; relative paths begin at its folder."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = max(",;\t", key=head.count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        msg = f"{path}: a list of cases is a CSV file in UTF-8 ({error}); save it as such"
        raise JobError(msg) from error
    columns = [name.strip().casefold() for name in lines[0]] if lines else []
    if "case" in columns and all(channel.casefold() in columns for channel in channels):
        wanted = [channel.casefold() for channel in channels]
    elif "case" in columns and "image" in columns:
        wanted = ["image"]
    else:
        rule = f"the first line names the columns 'case' and 'image', or 'case' and {', '.join(channels)}"
        msg = f"{path}: {rule}; got {', '.join(columns) or 'nothing'}"
        raise JobError(msg)
    return [
        _listed_case(path, number, dict(zip(columns, map(str.strip, line), strict=False)), wanted, suffix)
        for number, line in enumerate(lines[1:], start=2)
        if any(cell.strip() for cell in line)
    ]


def _listed_case(path: Path, number: int, cells: dict[str, str], columns: Sequence[str], suffix: str) -> Case:
    place = f"{path}, line {number}"
    name, output = cells.get("case", ""), cells.get("output", "")
    if not name or name.startswith(".") or _BAD & set(name):
        msg = f"{place}: a case's name is part of a file name, got {name!r}; use letters and digits"
        raise JobError(msg)
    missing = [column for column in columns if not cells.get(column)]
    if missing:
        msg = f"{place}: {name!r} names no file for {', '.join(missing)}; fill it in or remove the line"
        raise JobError(msg)
    if output:
        inside = PurePath(output)
        if inside.is_absolute() or inside.drive or ".." in inside.parts:
            msg = f"{place}: an output lies in the output folder, got {output!r}; leave the folder out"
            raise JobError(msg)
        output_suffix(Path(output))
    inputs = tuple(str(path.parent / expanded(cells[column])) for column in columns)
    return Case(name, inputs, PurePath(output or name + suffix))


_Found = tuple[str, tuple[str, ...], str]  # name, inputs, problem


def _as_text(found: _Found) -> _Found:
    """Write bytes of a name that are no UTF-8, as old systems left them, as numbers: ``n%E4me``."""
    name, inputs, problem = found
    text = "".join(f"%{ord(sign) - 0xDC00:02X}" if "\udc80" <= sign <= "\udcff" else sign for sign in name)
    return text, inputs, problem


def _files(folder: Path, manifest: ModelManifest) -> Iterator[_Found]:
    """Image files directly in a folder."""
    files = [path for path in image_files(folder) if not path.name.lower().endswith(_NOT_A_SCAN)]
    numbered = {path: _NUMBERED.fullmatch(image_name(path)) for path in files}
    count = len(manifest.channels)
    if count == 1:
        # nnU-Net's habit of numbering the only channel; where one file has another ending, the digits are its name.
        is_habit = all(match is not None and match["channel"] == "0000" for match in numbered.values())
        for path, match in numbered.items():
            yield (match["case"] if is_habit and match else image_name(path)), (str(path),), ""
        return
    grouped: defaultdict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path, match in numbered.items():
        if match is None:
            yield image_name(path), (str(path),), ""
        else:
            grouped[match["case"]].append((int(match["channel"]), path))
    for name, channels in grouped.items():
        numbers = [number for number, _ in sorted(channels)]
        problem = ""
        if numbers != list(range(count)):
            names = ", ".join(f"{n:04d} ({channel.name})" for n, channel in enumerate(manifest.channels))
            got = ", ".join(f"{number:04d}" for number in numbers)
            problem = f"{folder / name}: the model takes the channels {names}, got {got}; complete the case"
        yield name, tuple(str(path) for _, path in sorted(channels)), problem


def _series(folder: Path, output_folder: Path) -> Iterator[_Found]:
    """DICOM series in a folder and all folders below, one case each; of radiographs each image is one."""
    if folder.resolve() == output_folder.resolve() or folder.name.startswith("."):
        return
    yield from _series_directly_in(folder, folder.resolve().name)
    for below in sorted(path for path in folder.rglob("*") if path.is_dir()):
        inside = below.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        if not is_hidden and not below.resolve().is_relative_to(output_folder.resolve()):
            yield from _series_directly_in(below, "_".join(inside.parts))


def _series_directly_in(folder: Path, name: str) -> Iterator[_Found]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_slice(path)]
    if not files:
        return
    try:
        tags = [read_tags(path) for path in files]
    except ImageError as error:
        yield name, (str(folder),), str(error)
        return
    images = [piece for piece in tags if piece is not None and piece.modality not in NOT_IMAGES]
    projections = [piece for piece in images if is_projection(piece)]
    if projections and len(images) > 1:
        for piece in projections:
            yield f"{name}_{image_name(piece.path)}", (str(piece.path),), ""
        images = [piece for piece in images if not is_projection(piece)]
    first = {piece.series: piece for piece in reversed(images)}
    if len(first) <= 1 and not (projections and images):  # none: reading it says why
        if first:
            yield name, (str(folder),), ""
        return
    for series, piece in sorted(first.items()):
        described = re.sub(r"[^\w.-]+", "-", piece.description).strip("-.")
        ending = "-".join(filter(None, [described, series.rpartition(".")[2]]))
        yield f"{name}_{ending}", (str(piece.path),), ""


def _is_slice(path: Path) -> bool:
    if path.name == "DICOMDIR" or path.name.startswith("."):
        return False
    try:
        return is_dicom(path)
    except OSError:  # may not be read: it is no case, and does not stop the others
        return False


def _check_apart(source: Path, cases: Sequence[Case], what: str, key: Callable[[Case], str]) -> None:
    """Refuse two cases of one name; also names that some file systems take for one."""
    seen: dict[str, Case] = {}
    for case in cases:
        other = seen.setdefault(key(case).casefold(), case)
        if other is not case:
            both = f"{' '.join(other.inputs)} and {' '.join(case.inputs)}"
            msg = f"{source}: every case has a {what} of its own, and {both} both have {key(case)!r}; rename one"
            raise JobError(msg)
