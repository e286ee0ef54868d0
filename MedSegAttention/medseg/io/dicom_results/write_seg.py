"""DICOM SEG: the segments of a result as a hospital's archive and viewers take them, by highdicom."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.io.dicom_file import without_warnings
from medseg.io.dicom_results.codes import LONGEST, add_modifiers, concept
from medseg.io.dicom_results.optional import LIBRARY_ERRORS
from medseg.io.dicom_results.source import DicomSource
from medseg.spec.algorithm import Algorithm
from medseg.spec.errors import JobError
from medseg.spec.labels import LabelSpec

SERIES_NUMBER_OFFSET = 1000  # the source's number plus this: a series of its own, last in lists


def make_segmentation(
    source: DicomSource, labels: Image, specs: Sequence[LabelSpec], algorithm: Algorithm, *, labelmap: bool = False
) -> Any:
    """Make the data set of a DICOM SEG.

    Segments are numbered 1..n in the order of ``specs``; those without a voxel are listed too. Only slices that hold a
    segment are stored. Every segment gets a tracking UID of its own.

    Args:
        source: the series, its slices in the order of k.
        labels: ``(N, I, J, K)`` on the grid of the series; layers may overlap.
        specs: the segments.
        algorithm: what made them.
        labelmap: one number a voxel (Label Map Segmentation Storage, DICOM 2024c) instead of a bit a segment.

    Returns:
        highdicom's ``Segmentation``.

    Raises:
        JobError: if the headers of the series do not allow one, or segments overlap in a label map.
    """
    import highdicom
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    headers, planes = list(source.headers), _planes(labels, specs)
    if labelmap and planes.ndim == 4:
        msg = "a DICOM label map has one number a voxel, and these segments may overlap; choose .dcm, which keeps all"
        raise JobError(msg)
    if source.order is not None:  # frames as they are stored
        planes = planes[list(source.order)]
    elif not planes.any():  # nothing to store; one slice of nothing rather than all
        headers, planes = headers[:1], planes[:1]
    first = headers[0]
    try:
        with without_warnings():
            made = highdicom.seg.Segmentation(
                source_images=headers,
                pixel_array=planes,
                segmentation_type="LABELMAP" if labelmap else "BINARY",
                segment_descriptions=_descriptions(specs, algorithm),
                series_instance_uid=highdicom.UID(),
                series_number=int(first.get("SeriesNumber") or 0) + SERIES_NUMBER_OFFSET,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="MedSegAttention",
                manufacturer_model_name=algorithm.model_id[:LONGEST],
                software_versions=algorithm.program[:LONGEST],
                device_serial_number=algorithm.weights_sha256[:LONGEST] or algorithm.model_id[:LONGEST],
                content_label="SEGMENTATION",
                content_description=algorithm.name[:LONGEST],
                series_description=f"{algorithm.name}, segments"[:LONGEST],
                transfer_syntax_uid=RLELossless if labelmap else ExplicitVRLittleEndian,
                omit_empty_frames=bool(planes.any()),
                pixel_measures=_pixel_measures(source),
            )
            made.ContentCreatorName = None  # of type 2, and highdicom leaves it out
            if "ImagePositionPatient" not in first and source.order is None:  # a radiograph, whose sides are named
                made.PatientOrientation = first.get("PatientOrientation")
            return made
    except LIBRARY_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{source.place}: no DICOM SEG can be made of this series ({reason}); choose .seg.nrrd for the output"
        raise JobError(msg) from error


def rehearse_segmentation(
    source: DicomSource, grid: Image, specs: Sequence[LabelSpec], algorithm: Algorithm, *, labelmap: bool, overlap: bool
) -> Any:
    """Make a SEG with one voxel, so that what would be refused at the end is refused before the work starts.

    Args:
        source: as in ``make_segmentation``, and so are the others.
        grid: an image on the grid of the series.
        specs: the segments there will be.
        algorithm: what will make them.
        labelmap: whether it is to be a label map.
        overlap: whether segments may overlap.

    Returns:
        That SEG.

    Raises:
        JobError: as ``make_segmentation``.
    """
    layers, dtype = 2 if overlap else 1, np.min_scalar_type(max(spec.value for spec in specs))

    def drawn(slices: int) -> Image:
        array = np.zeros((layers, *grid.shape[:2], slices), dtype)
        array[0, 0, 0, 0] = specs[0].value
        return Image(array, grid.affine)

    if source.order is not None:
        return make_segmentation(source, drawn(grid.shape[2]), specs, algorithm, labelmap=labelmap)
    # Every header with one segment, and every segment with one header: both together take seconds.
    make_segmentation(source, drawn(grid.shape[2]), specs[:1], algorithm, labelmap=labelmap)
    first = replace(source, headers=source.headers[:1])
    return make_segmentation(first, drawn(1), specs, algorithm, labelmap=labelmap)


def _pixel_measures(source: DicomSource) -> Any:
    """Spacing with the distance of slices, which many series leave out and few slices do not tell; None: the source's.

    Readers take the thickness for it where they find none, and slices may overlap.
    """
    from highdicom import PixelMeasuresSequence

    first = source.headers[0]
    if source.order is not None or source.spacing is None or "PixelSpacing" not in first:
        return None
    return PixelMeasuresSequence(
        pixel_spacing=[float(value) for value in first.PixelSpacing],
        slice_thickness=float(first.get("SliceThickness") or source.spacing),
        spacing_between_slices=source.spacing,
    )


def _planes(labels: Image, specs: Sequence[LabelSpec]) -> NDArray[Any]:
    """``(K, J, I)`` with the numbers of segments; where there are layers ``(K, J, I, S)``, a truth value a segment."""
    slices = labels.array.transpose(0, 3, 2, 1)
    if len(slices) > 1:
        return np.stack([(slices == spec.value).any(axis=0) for spec in specs], axis=-1)
    top = max([int(slices.max(initial=0)), *(spec.value for spec in specs)])
    numbers = np.zeros(top + 1, np.uint8 if len(specs) < 256 else np.uint16)
    for number, spec in enumerate(specs, start=1):
        numbers[spec.value] = number
    return np.ascontiguousarray(numbers[slices[0]])


def _descriptions(specs: Sequence[LabelSpec], algorithm: Algorithm) -> list[Any]:
    import highdicom
    from pydicom.sr.codedict import codes

    identification = highdicom.AlgorithmIdentificationSequence(
        name=algorithm.name[:LONGEST],
        family=codes.DCM.ArtificialIntelligence,
        version=algorithm.version[:LONGEST],
        source=algorithm.program[:LONGEST],
        parameters={"model": algorithm.model_id, "weights SHA-256": algorithm.weights_sha256 or "unknown"},
    )
    found = []
    for number, spec in enumerate(specs, start=1):
        description = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=spec.name[:LONGEST],
            segmented_property_category=concept(spec.category),
            segmented_property_type=concept(spec.type),
            algorithm_type="SEMIAUTOMATIC" if algorithm.edited else "AUTOMATIC",
            algorithm_identification=identification,
            tracking_uid=highdicom.UID(),
            tracking_id=f"{algorithm.model_id} {spec.name}"[:LONGEST],
            anatomic_regions=None if spec.region is None else [concept(spec.region)],
            display_color=highdicom.color.CIELabColor.from_rgb(*spec.color),
        )
        add_modifiers(description, spec)
        found.append(description)
    return found
