"""A segmentation of the scene -> a job that writes it as DICOM SEG beside the series its volume was loaded from."""

from collections.abc import Callable
from pathlib import Path

from medseg.desktop.scene.results import read_provenance
from medseg.desktop.state.texts import _
from medseg.io.write import write_segmentation
from medseg.mrml.dicom_origin import dicom_files, segments_on
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import own_volume
from medseg.spec.algorithm import Algorithm
from medseg.spec.errors import JobError
from medseg.spec.export_job import ExportJob
from medseg.spec.version import program_version

_LABELS = "labels.seg.nrrd"


def prepare_export(node: Node, folder: Path, output: Path, file_of: Callable[[str], str]) -> ExportJob:
    """Write the segments to a folder of their own and say what is to become of them.

    Args:
        node: the segmentation.
        folder: exists and belongs to this job alone.
        output: of the DICOM SEG; the user was asked about a file that is there.
        file_of: the file of a SOP Instance UID.

    Raises:
        JobError: if there is no volume, no segment, or the volume's DICOM files are not there.
        ImageError: if a parent transform is not linear.
    """
    volume = own_volume(node)
    if volume is None:
        msg = _("{name} names no volume it was drawn on; choose one in the Segment Editor")
        raise JobError(msg.format(name=node.GetName()))
    files = dicom_files(volume, file_of)
    labels, specs = segments_on(node, volume)
    write_segmentation(folder / _LABELS, labels, specs)
    return ExportJob(
        labels=str(folder / _LABELS),
        files=tuple(map(str, files)),
        output=str(output),
        algorithm=_algorithm(node),
        overwrite=True,
    )


def _algorithm(node: Node) -> Algorithm:
    """The model that drew last, by what is written on the node; a person may have changed the segments since."""
    version = program_version()
    entries = [entry for entry in read_provenance(node) if isinstance(entry, dict)]
    said = {name: str(entries[-1].get(name) or "") for name in ("model", "model_version")} if entries else {}
    return Algorithm(
        name=said.get("model") or "MedSegAttention",
        model_id=said.get("model") or "none",
        version=said.get("model_version") or version,
        weights_sha256=str(entries[-1].get("weights_sha256") or "") if entries else "",
        program=f"MedSegAttention {version}",
        edited=True,
    )
