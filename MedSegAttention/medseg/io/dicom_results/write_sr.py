"""DICOM SR (TID 1500): the volumes of the segments of a DICOM SEG, as archives and registries take them."""

from collections.abc import Sequence
from typing import Any

from medseg.io.dicom_file import without_warnings
from medseg.io.dicom_results.codes import LONGEST, concept
from medseg.io.dicom_results.optional import LIBRARY_ERRORS
from medseg.io.dicom_results.source import DicomSource
from medseg.spec.algorithm import Algorithm
from medseg.spec.errors import JobError
from medseg.spec.labels import Code, LabelSpec

SERIES_NUMBER_OFFSET = 2000
SIDES = ("7771000", "24028007", "51440002")  # SNOMED CT: left, right, right and left
DIGITS = 6  # of millilitres, after the point: a thousandth of a cubic millimetre


def make_report(
    source: DicomSource,
    segmentation: Any,
    volumes_ml: Sequence[float],
    specs: Sequence[LabelSpec],
    algorithm: Algorithm,
) -> Any:
    """Make the data set of a measurement report: a group a segment, with its volume, codes and tracking identifiers.

    Args:
        source: the series the segmentation was made of.
        segmentation: data set of the DICOM SEG, whose segments are numbered 1..n in the order of ``specs``.
        volumes_ml: of each segment.
        specs: the segments.
        algorithm: what made them.

    Returns:
        highdicom's ``Comprehensive3DSR``.

    Raises:
        JobError: if the headers of the series do not allow one.
    """
    import highdicom

    first = source.headers[0]
    try:
        with without_warnings():
            return highdicom.sr.Comprehensive3DSR(
                evidence=[*source.headers, segmentation],
                content=_content(segmentation, volumes_ml, specs, algorithm),
                series_instance_uid=highdicom.UID(),
                series_number=int(first.get("SeriesNumber") or 0) + SERIES_NUMBER_OFFSET,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="MedSegAttention",
                manufacturer_model_name=algorithm.model_id[:LONGEST],
                software_versions=algorithm.program[:LONGEST],
                series_description=f"{algorithm.name}, volumes"[:LONGEST],
                is_complete=True,
                is_final=False,  # a person has to look at it
            )
    except LIBRARY_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{source.place}: no DICOM SR can be made of this series ({reason}); choose .csv or .json for measures"
        raise JobError(msg) from error


def _content(segmentation: Any, volumes_ml: Sequence[float], specs: Sequence[LabelSpec], algorithm: Algorithm) -> Any:
    from highdicom import UID, sr
    from pydicom.sr.codedict import codes

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=UID(), name=algorithm.program, manufacturer_name="MedSegAttention", model_name=algorithm.model_id
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    groups = [
        _group(segmentation, number, volume, spec, algorithm)
        for number, (volume, spec) in enumerate(zip(volumes_ml, specs, strict=True), start=1)
    ]
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=concept(Code("SCT", "363679005", "Imaging procedure")),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _group(segmentation: Any, number: int, volume_ml: float, spec: LabelSpec, algorithm: Algorithm) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    segment = next(item for item in segmentation.SegmentSequence if int(item.SegmentNumber) == number)
    (series,) = segmentation.ReferencedSeriesSequence
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(series.SeriesInstanceUID),
        ),
        finding_category=concept(spec.category),
        finding_type=concept(spec.type),
        finding_sites=[_site(spec)],
        algorithm_id=sr.AlgorithmIdentification(
            name=algorithm.name,
            version=algorithm.version,
            parameters=[f"model={algorithm.model_id}", f"weights SHA-256={algorithm.weights_sha256 or 'unknown'}"],
        ),
        measurements=[
            sr.Measurement(
                name=codes.SCT.Volume,
                value=round(volume_ml, DIGITS),
                unit=concept(Code("UCUM", "mL", "milliliter")),
            )
        ],
    )


def _site(spec: LabelSpec) -> Any:
    """Where it is: the region or the structure itself, with its side."""
    from highdicom.sr import FindingSite

    modifiers = [code for code in (spec.type_modifier, spec.region_modifier) if code is not None]
    side = next((code for code in modifiers if code.value in SIDES), None)
    other = next((code for code in modifiers if code.value not in SIDES), None)
    return FindingSite(
        concept(spec.region or spec.type),
        laterality=None if side is None else concept(side),
        topographical_modifier=None if other is None else concept(other),
    )
