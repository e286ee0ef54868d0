"""Measures as DICOM SR, read back by dcmqi and highdicom with the millilitres of the report; as CSV and as JSON."""

import csv
import json
import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest

pytest.importorskip("torch", reason="the command needs torch")

import medseg
from dicom_round_trips import ALGORITHM, OBLIQUE, SPECS, volumes_by_dcmqi
from dicom_series import places, write_mr_series
from Integration.tiny import MODEL, write_tiny_bundle
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.dicom_results.source import open_source
from medseg.io.dicom_results.write_seg import make_segmentation
from medseg.io.dicom_results.write_sr import make_report
from medseg.io.read import read_image

LABELS = {"front": 1, "back": 2}


@pytest.fixture
def series(tmp_path, volume):
    array = np.clip(volume.array[0], 0, 65535).astype(np.uint16)
    heights = np.arange(array.shape[2]) * 2.5
    return write_mr_series(tmp_path / "series", array, places(OBLIQUE, heights), OBLIQUE)


@pytest.fixture
def unreadable(tmp_path, monkeypatch):
    """A model whose weights cannot be read: whoever looks at them fails with other words."""
    write_tiny_bundle(tmp_path / "models", model_id="unreadable").weights_path.write_bytes(b"no weights at all")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))


def segment(source, output, measures, model=MODEL):
    more = ["--measures", str(measures), "--device", "cpu"]
    return run(["segment", str(source), "--model", model, "--output", str(output), *more])


def test_volumes_and_codes_of_a_report_come_back_through_dcmqi_and_highdicom(tmp_path):
    """Every kind of code: with a side, with a region, without either; one segment has no voxel."""
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    reading = read_image(write_mr_series(tmp_path / "series", volume, places(OBLIQUE), OBLIQUE))
    array = np.zeros((1, *reading.image.shape), np.uint8)
    array[0, 2:5, 3:6, 1:3], array[0, 6:9, 1:4, 5] = 1, 2
    source = open_source(reading.sources, reading.image)
    segments = make_segmentation(source, Image(array, reading.image.affine), SPECS, ALGORITHM)
    volumes = [reading.image.volume_ml(int((array == spec.value).sum())) for spec in SPECS]
    assert volumes == pytest.approx([18 * 0.7 * 1.25 * 2.5 / 1000, 9 * 0.7 * 1.25 * 2.5 / 1000, 0.0])
    make_report(source, segments, volumes, SPECS, ALGORITHM).save_as(tmp_path / "report.dcm")
    found = volumes_by_dcmqi(tmp_path / "report.dcm", tmp_path)
    for spec, expected, item in zip(SPECS, volumes, segments.SegmentSequence, strict=True):
        code, millilitres, tracking = found[f"made-up {spec.name}"]
        assert code == spec.type.value
        assert millilitres == pytest.approx(expected, abs=1e-6)
        assert tracking == item.TrackingUID
    groups = highdicom.sr.srread(tmp_path / "report.dcm").content.get_volumetric_roi_measurement_groups()
    sides = []
    for number, (group, spec) in enumerate(zip(groups, SPECS, strict=True), start=1):
        assert group.reference_type.value == "121191"  # Referenced Segment
        assert group.finding_type.value == spec.type.value
        (site,) = group.finding_sites
        assert site.value.value == (spec.region or spec.type).value
        sides.append(None if site.laterality is None else site.laterality.value)
        reference = group.referenced_segment
        assert reference.referenced_sop_instance_uid == segments.SOPInstanceUID
        assert reference.referenced_segment_numbers == [number]
    assert sides == ["7771000", "24028007", None]


def test_the_command_writes_a_report_beside_the_segments_with_the_volumes_of_its_table(series, tmp_path):
    assert segment(series, tmp_path / "labels.dcm", tmp_path / "report.dcm") == 0
    truth = medseg.segment(series, model=MODEL, device="cpu")
    found = volumes_by_dcmqi(tmp_path / "report.dcm", tmp_path)
    assert any(row.voxels for row in truth.measures), "a test without a voxel says little"
    for row in truth.measures:
        assert found[f"tiny {row.name}"][1] == pytest.approx(row.volume_ml, abs=1e-6)
    report, segments = (pydicom.dcmread(tmp_path / name) for name in ("report.dcm", "labels.dcm"))
    assert segments.SOPInstanceUID in str(report.CurrentRequestedProcedureEvidenceSequence)
    assert report.CompletionFlag == "COMPLETE"
    assert report.VerificationFlag == "UNVERIFIED"
    if shutil.which("dciodvfy") is not None:
        said = subprocess.run(["dciodvfy", tmp_path / "report.dcm"], capture_output=True, text=True, check=False).stderr
        assert "Comprehensive3DSR" in said
        assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_a_table_and_a_document_have_the_numbers_of_the_result(series, scan_file, tmp_path):
    for source, labels in ((series, "labels.dcm"), (scan_file, "labels.nrrd")):
        truth = medseg.segment(source, model=MODEL, device="cpu")
        out = tmp_path / labels.replace(".", "-")
        out.mkdir()
        truth.save(out / labels, measures=out / "measures.csv")
        truth.save(out / f"again-{labels}", measures=out / "measures.json")
        with (out / "measures.csv").open(encoding="utf-8", newline="") as stream:
            table = list(csv.DictReader(stream))
        document = json.loads((out / "measures.json").read_text(encoding="utf-8"))
        assert document["algorithm"]["model_id"] == MODEL
        for line, entry, row, spec in zip(table, document["segments"], truth.measures, truth.specs, strict=True):
            assert (line["segment"], int(line["label"]), int(line["voxels"])) == (row.name, row.value, row.voxels)
            assert float(line["volume_ml"]) == entry["volume_ml"] == pytest.approx(row.volume_ml, abs=1e-6)
            assert (line["area_cm2"], entry["area_cm2"]) == ("", None)
            assert line["type"] == f"SCT {spec.type.value} {spec.type.meaning}"
            assert entry["codes"]["type"] == {"scheme": "SCT", "value": spec.type.value, "meaning": spec.type.meaning}


@pytest.mark.usefixtures("unreadable")
def test_measures_that_could_not_be_written_are_refused_before_the_network_runs(series, tmp_path, capsys):
    (tmp_path / "kept.csv").write_text("precious")
    for output, name, words in (
        ("labels.seg.nrrd", "report.dcm", "a DICOM SR refers to segments in a DICOM SEG"),
        ("labels.dcm", "report.txt", "ends in .csv, .json, .dcm, got 'report.txt'"),
        ("labels.dcm", "kept.csv", "exists already and is kept"),
        ("labels.dcm", "labels.dcm", "is the output and the measures at once"),
    ):
        assert segment(series, tmp_path / output, tmp_path / name, model="unreadable") == 2
        assert words in capsys.readouterr().err
    assert (tmp_path / "kept.csv").read_text() == "precious"
    assert not (tmp_path / "labels.dcm").exists()


@pytest.mark.usefixtures("unreadable")
def test_a_single_slice_has_no_volume_for_a_report(tmp_path, capsys):
    array = np.random.default_rng(0).integers(0, 500, (22, 19, 1))
    folder = write_mr_series(tmp_path / "slice", array, places(heights=[0.0]))
    assert segment(folder, tmp_path / "labels.dcm", tmp_path / "report.dcm", model="unreadable") == 2
    assert "a DICOM SR holds volumes, and this image has none" in capsys.readouterr().err
