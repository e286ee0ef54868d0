"""A DICOM series in, a DICOM SEG out, by the shell, from Python and in a batch; what cannot be is refused before."""

import csv
from dataclasses import replace

import numpy as np
import pydicom
import pytest

pytest.importorskip("torch", reason="the command needs torch")

import torch

import medseg
from dicom_round_trips import OBLIQUE, by_dcmqi, by_highdicom, farthest, points_of
from dicom_series import places, write_mr_series
from Integration.tiny import MODEL, write_tiny_bundle
from medseg.bundles.catalogue import open_bundle
from medseg.bundles.digest import weights_digest
from medseg.bundles.write import write_bundle
from medseg.cli.main import run
from medseg.io.dicom_results import optional
from medseg.io.read import read_image, read_labels, read_layers
from medseg.networks import build_network
from medseg.spec.errors import JobError, MissingDependency
from medseg.spec.manifest import OverlapRule

UNREADABLE = "unreadable"


@pytest.fixture
def series(tmp_path, volume):
    """An oblique series of 22 x 19 x 9 voxels."""
    array = np.clip(volume.array[0], 0, 65535).astype(np.uint16)
    heights = np.arange(array.shape[2]) * 2.5
    return write_mr_series(tmp_path / "series", array, places(OBLIQUE, heights), OBLIQUE)


def segment(source, output, *more, model=MODEL):
    return run(["segment", str(source), "--model", model, "--output", str(output), "--device", "cpu", *more])


def test_a_series_becomes_a_dicom_seg_with_the_labels_that_a_seg_nrrd_has(series, tmp_path, capsys):
    assert segment(series, tmp_path / "labels.dcm") == 0
    assert "labels.dcm" in capsys.readouterr().out
    assert segment(series, tmp_path / "labels.seg.nrrd") == 0
    truth, reading = read_labels(tmp_path / "labels.seg.nrrd"), read_image(series)
    assert {1, 2} & set(np.unique(truth.array)), "a test without a segment says little"
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.dcm", reading).array, truth.array)
    for read in (by_highdicom, by_dcmqi):
        found = read(tmp_path / "labels.dcm", tmp_path / "dcmqi")
        assert list(found) == ["front", "back"]
        for value, name in ((1, "front"), (2, "back")):
            expected = points_of(truth.array[0] == value, truth.affine)
            assert farthest(found[name].points, expected) < 1e-3
    data = pydicom.dcmread(tmp_path / "labels.dcm")
    (algorithm,) = data.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "Tiny"
    assert weights_digest(open_bundle(MODEL)) in algorithm.AlgorithmParameters


def test_from_python_it_is_written_at_once_or_later(series, tmp_path):
    result = medseg.segment(series, model=MODEL, device="cpu", output=tmp_path / "at-once.dcm")
    result.save(tmp_path / "later.labelmap.dcm")
    reading = read_image(series)
    for name in ("at-once.dcm", "later.labelmap.dcm"):
        np.testing.assert_array_equal(read_labels(tmp_path / name, reading).array, result.labels.array)
    before = (tmp_path / "at-once.dcm").read_bytes()
    with pytest.raises(medseg.OutputExists):
        result.save(tmp_path / "at-once.dcm")
    assert (tmp_path / "at-once.dcm").read_bytes() == before


def test_a_batch_of_series_becomes_a_folder_of_dicom_segs_with_the_volumes_of_the_report(series, tmp_path):
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    series.rename(tree / "ann")
    assert run(["batch", str(tree), "-m", MODEL, "-o", str(out), "--device", "cpu", "--suffix", ".dcm"]) == 0
    with (out / "report.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    result = medseg.segment(tree / "ann", model=MODEL, device="cpu")
    for measured in result.measures:
        assert float(row[f"{measured.name} ml"]) == pytest.approx(measured.volume_ml, abs=1e-3)
    np.testing.assert_array_equal(read_labels(out / "ann.dcm", read_image(tree / "ann")).array, result.labels.array)


@pytest.fixture
def overlapping(tmp_path, monkeypatch):
    """A random model whose two segments overlap; they are painted in the order 2, 1."""
    manifest = open_bundle(MODEL).manifest
    arguments = manifest.arguments | {"label_count": 2}
    rule = OverlapRule(threshold=0.4, order=(2, 1))
    manifest = replace(manifest, model_id="overlapping", overlapping=rule, arguments=arguments)
    torch.manual_seed(0)
    network = build_network(manifest.network, **arguments).eval()
    write_bundle(tmp_path / "models" / "overlapping", manifest, network, licence_text="Apache License 2.0\n")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))


@pytest.mark.usefixtures("overlapping")
def test_segments_that_overlap_are_whole_in_a_dicom_seg(series, tmp_path, capsys):
    result = medseg.segment(series, model="overlapping", device="cpu", output=tmp_path / "labels.dcm")
    assert result.labels.channel_count == 2, "a test without an overlap says little"
    assert not [warning for warning in result.warnings if "overlap" in warning]
    found = by_highdicom(tmp_path / "labels.dcm", tmp_path)
    for name in ("front", "back"):
        assert farthest(found[name].points, points_of(result.mask(name), result.image.affine)) < 1e-3
    assert segment(series, tmp_path / "labels.labelmap.dcm", model="overlapping") == 2
    assert "a DICOM label map has one number a voxel" in capsys.readouterr().err
    out = tmp_path / "out"
    assert run(["batch", str(series), "-m", "overlapping", "-o", str(out), "--device", "cpu", "--suffix", ".dcm"]) == 0
    with (out / "report.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    for measured in result.measures:
        assert float(row[f"{measured.name} ml"]) == pytest.approx(measured.volume_ml, abs=1e-3)


@pytest.fixture
def unreadable(tmp_path, monkeypatch):
    """A model whose weights cannot be read: whoever looks at them fails with other words."""
    write_tiny_bundle(tmp_path / "models", model_id=UNREADABLE).weights_path.write_bytes(b"no weights at all")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))


@pytest.mark.usefixtures("unreadable")
def test_a_source_that_is_not_dicom_is_refused_before_the_network_runs(scan_file, volume, tmp_path, capsys):
    words = r"refers to the DICOM series it was made from, got {}.*choose \.seg\.nrrd"
    assert segment(scan_file, tmp_path / "labels.dcm", model=UNREADABLE) == 2
    assert f"got {scan_file} (nifti); give the DICOM folder" in capsys.readouterr().err
    for source, found in ((scan_file, "scan"), (volume, "an image in memory")):
        with pytest.raises(JobError, match=words.format(f".*{found}")):
            medseg.segment(source, model=UNREADABLE, output=tmp_path / "labels.dcm")
    listed = tmp_path / "cases.csv"
    listed.write_text(f"case,image\none,{scan_file}\n")
    out = tmp_path / "out"
    assert run(["batch", str(listed), "-m", UNREADABLE, "-o", str(out), "--suffix", ".labelmap.dcm"]) == 1
    assert "refers to the DICOM series" in (out / "report.csv").read_text(encoding="utf-8")
    assert not list(tmp_path.glob("**/*.dcm"))


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SOPInstanceUID", "", "SOPInstanceUID is missing here"),
        ("StudyInstanceUID", "", "StudyInstanceUID is missing here"),
        ("PixelSpacing", None, "needs Pixel Spacing"),
        ("SeriesNumber", "3", "not a whole safetensors file"),  # nothing to refuse: the network is asked for
    ],
)
def test_headers_that_allow_no_dicom_seg_are_refused_before_the_network_runs(tmp_path, capsys, name, value, words):
    array = np.arange(22 * 19 * 9, dtype=np.uint16).reshape(22, 19, 9)
    folder = write_mr_series(tmp_path / "series", array, places(heights=np.arange(9) * 2.5), **{name: value})
    assert segment(folder, tmp_path / "labels.dcm", model=UNREADABLE) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "labels.dcm").exists()


@pytest.mark.usefixtures("unreadable")
def test_probabilities_are_no_dicom_seg(series, tmp_path, capsys):
    more = ["--probabilities", str(tmp_path / "p.dcm")]
    assert segment(series, tmp_path / "labels.dcm", *more, model=UNREADABLE) == 2
    assert "probabilities are an image, not segments" in capsys.readouterr().err


@pytest.mark.usefixtures("unreadable")
def test_without_highdicom_a_sentence_says_what_to_type(series, tmp_path, monkeypatch):
    monkeypatch.setattr(optional, "find_spec", lambda _name: None)
    with pytest.raises(MissingDependency, match="pip install highdicom"):
        medseg.segment(series, model=UNREADABLE, output=tmp_path / "labels.dcm")


def test_an_odd_header_is_said_and_the_file_is_made(tmp_path, capsys):
    array = np.random.default_rng(0).integers(0, 500, (22, 19, 9))
    folder = write_mr_series(
        tmp_path / "series", array, places(heights=np.arange(9) * 2.5, shift=0.3), drop=("PatientSex",)
    )
    assert segment(folder, tmp_path / "labels.dcm") == 0
    told = capsys.readouterr().err
    assert "the headers lack PatientSex" in told
    assert "the slices are tilted" in told
    assert read_layers(tmp_path / "labels.dcm", read_image(folder)).shape == (22, 19, 9)
