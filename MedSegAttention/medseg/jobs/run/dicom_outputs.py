"""DICOM results: refused before any work where they cannot be made of the inputs, then written beside the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medseg.bundles.catalogue import Bundle
from medseg.bundles.digest import weights_digest
from medseg.imaging.image import Image
from medseg.io.dicom_results.optional import require_highdicom
from medseg.io.dicom_results.source import DicomSource, open_source
from medseg.io.dicom_results.write_seg import make_segmentation, rehearse_segmentation
from medseg.io.dicom_results.write_sr import make_report
from medseg.io.formats import is_labelmap_name, stored_format
from medseg.spec.algorithm import Algorithm
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import LabelSpec
from medseg.spec.version import program_version


@dataclass(frozen=True, eq=False, kw_only=True)
class DicomOrigin:
    """What a DICOM result says of where it comes from.

    Attributes:
        files: of the series whose grid the result lies on; none: it did not come from DICOM.
        bundle: of the model.
    """

    files: tuple[Path, ...]
    bundle: Bundle

    @cached_property
    def algorithm(self) -> Algorithm:
        """The model by name, version and weights, and this program; the weights are read for it, once."""
        manifest = self.bundle.manifest
        return Algorithm(
            name=manifest.title,
            model_id=manifest.model_id,
            version=manifest.version,
            weights_sha256=weights_digest(self.bundle) or "",
            program=f"MedSegAttention {program_version()}",
        )

    def source(self, path: Path, grid: Image) -> DicomSource:
        """The headers of the series in the order of the grid.

        Raises:
            JobError: if the result did not come from DICOM, or not from these slices.
        """
        if not self.files:
            raise not_from_dicom(path, "an image in memory")
        try:
            return open_source(self.files, grid)
        except ImageError as error:
            raise JobError(str(error)) from error


def is_dicom_name(path: Path | None) -> bool:
    """Whether the name of an output asks for DICOM."""
    return path is not None and path.name.lower().endswith(".dcm")


def not_from_dicom(path: Path, found: str) -> JobError:
    """The refusal of a DICOM result without a DICOM source."""
    msg = f"{path}: a DICOM result refers to the DICOM series it was made from, got {found}; "
    return JobError(f"{msg}give the DICOM folder as the first input, or choose .seg.nrrd")


def check_dicom_input(path: Path, first: Path | str | Image) -> None:
    """Refuse a DICOM result of an input that is not DICOM, before it is read.

    Args:
        path: of the result.
        first: the input whose grid the result will lie on.

    Raises:
        MissingDependency: if highdicom is not installed.
        JobError: if the input is an image in memory or another format.
    """
    require_highdicom(f"{path}: DICOM")
    if isinstance(first, Image):
        raise not_from_dicom(path, "an image in memory")
    if Path(first).exists() and (kind := stored_format(Path(first))) != "dicom":
        raise not_from_dicom(path, f"{first} ({kind})")


def check_dicom_source(
    path: Path, origin: DicomOrigin, grid: Image, specs: Sequence[LabelSpec], *, report: Path | None = None
) -> tuple[str, ...]:
    """Refuse what could not be written at the end, before the network runs, by making a SEG of one voxel.

    Args:
        path: of the segments.
        origin: the series and the model.
        grid: an image on the grid of the result.
        specs: the segments there will be.
        report: of the measures as DICOM SR; None: it is not wanted.

    Returns:
        Sentences for the user.

    Raises:
        JobError: if the series' headers do not allow a SEG or SR, or the grid is not theirs.
    """
    source, overlap = origin.source(path, grid), origin.bundle.manifest.overlapping is not None
    algorithm, labelmap = origin.algorithm, is_labelmap_name(path)
    rehearsed = rehearse_segmentation(source, grid, specs, algorithm, labelmap=labelmap, overlap=overlap)
    if report is not None:
        if grid.size_unit != "ml":
            msg = f"{report}: a DICOM SR holds volumes, and this image has none; choose .csv or .json for the measures"
            raise JobError(msg)
        make_report(source, rehearsed, [0.0] * len(specs), specs, algorithm)
    return source.warnings


def dicom_results(
    path: Path,
    origin: DicomOrigin | None,
    labels: Image,
    specs: Sequence[LabelSpec],
    volumes_ml: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """The SEG of a result and the SR that refers to it, as pydicom's data sets.

    Args:
        path: of the SEG; its ending says which kind.
        origin: where the result comes from.
        labels: ``(N, I, J, K)``.
        specs: the segments.
        volumes_ml: of the segments; None: no SR is made.

    Raises:
        JobError: as ``check_dicom_source``.
    """
    if origin is None:
        raise not_from_dicom(path, "an image in memory")
    source, algorithm = origin.source(path, labels), origin.algorithm
    labelmap = is_labelmap_name(path)
    segments = make_segmentation(source, labels, specs, algorithm, labelmap=labelmap)
    report = None if volumes_ml is None else make_report(source, segments, volumes_ml, specs, algorithm)
    return segments, report
