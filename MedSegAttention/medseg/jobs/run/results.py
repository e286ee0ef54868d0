"""The result of one case and its files: refused before any work where they cannot be, then written together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.imaging.locate import LocatedBox
from medseg.imaging.measure import SegmentMeasures
from medseg.imaging.overlap import covered
from medseg.io.atomic import check_target, replacing_all
from medseg.io.dicom_file import is_dicom
from medseg.io.formats import LAYER_SUFFIXES, SEGMENT_SUFFIXES
from medseg.io.write import check_grid, check_writable, write_image, write_segmentation
from medseg.jobs.run.dicom_outputs import (
    DicomOrigin,
    check_dicom_input,
    check_dicom_source,
    dicom_results,
    is_dicom_name,
)
from medseg.jobs.run.measures_files import check_measures_name, write_measures
from medseg.spec.errors import JobError
from medseg.spec.manifest import LabelSpec

Source: TypeAlias = Path | str | Image
"""A channel, or all of them: a file, a DICOM folder, or an image in memory."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the results of a case go; None: they are not written.

    Attributes:
        labels: .seg.nrrd, .nii, .nii.gz, .nrrd or .mha; of a DICOM series also .dcm or .labelmap.dcm (DICOM SEG).
        probabilities: the same but .seg.nrrd and DICOM, which hold segments alone.
        preview: .png.
        measures: .csv or .json; beside DICOM segments also .dcm (DICOM SR).
        overwrite: whether files that are there may be replaced. Inputs never are.
    """

    labels: Path | None = None
    probabilities: Path | None = None
    preview: Path | None = None
    measures: Path | None = None
    overwrite: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that will be written."""
        return tuple(path for path, _ in self._named())

    def _named(self) -> Iterator[tuple[Path, str]]:
        for path, what in (
            (self.labels, "the output"),
            (self.probabilities, "the probabilities"),
            (self.preview, "the preview"),
            (self.measures, "the measures"),
        ):
            if path is not None:
                yield path, what

    def check(self, inputs: Sequence[Source]) -> None:
        """Refuse files that could not be written, or that would replace an input or each other.

        Args:
            inputs: of the case; images in memory have no file.

        Raises:
            JobError: names the file, the rule and the next step.
            OutputExists: when a file is there and overwriting was not allowed.
        """
        files = [Path(source) for source in inputs if not isinstance(source, Image)]
        taken: list[tuple[Path, str]] = []
        for path, what in self._named():
            other = "an input" if any(_replaces(path, file) for file in files) else None
            other = other or next((name for earlier, name in taken if _is_same(path, earlier)), None)
            if other is not None:
                msg = f"{path} is {other} and {what} at once; choose another name"
                raise JobError(msg)
            taken.append((path, what))
            if path in (self.labels, self.probabilities):
                check_writable(path, overwrite=self.overwrite)
                continue
            self._check_name(path)
            check_target(path, overwrite=self.overwrite)
        if self.labels is not None and is_dicom_name(self.labels) and inputs:
            check_dicom_input(self.labels, inputs[0])
        if self.probabilities is not None and self.probabilities.name.lower().endswith(SEGMENT_SUFFIXES):
            msg = f"{self.probabilities}: probabilities are an image, not segments; choose .nrrd, .nii.gz or .mha"
            raise JobError(msg)

    def _check_name(self, path: Path) -> None:
        """Refuse the name of a preview or of measures that says another format."""
        if path == self.measures:
            check_measures_name(path)
            if is_dicom_name(path) and not is_dicom_name(self.labels):
                msg = f"{path}: a DICOM SR refers to segments in a DICOM SEG, and the output is {self.labels}"
                msg += "; choose .dcm for the output too, or .csv or .json for the measures"
                raise JobError(msg)
        elif path.suffix.lower() != ".png":
            msg = f"{path}: a preview's name ends in .png, got {path.name!r}; choose such a name"
            raise JobError(msg)

    def check_grid(self, image: Image) -> None:
        """Refuse a format that cannot hold the grid of the input; raises ``JobError``."""
        for path in (self.labels, self.probabilities):
            if path is not None:
                check_grid(path, image.shape, image.affine)

    def check_source(self, origin: DicomOrigin, grid: Image, specs: Sequence[LabelSpec]) -> tuple[str, ...]:
        """Refuse DICOM results that could not be written at the end; others need nothing of the source.

        Args:
            origin: the series and the model.
            grid: an image on the grid of the result.
            specs: the segments there will be.

        Returns:
            Sentences for the user.

        Raises:
            JobError: when the headers of the series do not allow a DICOM SEG.
        """
        if self.labels is None or not is_dicom_name(self.labels):
            return ()
        report = self.measures if is_dicom_name(self.measures) else None
        return check_dicom_source(self.labels, origin, grid, specs, report=report)

    def loses(self, labels: Image, specs: Sequence[LabelSpec]) -> tuple[str, ...]:
        """Names of the segments that the labels' file cannot hold whole, since others cover them."""
        if self.labels is None or self.labels.name.lower().endswith(LAYER_SUFFIXES):
            return ()
        return covered(labels, specs)

    def write(self, result: "Segmentation", before_they_appear: Callable[[], None] = lambda: None) -> None:
        """Write all files under temporary names, then let them appear together.

        Args:
            result: what is written.
            before_they_appear: called when everything is written; where it raises, no file appears.

        Raises:
            JobError: when a file cannot be written.
            OutputExists: when one came while the result was computed.
        """
        with replacing_all(self.paths, overwrite=self.overwrite) as together:
            temporary = dict(zip(self.paths, together, strict=True))
            if self.labels is not None and is_dicom_name(self.labels):
                self._write_dicom(result, temporary)
            elif self.labels is not None:
                write_segmentation(temporary[self.labels], result.labels, result.specs)
            if self.probabilities is not None and result.probabilities is not None:
                write_image(temporary[self.probabilities], result.probabilities)
            if self.measures is not None and not is_dicom_name(self.measures):
                made_by = None if result.origin is None else result.origin.algorithm
                write_measures(temporary[self.measures], result.measures, result.specs, made_by)
            if self.preview is not None:
                from medseg.jobs.preview import draw  # SciPy and Pillow, for those who want a picture

                picture = draw.draw_preview(result.image, result.labels, result.specs)
                picture.save(temporary[self.preview], format="PNG")
            before_they_appear()

    def _write_dicom(self, result: "Segmentation", temporary: Mapping[Path, Path]) -> None:
        """Write the segments and, where it is wanted, the report that refers to them."""
        if self.labels is None:
            return
        is_wanted = self.measures is not None and is_dicom_name(self.measures)
        volumes = [row.volume_ml for row in result.measures] if is_wanted else None
        segments, report = dicom_results(self.labels, result.origin, result.labels, result.specs, volumes)
        segments.save_as(temporary[self.labels])
        if self.measures is not None and report is not None:
            report.save_as(temporary[self.measures])


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """A finished segmentation on the input's own grid.

    Attributes:
        labels: ``(N, I, J, K)``, 0 is background. Segments that overlap lie in several layers, each in one by its own
            number; of all others N is 1.
        image: the channels that were segmented, ``(C, I, J, K)``, on the same grid.
        specs: name, colour and codes of each label.
        measures: voxels, size (ml, or cm2 in a single slice) and mean intensity of each label.
        probabilities: ``(L, I, J, K)`` float32, background first unless labels overlap; None unless asked for.
        device: what the network really ran on.
        seconds: wall time by stage.
        warnings: the sentences that the user was shown.
        windows_seconds: seconds the network took, without attempts that ran out of memory.
        window_count: windows it saw in that time, each mirror image counted.
        engine: what ran the network, as ``Engine.description`` says it.
        parts: seconds within the stage "windows": "engine" (getting it ready), "network", "stitch", "decode".
        inputs: files the case was read from.
        boxes: where the model was located; none where it went over the whole image.
        origin: what DICOM results refer to; None: they cannot be made.
    """

    labels: Image
    image: Image
    specs: tuple[LabelSpec, ...]
    measures: tuple[SegmentMeasures, ...]
    probabilities: Image | None
    device: str
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    windows_seconds: float
    window_count: int
    engine: str = ""
    parts: dict[str, float] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    boxes: tuple[LocatedBox, ...] = ()
    origin: DicomOrigin | None = None

    def mask(self, name: str) -> NDArray[np.bool_]:
        """The voxels of a segment, ``(I, J, K)``.

        Raises:
            KeyError: when there is no segment of this name; the sentence lists those there are.
        """
        value = next((spec.value for spec in self.specs if spec.name == name), None)
        if value is None:
            msg = f"there is no segment {name!r}; there are: {', '.join(spec.name for spec in self.specs)}"
            raise KeyError(msg)
        return np.asarray((self.labels.array == value).any(axis=0))

    def save(self, path: Path | str, *, measures: Path | str | None = None, overwrite: bool = False) -> None:
        """Write the labels; the ending says the format; ``.seg.nrrd`` and ``.dcm`` keep names, colours and codes.

        Args:
            path: of the labels.
            measures: where to write voxels, sizes and codes too: .csv or .json; beside ``.dcm`` also .dcm (DICOM SR).
            overwrite: whether existing files may be replaced. An input never is.

        Raises:
            JobError: when the file cannot be written there or so, or is an input of the case; for ``.dcm`` (DICOM SEG)
                also when the image did not come from DICOM.
            MissingDependency: for ``.dcm`` when highdicom is not installed.
            OutputExists: when there is one and overwriting was not allowed.
        """
        named = None if measures is None else Path(measures)
        outputs = Outputs(labels=Path(path), measures=named, overwrite=overwrite)
        outputs.check(self.inputs)
        outputs.write(self)


def _replaces(output: Path, source: Path) -> bool:
    """Whether writing an output would replace an input, or a slice of the DICOM series that an input names."""
    if _is_same(output, source):
        return True
    if not _is_dicom_file(output):
        return False
    if source.is_dir():
        folder = source
    elif _is_dicom_file(source):
        folder = source.parent  # a slice stands for the series beside it
    else:
        return False
    return any(_is_same(output, piece) for piece in folder.iterdir())


def _is_dicom_file(path: Path) -> bool:
    try:
        return path.is_file() and is_dicom(path)
    except OSError:  # reading it reports what is wrong
        return False


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths name one file: also by links, and in another case where the file system knows none."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()
