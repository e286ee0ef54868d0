"""Segments of a file become a DICOM SEG: by the command, and by the worker for another program."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest

pytest.importorskip("torch", reason="the worker needs torch")

from dicom_round_trips import ALGORITHM, OBLIQUE, SPECS, by_dcmqi, farthest, points_of, volumes_by_dcmqi
from dicom_series import places, write_mr_series
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.write import write_image, write_segmentation
from medseg.jobs.worker.command import worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.events import Failed, Finished
from medseg.spec.export_job import ExportJob
from medseg.spec.wire import Run, decode_request, encode_request


@pytest.fixture
def series(tmp_path):
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    return write_mr_series(tmp_path / "series", volume, places(OBLIQUE), OBLIQUE)


@pytest.fixture
def drawn(tmp_path, series):
    """Two segments that overlap and one without a voxel, in a .seg.nrrd; the layers."""
    image = read_image(series).image
    array = np.zeros((2, *image.shape), np.uint8)
    array[0, 2:6, 2:6, 1:4], array[1, 4:8, 3:7, 2:5] = 1, 2
    write_segmentation(tmp_path / "drawn.seg.nrrd", Image(array, image.affine), SPECS)
    return Image(array, image.affine)


def export(labels, series, output, *more):
    return run(["dicom", str(labels), str(series), "--output", str(output), *map(str, more)])


def test_segments_that_were_drawn_by_hand_are_written_with_their_names_codes_and_volumes(tmp_path, series, drawn):
    report = ("--measures", tmp_path / "report.dcm", "--model", "tiny")
    assert export(tmp_path / "drawn.seg.nrrd", series, tmp_path / "out.dcm", *report) == 0
    found, volumes = (
        by_dcmqi(tmp_path / "out.dcm", tmp_path / "dcmqi"),
        volumes_by_dcmqi(tmp_path / "report.dcm", tmp_path),
    )
    for spec in SPECS:
        mask = (drawn.array == spec.value).any(axis=0)
        assert farthest(found[spec.name].points, points_of(mask, drawn.affine)) < 1e-4
        assert found[spec.name].type == spec.type.value
        assert found[spec.name].modifier == ("" if spec.type_modifier is None else spec.type_modifier.value)
        assert volumes[f"tiny {spec.name}"][1] == pytest.approx(drawn.volume_ml(int(mask.sum())), abs=1e-6)
    segment = pydicom.dcmread(tmp_path / "out.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"  # a person may have changed them
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "Tiny"


@pytest.mark.usefixtures("drawn")
def test_what_cannot_be_written_is_refused_and_nothing_is_lost(tmp_path, series, scan_file, capsys):
    labels, slice_file = tmp_path / "drawn.seg.nrrd", next(series.iterdir())
    moved = read_image(series).image
    write_segmentation(tmp_path / "moved.seg.nrrd", replace(moved, array=np.zeros_like(moved.array)), SPECS)
    write_image(tmp_path / "bare.nrrd", replace(moved, array=np.zeros(moved.array.shape, np.uint8)))
    (tmp_path / "kept.dcm").write_text("precious")
    before = slice_file.read_bytes()
    for source, images, output, words in (
        (labels, scan_file, "out.dcm", "refers to the DICOM series it was made from"),
        (labels, series, "out.nrrd", "a DICOM file's name ends in .dcm"),
        (labels, series, "kept.dcm", "exists already and is kept"),
        (labels, series, slice_file, "is a slice of the series and the output at once"),
        (tmp_path / "bare.nrrd", series, "out.dcm", "made of segments with names and codes, and it has none"),
    ):
        assert export(source, images, tmp_path / output) == 2
        assert words in capsys.readouterr().err
    assert (tmp_path / "kept.dcm").read_text() == "precious"
    assert slice_file.read_bytes() == before
    assert not (tmp_path / "out.dcm").exists()


@pytest.mark.usefixtures("drawn")
def test_the_worker_exports_for_another_program(tmp_path, series):
    files = tuple(map(str, read_image(series).sources))
    job = ExportJob(
        labels=str(tmp_path / "drawn.seg.nrrd"), files=files, output=str(tmp_path / "out.dcm"), algorithm=ALGORITHM
    )
    assert decode_request(encode_request(Run(job, "row"))) == Run(job, "row")
    with WorkerProcess(environment=worker_environment()) as worker:
        end = list(worker.run(job))[-1]
        assert isinstance(end, Finished), end
        refused = list(worker.run(replace(job, files=files[1:], output=str(tmp_path / "other.dcm"))))[-1]
    assert set(by_dcmqi(tmp_path / "out.dcm", tmp_path / "dcmqi")) == {spec.name for spec in SPECS}
    assert isinstance(refused, Failed)
    assert not refused.is_bug
    assert "6 slices or frames, and the result 7" in refused.message
