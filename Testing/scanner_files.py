"""DICOM files as scanners write them, and as they should not; written by pydicom, tag by tag."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SHAPE = (7, 6)  # columns, rows
WORDS = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
ENHANCED = EnhancedMRImageStorage


def volume(count: int, seed: int = 0) -> np.ndarray:
    """Noise ``(I, J, K)``: no two slices are alike."""
    return np.random.default_rng(seed).integers(0, 1000, (*SHAPE, count)).astype(np.int16)


def dataset(pixels: np.ndarray, *, storage: UID = MRImageStorage, series: str = "", **tags: object) -> FileDataset:
    """A file with int16 pixels ``(I, J)`` or ``(I, J, frames)``; a tag that is None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = str(tags.pop("SOPInstanceUID", generate_uid()))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    planes = np.ascontiguousarray(pixels.T.astype("<i2"))
    said = {
        "SOPClassUID": storage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "CT" if storage == CTImageStorage else "MR",
        "PatientName": "PHANTOM",
        "PatientID": "P",
        "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series", series]),
        "FrameOfReferenceUID": generate_uid(entropy_srcs=["frame"]),
        "InstanceNumber": 1,
        "ImagePositionPatient": (0, 0, 0),
        "ImageOrientationPatient": AXIAL,
        "PixelSpacing": (1.5, 1.25),
        "SliceThickness": 2.0,
        "NumberOfFrames": pixels.shape[2] if pixels.ndim == 3 else None,
        "Rows": planes.shape[-2],
        "Columns": planes.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": planes.tobytes(),
        **tags,
    }
    for name, value in said.items():
        if value is not None:
            setattr(made, name, _short(name, value))
    return made


def _short(name: str, value: object) -> object:
    if name in ("ImagePositionPatient", "ImageOrientationPatient"):
        return [f"{number:.8f}"[:16] for number in value]
    return list(value) if isinstance(value, tuple) else value


def save(made: FileDataset, path: Path) -> Path:
    """Write a file, with the folders above it; where it is of no series, it is of that of its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if made.get("SeriesInstanceUID") == generate_uid(entropy_srcs=["series", ""]):
        made.SeriesInstanceUID = generate_uid(entropy_srcs=["series", str(path.parent)])
    made.save_as(path, enforce_file_format=True)
    return path


def write_stack(
    folder: Path,
    voxels: np.ndarray,
    heights: Sequence[float] | None = None,
    *,
    start: int = 1,
    name: str = "s",
    each: Sequence[dict[str, object]] = (),
    **tags: object,
) -> list[Path]:
    """Write slices ``(I, J, K)`` as files, 2 mm apart along z; ``each`` has tags of every slice."""
    count = voxels.shape[2]
    heights = [2.0 * k for k in range(count)] if heights is None else heights
    return [
        save(
            dataset(
                voxels[:, :, k],
                **{
                    "InstanceNumber": start + k,
                    "ImagePositionPatient": (0, 0, heights[k]),
                    **tags,
                    **(each[k] if each else {}),
                },
            ),
            folder / f"{name}{k:03d}.dcm",
        )
        for k in range(count)
    ]


def item(**tags: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for name, value in tags.items():
        setattr(made, name, _short(name, value))
    return made


def enhanced(
    voxels: np.ndarray, positions: Sequence[Sequence[float]], *, own: Sequence[dict[str, Dataset]] = (), **tags: object
) -> FileDataset:
    """An enhanced MR file: geometry in functional groups, 0.5 x 0.75 mm; ``own`` are more groups of each frame."""
    made = dataset(
        voxels,
        storage=ENHANCED,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=None,
        SliceThickness=None,
        **{name: value for name, value in tags.items() if name != "axes"},
    )
    made.NumberOfFrames = len(positions)
    axes = tags.get("axes", AXIAL)
    made.SharedFunctionalGroupsSequence = Items(
        [
            item(
                PixelMeasuresSequence=Items([item(PixelSpacing=(0.5, 0.75), SliceThickness=2.0)]),
                PlaneOrientationSequence=Items([item(ImageOrientationPatient=axes)]),
            )
        ]
    )
    frames = []
    for number, position in enumerate(positions):
        groups = {
            "PlanePositionSequence": Items([item(ImagePositionPatient=position)]),
            "FrameContentSequence": Items([item(DimensionIndexValues=[1, number + 1])]),
            **({name: Items([group]) for name, group in own[number].items()} if own else {}),
        }
        frames.append(item(**groups))
    made.PerFrameFunctionalGroupsSequence = Items(frames)
    return made


def multi_frame(voxels: np.ndarray, **tags: object) -> FileDataset:
    """A secondary capture of many frames with its geometry at the top."""
    return dataset(voxels, storage=WORDS, **{"Modality": "OT", **tags})


def compressed(made: FileDataset) -> FileDataset:
    """The same file compressed as JPEG lossless by GDCM."""
    with tempfile.TemporaryDirectory() as folder:
        image = sitk.GetImageFromArray(made.pixel_array[None].astype(np.uint16))
        writer = sitk.ImageFileWriter()
        writer.SetFileName(f"{folder}/a.dcm")
        writer.SetUseCompression(True)
        writer.SetCompressor("JPEG")
        writer.Execute(image)
        packed = pydicom.dcmread(f"{folder}/a.dcm")
        made.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        made.PixelData, made.PixelRepresentation = packed.PixelData, 0
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made
