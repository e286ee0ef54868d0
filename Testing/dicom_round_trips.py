"""Segments written as DICOM SEG and read by other programs: voxels by world position, names and codes of each."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import SimpleITK

from dicom_series import turned
from medseg.io.stored import LPS_TO_RAS
from medseg.spec.algorithm import Algorithm
from medseg.spec.labels import Code, LabelSpec

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
SPECS = (
    LabelSpec(
        value=1,
        name="left amygdala",
        color=(255, 80, 80),
        category=ANATOMY,
        type=Code("SCT", "4958002", "Amygdala"),
        type_modifier=Code("SCT", "7771000", "Left"),
    ),
    LabelSpec(
        value=2,
        name="right amygdala",
        color=(80, 80, 255),
        category=ANATOMY,
        type=Code("SCT", "4958002", "Amygdala"),
        type_modifier=Code("SCT", "24028007", "Right"),
        region=Code("SCT", "12738006", "Brain"),
    ),
    LabelSpec(
        value=3,
        name="thalamus",
        color=(80, 255, 80),
        category=ANATOMY,
        type=Code("SCT", "42695009", "Thalamus"),
    ),
)
ALGORITHM = Algorithm(
    name="Made up", model_id="made-up", version="1.2.0", weights_sha256="ab" * 32, program="MedSegAttention 0.1.0"
)
STRAIGHT, OBLIQUE = turned(0, 0, 0), turned(0.3, -0.5, 0.8)


@dataclass(frozen=True)
class Found:
    """A segment as a program read it: voxel centres ``(n, 3)`` in RAS mm, and codes."""

    points: np.ndarray
    type: str
    modifier: str


def points_of(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Centres of the voxels of ``(I, J, K)`` in RAS mm, sorted."""
    return (np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]).reshape(-1, 3)


def farthest(found: np.ndarray, truth: np.ndarray) -> float:
    """The largest distance of a point of one set to the nearest of the other, mm; infinite where counts differ."""
    if len(found) != len(truth):
        return float("inf")
    if not len(truth):
        return 0.0
    apart = np.linalg.norm(found[:, None] - truth[None], axis=2)
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))


def by_highdicom(path: Path, folder: Path) -> dict[str, Found]:
    """Read by highdicom's own volumes, one a segment."""
    del folder
    seg = highdicom.seg.segread(path)
    found = {}
    for item in seg.SegmentSequence:
        number = int(item.SegmentNumber)
        if number == 0:
            continue
        volume = seg.get_volume(segment_numbers=[number], combine_segments=False)
        affine = LPS_TO_RAS @ volume.affine
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        modifier = kind.get("SegmentedPropertyTypeModifierCodeSequence") or [None]
        code = "" if modifier[0] is None else modifier[0].CodeValue
        found[item.SegmentLabel] = Found(points_of(volume.array[..., 0] > 0, affine), kind.CodeValue, code)
    return found


def by_dcmqi(path: Path, folder: Path) -> dict[str, Found]:
    """Read by dcmqi's segimage2itkimage, which 3D Slicer uses."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [program("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd"]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    groups = json.loads((folder / "meta.json").read_text())["segmentAttributes"]
    for number, said in ((number, said) for number, group in enumerate(groups, start=1) for said in group):
        alone = len(groups[number - 1]) == 1  # of a label map all are in one file
        image = SimpleITK.ReadImage(str(folder / f"{said['labelID'] if alone else number}.nrrd"))
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        values = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
        mask = values > 0 if alone else values == said["labelID"]
        modifier = said.get("SegmentedPropertyTypeModifierCodeSequence", {}).get("CodeValue", "")
        code = said["SegmentedPropertyTypeCodeSequence"]["CodeValue"]
        found[said["SegmentLabel"]] = Found(points_of(mask, LPS_TO_RAS @ affine), code, modifier)
    return found


def program(name: str) -> str:
    """A program of a package beside this Python."""
    return str(Path(sys.executable).with_name(name))


def volumes_by_dcmqi(path: Path, folder: Path) -> dict[str, tuple[str, float, str]]:
    """Volume in mL, the finding's code and the tracking UID of each group of an SR, by dcmqi's tid1500reader.

    Returns:
        By tracking identifier: code of the finding, millilitres, tracking UID.
    """
    target = folder / "report.json"
    command = [program("tid1500reader"), "--inputDICOM", path, "--outputMetadata", target]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for group in json.loads(target.read_text())["Measurements"]:
        (item,) = group["measurementItems"]
        assert (item["quantity"]["CodeValue"], item["units"]["CodeValue"]) == ("118565006", "mL")
        identifier, code = group["TrackingIdentifier"], group["Finding"]["CodeValue"]
        found[identifier] = code, float(item["value"]), group["TrackingUniqueIdentifier"]
    return found
