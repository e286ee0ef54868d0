"""One export asked for by another program: segments and the DICOM series they lie on in, a DICOM SEG out."""

from dataclasses import dataclass

from medseg.spec.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """What to write as DICOM.

    Attributes:
        labels: a .seg.nrrd with the segments, on the grid of the series.
        files: of the series, in any order.
        output: the DICOM SEG, ending in .dcm or .labelmap.dcm.
        algorithm: what made the segments.
        report: the volumes as DICOM SR; None: they are not wanted.
        overwrite: whether files that are there may be replaced.
    """

    labels: str
    files: tuple[str, ...]
    output: str
    algorithm: Algorithm
    report: str | None = None
    overwrite: bool = False
