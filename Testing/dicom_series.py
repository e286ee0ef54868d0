"""Complete DICOM series written by pydicom, as a scanner's: every attribute that the standard wants is there."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXES = np.array([[1.0, 0, 0], [0, 1, 0]])  # LPS: of growing column, of growing row
EVEN_MM = np.arange(7) * 2.5
START = np.array([-10.0, -20, 30])


def turned(x: float, y: float, z: float) -> np.ndarray:
    """Axes ``(2, 3)`` of slices turned about all three axes, radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x)[:, :2].T


def places(axes=AXES, heights=EVEN_MM, *, shift=0.0) -> np.ndarray:
    """Positions ``(K, 3)`` of slices at these heights along the normal, shifted along the rows as they rise."""
    heights = np.asarray(heights, dtype=float)
    return START + np.outer(heights, np.cross(*axes)) + np.outer(heights * shift, axes[1])


def write_mr_series(
    folder: Path, volume: np.ndarray, positions, axes=AXES, *, spacing=(0.7, 1.25), thickness=2.5, drop=(), **tags
) -> Path:
    """Write the slices ``(I, J)`` of ``(I, J, K)`` in files whose names say nothing about their order.

    Args:
        folder: is made.
        volume: whole numbers from 0 to 65535.
        positions: ``(K, 3)`` of the first voxels, LPS mm.
        axes: ``(2, 3)``, of growing column index and of growing row index.
        spacing: between rows and between columns, mm.
        thickness: of the slices, mm.
        drop: keywords left out.
        **tags: keywords and values that win.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number, position in enumerate(positions):
        data = _complete()
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.SOPInstanceUID = generate_uid()
        data.InstanceNumber = number + 1
        data.ImagePositionPatient = [f"{value:.10g}" for value in position]
        data.ImageOrientationPatient = [f"{value:.10g}" for value in np.ravel(axes)]
        data.PixelSpacing, data.SliceThickness = list(spacing), thickness
        data.Rows, data.Columns = volume.shape[1], volume.shape[0]
        data.PixelData = volume[:, :, number].T.astype("<u2").tobytes()
        for name, value in tags.items():
            setattr(data, name, value)
        for name in drop:
            delattr(data, name)
        data.preamble, data.file_meta = bytes(128), FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.get("SOPClassUID", "")
        data.file_meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", "")
        data.save_as(folder / f"im{(number * 5 + 3) % 1009:04d}.dcm")
    return folder


def _complete() -> Dataset:
    data = Dataset()
    data.SOPClassUID, data.Modality = MRImageStorage, "MR"
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Made^Up", "P1", "19700101", "O"
    data.StudyDate, data.StudyTime, data.StudyID = "20200101", "101010", "1"
    data.AccessionNumber, data.ReferringPhysicianName = "2", "Referring^Made Up"
    data.SeriesNumber, data.Manufacturer, data.PositionReferenceIndicator = 3, "None", ""
    data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "SE", "NONE", "", "3D"
    data.EchoTime, data.RepetitionTime, data.EchoTrainLength = 10, 500, 1
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    return data
