"""One 2D and one 3D network of each paper segment a real scan through the command, with made-up weights."""

from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from Integration.tiny import write_random_bundle
from medseg.cli.main import run
from medseg.imaging.geometry import same_grid
from medseg.io.read import read_image, read_labels
from medseg.networks import NETWORKS
from medseg.spec.manifest import SliceRule

DLKA = {"input_shape": (16, 16, 16), "stem": (2, 4, 4), "dims": (4, 8, 16, 32), "depths": (1,) * 4, "feature_size": 4}
MAXVIT = {"image_size": 64, "dims": (32, 64, 128, 256), "depths": (1,) * 4}
ULTRALIGHT = {"widths": "T", "pooling": (1, 2, 2, 2, 1)}
MSLAU = {"dims": (8, 16, 32, 64), "depths": (1,) * 4, "heads": (1, 2), "strides": (2, 2, 2, 2)}
MEDT = {"planes": (4, 4, 8, 8), "depths": (1,) * 4, "groups": 2, "stem_channels": (4, 8)}
MEDT |= {"local_stem_channels": (8, 8), "patch_grid": 2}
EMF = {"channels": (8, 16), "depths": (1, 1), "heads": (2, 4), "strides": (2, 2), "groups": 2}

ACROSS = {"i": SliceRule(axis=0), "k": SliceRule(axis=2), "resized": SliceRule(axis=2, fit="resize")}
ACROSS["neighbours"] = SliceRule(axis=2, context=1)
# network, its arguments, how it reads slices (None: it is 3D), the scan, the file to write
CASES = {
    "dlka-3d": ("dlka_net", DLKA, None, "01_ct_torso_3mm/ct_slab.nii.gz", "out.nii.gz"),
    "dlka-2d": ("dlka_net_2d", MAXVIT, "resized", "06_ms_raw_oblique_aniso/flair.nii.gz", "out.seg.nrrd"),
    "ultralight-3d": ("ultralight_unet", ULTRALIGHT, None, "04_mr_torso_slab/mr.nii.gz", "out.seg.nrrd"),
    "ultralight-2d": ("ultralight_unet", ULTRALIGHT, "neighbours", "11_brain_nrrd_roi/brain1_image.nrrd", "out.nrrd"),
    "mslau-3d": ("mslau_net", MSLAU, None, "03_ct_aorta_1p5mm/ct.nii.gz", "out.mha"),
    "mslau-2d": ("mslau_net", MSLAU, "k", "04_mr_torso_slab/mr.nii.gz", "out.nii.gz"),
    "medt-3d": ("medical_transformer", MEDT | {"image_size": 16}, None, "12_ct_cranium/ct.nii.gz", "out.nii.gz"),
    "medt-2d": ("medical_transformer", MEDT | {"image_size": 64}, "k", "07_mr_prostate_dicom_oblique/t2", "out.nii.gz"),
    "emf-3d": ("emf_former", EMF, None, "11_brain_nrrd_roi/brain1_image.nrrd", "out.seg.nrrd"),
    "emf-2d": ("emf_former", EMF, "i", "02_ct_dicom_series/dicom", "out.seg.nrrd"),
}
# OpenVINO takes 20 s to get ready for this one; that it runs deformable convolutions is tested with the engines
BY_TORCH = {"dlka-2d"}
HALF_MM = {2: 20, 3: 30}  # of the region: many slices take long, few voxels of 3 mm make no window


def test_every_network_has_a_case_in_2d_and_in_3d():
    assert {(name, rule is None) for name, _, rule, *_ in CASES.values()} == {
        (name, dims == 3)
        for name in NETWORKS
        for dims in (2, 3)
        if (name, dims) not in {("dlka_net", 2), ("dlka_net_2d", 3)}
    }


@pytest.mark.parametrize("case", CASES)
def test_a_real_scan_is_segmented_on_its_own_grid(case, real_scan, tmp_path, monkeypatch, capsys):
    network, arguments, across, name, written = CASES[case]
    if network == "dlka_net_2d" and find_spec("timm") is None:
        pytest.skip("the encoder of 2D D-LKA Net comes from timm")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    write_random_bundle(tmp_path / "models", network, arguments, slices=None if across is None else ACROSS[across])
    path = real_scan(name)
    scan = read_image(path).image
    lower, upper = box_in_the_middle(scan, HALF_MM[3 if across is None else 2])
    command = ["segment", str(path), "--model", "random", "-o", str(tmp_path / written)]
    command += ["--roi=" + ",".join(map(str, np.stack([lower, upper], axis=1).ravel())), "--device", "cpu"]
    command += ["--engine", "torch"] if case in BY_TORCH else []
    assert run([*command, "--overlap", "0"]) == 0, capsys.readouterr().err
    found = read_labels(tmp_path / written)
    assert same_grid(found, scan)
    assert set(np.unique(found.array)) <= {0, 1, 2}
    box = voxels_of(lower, upper, scan)
    assert len(np.unique(found.array[0][box])) > 1
    found.array[0][box] = 0
    assert not found.array.any()
    if written != "out.seg.nrrd":
        assert_itk_sees_the_same_grid(tmp_path / written, scan)


def box_in_the_middle(scan, half_mm):
    """Lowest and highest R, A, S in mm."""
    middle = scan.affine @ [*((np.array(scan.shape) - 1) / 2), 1]
    return (middle[:3] - half_mm).round(1), (middle[:3] + half_mm).round(1)


def voxels_of(lower, upper, scan):
    """The smallest box of the scan's own voxels that holds a box in mm, and two voxels around it."""
    corners = np.array(list(product(*zip(lower, upper, strict=True))))
    places = (corners - scan.affine[:3, 3]) @ np.linalg.inv(scan.affine[:3, :3]).T
    first = np.floor(places.min(axis=0)).astype(int) - 2
    last = np.ceil(places.max(axis=0)).astype(int) + 2
    return tuple(slice(max(0, start), stop + 1) for start, stop in zip(first, last, strict=True))


def assert_itk_sees_the_same_grid(path, scan):
    image = sitk.ReadImage(str(path))
    assert image.GetSize() == scan.shape
    first = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0))) * (-1, -1, 1)
    last = np.array(image.TransformIndexToPhysicalPoint([size - 1 for size in scan.shape])) * (-1, -1, 1)
    np.testing.assert_allclose(first, scan.affine[:3, 3], atol=1e-3)
    np.testing.assert_allclose(last, (scan.affine @ [*(np.array(scan.shape) - 1), 1])[:3], atol=1e-3)
