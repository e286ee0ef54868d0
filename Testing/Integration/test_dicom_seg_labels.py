"""DICOM SEG as labels: scored against each other and against other formats, and learnt from."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="scores are computed by MONAI")

from dicom_round_trips import ALGORITHM, OBLIQUE, SPECS
from dicom_series import EVEN_MM, places, write_mr_series
from medseg.imaging.image import Image
from medseg.io.dataset import read_case, read_dataset
from medseg.io.dicom_results.read_seg import read_segment_specs
from medseg.io.dicom_results.source import open_source
from medseg.io.dicom_results.write_seg import make_segmentation
from medseg.io.read import read_image
from medseg.io.write import write_image, write_segmentation
from medseg.jobs.scoring.evaluate import evaluate
from medseg.spec.errors import ImageError


@pytest.fixture
def series(tmp_path):
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    return read_image(write_mr_series(tmp_path / "series", volume, places(OBLIQUE), OBLIQUE))


def drawn(image, first, last):
    """Label 1 in these slices, label 2 in slice 4."""
    array = np.zeros((1, *image.shape), np.uint8)
    array[0, 2:5, 3:6, first:last] = 1
    array[0, 6:9, 1:4, 4] = 2
    return Image(array, image.affine)


def write_seg(path, series, labels):
    source = open_source(series.sources, series.image)
    make_segmentation(source, labels, SPECS, ALGORITHM).save_as(path)
    return path


def test_files_that_hold_other_slices_are_scored_on_one_grid(tmp_path, series):
    found, truth = drawn(series.image, 1, 3), drawn(series.image, 2, 5)
    for name, labels in (("found", found), ("truth", truth)):
        write_seg(tmp_path / f"{name}.dcm", series, labels)
        write_segmentation(tmp_path / f"{name}.nrrd", labels, SPECS)
    common, expected = 9, 2 * 9 / (18 + 27)
    assert (found.array * truth.array == 1).sum() == common
    plain = evaluate(tmp_path / "found.nrrd", tmp_path / "truth.nrrd")
    for prediction in ("found.dcm", "found.nrrd"):
        for reference in ("truth.dcm", "truth.nrrd"):
            scores = evaluate(tmp_path / prediction, tmp_path / reference)
            assert [row.scores.dice for row in scores.rows] == pytest.approx([expected, 1.0])
            for one, other in zip(scores.rows, plain.rows, strict=True):
                assert one.scores.hd95_mm == pytest.approx(other.scores.hd95_mm, abs=1e-4)
                assert one.scores.volume_ml == pytest.approx(other.scores.volume_ml)


def test_segments_of_another_place_are_not_compared(tmp_path, series):
    labels = drawn(series.image, 1, 3)
    write_seg(tmp_path / "found.dcm", series, labels)
    moved = labels.affine.copy()
    moved[0, 3] += 0.4
    write_segmentation(tmp_path / "truth.nrrd", Image(labels.array, moved), SPECS)
    with pytest.raises(ImageError, match="resample one onto the other's grid"):
        evaluate(tmp_path / "found.dcm", tmp_path / "truth.nrrd")


def test_a_training_case_takes_its_labels_from_a_dicom_seg(tmp_path, series):
    labels = drawn(series.image, 1, 3)
    for folder in ("images", "labels"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    write_image(tmp_path / "set" / "images" / "case.nii.gz", series.image)  # made from the series
    write_seg(tmp_path / "set" / "labels" / "case.dcm", series, labels)
    case = read_dataset(tmp_path / "set")["case"]
    image, found = read_case(case)
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.shape == image.shape
    assert read_segment_specs(case.labels)[0].name == SPECS[0].name
    assert read_segment_specs(case.labels)[0].type_modifier == SPECS[0].type_modifier


def test_an_uneven_series_takes_the_labels_of_its_own_slices(tmp_path):
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    heights = EVEN_MM + np.array([0, 0, 0, 1, 1, 1, 1])
    series = read_image(write_mr_series(tmp_path / "series", volume, places(OBLIQUE, heights), OBLIQUE))
    labels = drawn(series.image, 1, 3)
    write_seg(tmp_path / "labels.dcm", series, labels)
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "series", "label": "labels.dcm"}]}')
    _, found = read_case(read_dataset(tmp_path)["series"])
    np.testing.assert_array_equal(found.array, labels.array)
