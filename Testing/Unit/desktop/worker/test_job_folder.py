"""What the controls hold becomes a job the worker understands, and its answer lies on the volume's grid."""

from pathlib import Path

import numpy as np
import pytest

from medseg.desktop.console.orders import make_settings
from medseg.desktop.worker.job_folder import (
    read_answer,
    read_probabilities,
    write_request,
)
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.io.write import write_image, write_segmentation
from medseg.spec.errors import ImageError, JobError
from medseg.spec.job import Options
from medseg.spec.wire import decode_job, encode_job

AFFINE = np.array([[0.9, 0.1, 0, -12.345678], [-0.1, 1.1, 0, 7], [0, 0, 3, 1 / 3], [0, 0, 0, 1]])


@pytest.fixture
def images():
    voxels = np.random.default_rng(0).normal(size=(2, 1, 5, 4, 3)).astype(np.float32)
    return [Image(array, AFFINE) for array in voxels]


def test_the_worker_finds_every_channel_and_option_in_the_job_folder(tmp_path, images, manifest):
    settings, roi = make_settings(device="cpu", overlap=0.25, mirror="off", roi=[-1, 1, -2, 2, -3, 3], window_batch=2)
    options = settings.options(roi)
    request = write_request(tmp_path, images, manifest, options, probabilities=True)
    job = request.job
    assert decode_job(encode_job(job)) == job
    assert {path.name for path in tmp_path.iterdir()} == {Path(name).name for name in job.inputs}
    assert job.model == "pair"
    assert job.options == Options(
        device="cpu", overlap=0.25, mirror=False, roi_ras_mm=(-1, 1, -2, 2, -3, 3), window_batch=2
    )
    for name, image in zip(job.inputs, images, strict=True):
        np.testing.assert_array_equal(read_image(tmp_path / name).image.array, image.array)
        np.testing.assert_allclose(read_image(tmp_path / name).image.affine, AFFINE, atol=1e-5)


def test_the_answer_has_the_exact_affine_of_the_volume(tmp_path, images, manifest):
    request = write_request(tmp_path, images, manifest, Options())
    labels = (images[0].array > 0).astype(np.uint8)
    write_segmentation(tmp_path / "labels.nii", Image(labels, AFFINE + 1e-7), manifest.labels)
    answer = read_answer(request, images[0])
    np.testing.assert_array_equal(answer.array, labels)
    np.testing.assert_array_equal(answer.affine, AFFINE)


def test_an_answer_of_another_shape_is_refused(tmp_path, images, manifest):
    request = write_request(tmp_path, images, manifest, Options())
    write_segmentation(tmp_path / "labels.nii", Image(np.zeros((1, 5, 4, 2), np.uint8)), manifest.labels)
    with pytest.raises(ImageError, match=r"\(5, 4, 2\), the volume \(5, 4, 3\)"):
        read_answer(request, images[0])


def test_probabilities_come_back_only_when_asked_for(tmp_path, images, manifest):
    (tmp_path / "without").mkdir()
    assert read_probabilities(write_request(tmp_path / "without", images, manifest, Options()), images[0]) is None
    request = write_request(tmp_path, images, manifest, Options(), probabilities=True)
    scores = np.random.default_rng(1).random((2, 5, 4, 3), dtype=np.float32)
    write_image(Path(request.job.probabilities), Image(scores, AFFINE))
    again = read_probabilities(request, images[0])
    np.testing.assert_array_equal(again.array, scores)
    np.testing.assert_array_equal(again.affine, AFFINE)


@pytest.mark.parametrize(
    "scores",
    [np.zeros((2, 5, 4, 2), np.float32), np.zeros((2, 4, 5, 3), np.float32), np.zeros((2, 5, 4, 3), np.float64)],
    ids=["fewer", "turned", "of another type"],
)
def test_probabilities_that_do_not_fit_the_volume_are_refused(tmp_path, images, manifest, scores):
    request = write_request(tmp_path, images, manifest, Options(), probabilities=True)
    write_image(Path(request.job.probabilities), Image(scores, AFFINE))
    with pytest.raises(ImageError, match=r"the volume \(5, 4, 3\)"):
        read_probabilities(request, images[0])


def test_probabilities_that_were_cut_short_are_refused(tmp_path, images, manifest):
    request = write_request(tmp_path, images, manifest, Options(), probabilities=True)
    path = Path(request.job.probabilities)
    write_image(path, Image(np.zeros((2, 5, 4, 3), np.float32), AFFINE))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ImageError):
        read_probabilities(request, images[0])


def test_files_between_the_processes_are_as_large_as_their_voxels(tmp_path, images, manifest):
    request = write_request(tmp_path, images, manifest, Options(), probabilities=True)
    flat = Image(np.zeros((1, 50, 40, 30), np.uint8), AFFINE)
    write_segmentation(Path(request.job.output), flat, manifest.labels)
    assert Path(request.job.output).stat().st_size == 352 + flat.array.size
    write_image(Path(request.job.probabilities), Image(np.zeros((2, 50, 40, 30), np.float32), AFFINE))
    assert Path(request.job.probabilities).stat().st_size == 352 + 8 * flat.array.size


def test_a_wrong_number_of_channels_is_refused_with_their_names(tmp_path, images, manifest):
    with pytest.raises(JobError, match=r"Pair takes 2 channel\(s\) \(T1, FLAIR\), got 1"):
        write_request(tmp_path, images[:1], manifest, Options())
    assert list(tmp_path.iterdir()) == []


def test_one_volume_with_all_channels_will_do(tmp_path, images, manifest):
    both = Image(np.concatenate([image.array for image in images]), AFFINE)
    request = write_request(tmp_path, [both], manifest, Options())
    for name, image in zip(request.job.inputs, images, strict=True):
        np.testing.assert_array_equal(read_image(tmp_path / name).image.array, image.array)


@pytest.mark.parametrize(("text", "mirror"), [("", None), ("on", True), ("off", False)])
def test_mirroring_is_on_off_or_as_the_model_says(text, mirror):
    assert make_settings(mirror=text)[0].options().mirror is mirror


def test_another_word_for_mirroring_is_refused():
    with pytest.raises(JobError, match="got 'yes'"):
        make_settings(mirror="yes")


def test_a_flat_region_is_refused():
    with pytest.raises(JobError, match="lower before upper"):
        make_settings(roi=[0, 0, 1, 2, 3, 4])
