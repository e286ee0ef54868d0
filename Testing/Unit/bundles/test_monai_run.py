"""``python -m monai.bundle run`` on a bundle of ours gives what our own predictor gives."""

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import nibabel
import numpy as np
import pytest
import torch

from medseg.bundles.weights import load_network
from medseg.bundles.write import write_bundle
from medseg.imaging.image import Image
from medseg.imaging.overlap import painted
from medseg.imaging.postprocess import postprocess
from medseg.imaging.preprocess import prepare
from medseg.jobs.run.segment import segment_case
from medseg.networks import build_network
from medseg.spec.job import Options
from medseg.spec.manifest import ChannelSpec, IntensityRule, OverlapRule, SliceRule
from medseg.spec.postprocess import PostprocessRule
from monai_child import a_child_environment, options_for, run_monai
from planned import predict

__all__ = ["run_monai"]  # a fixture

PERMUTED = np.array([[0, 0, 1.0, -30], [-1.0, 0, 0, 12], [0, 1.0, 0, 7], [0, 0, 0, 1]])  # i to P, j to S, k to R


def blob(shape, seed):
    """Smooth structure on a black ground, so that the labels form regions and the body has an edge."""
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    for axis in range(3):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    inside = np.zeros(shape, dtype=bool)
    inside[1:-1, 1:-1, 1:-1] = True
    return np.where(inside, 400 + 300 * noise, 0).astype(np.float32)


def run_as_a_user(bundle, images, output):
    """Run the bundle by MONAI's command; without the command-line package, through the same call."""
    options = options_for(images, output)
    if find_spec("fire"):
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = [sys.executable, "-m", "monai.bundle", "run", *flags]
    else:
        command = [sys.executable, "-c", f"import monai.bundle; monai.bundle.run(**{options!r})"]
    done = subprocess.run(
        command, cwd=bundle.folder, env=a_child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def predict_ourselves(bundle, image):
    prepared = prepare(image, bundle.manifest)
    network = load_network(bundle)
    scores = predict(prepared.image.array, network, bundle.manifest, device=torch.device("cpu"))
    labels = Image(prepared.restore_labels(scores)[None], image.affine)
    return postprocess(labels, bundle.manifest.postprocess).array[0]


def assert_agree(theirs, ours):
    assert np.bincount(ours.ravel()).max() < 0.9 * ours.size, "a test on one label says little"
    assert (theirs == ours).mean() > 0.999


def test_monai_gives_the_labels_our_predictor_gives_on_any_axis_order(tmp_path, bundle):
    images = tmp_path / "images"
    images.mkdir()
    cases = {
        "straight": Image(blob((24, 16, 18), 0)[None], np.diag([1.0, 1, 1, 1])),
        "turned": Image(blob((16, 18, 24), 1)[None], PERMUTED),
        "small": Image(blob((9, 16, 12), 2)[None], np.diag([-1.0, -1, 1, 1])),
    }
    for name, image in cases.items():
        nibabel.save(nibabel.Nifti1Image(image.array[0], image.affine), images / f"{name}.nii.gz")
    run_as_a_user(bundle, images, tmp_path / "out")
    for name, image in cases.items():
        theirs = nibabel.load(tmp_path / "out" / f"{name}_seg.nii.gz")
        ours = predict_ourselves(bundle, image)
        np.testing.assert_allclose(theirs.affine, image.affine, atol=1e-5)
        assert_agree(np.asarray(theirs.dataobj), ours)


def test_labels_that_overlap_are_painted_alike(tmp_path, manifest, run_monai):
    count = len(manifest.labels)
    values = [label.value for label in manifest.labels]
    manifest = replace(
        manifest,
        arguments=manifest.arguments | {"label_count": count},
        overlapping=OverlapRule(threshold=0.5, order=tuple(reversed(values))),
        mirror_axes=(),
    )
    image = Image(blob((24, 16, 18), 5)[None], np.diag([1.0, 1, 1, 1]))
    bundle = write_bundle(tmp_path / "regions", manifest, undecided(manifest, image), licence_text="x")
    images = tmp_path / "images"
    images.mkdir()
    nibabel.save(nibabel.Nifti1Image(image.array[0], image.affine), images / "case.nii.gz")
    run_monai(bundle, images, tmp_path / "out")
    theirs = np.asarray(nibabel.load(tmp_path / "out" / "case_seg.nii.gz").dataobj)
    found = segment_case([image], bundle, Options(device="cpu", engine="torch"))
    assert found.labels.channel_count > 1
    assert (theirs == painted(found.labels, found.specs).array[0]).mean() > 0.999
    assert len(np.unique(theirs)) > 1


@pytest.mark.parametrize("kind", ["clip_zscore", "percentile"])
def test_two_channels_a_body_crop_and_postprocessing_are_carried_over(
    tmp_path, manifest, make_network, run_monai, kind
):
    rule = {
        "clip_zscore": IntensityRule(kind="clip_zscore", lower=100.0, upper=700.0, mean=350.0, std=120.0),
        "percentile": IntensityRule(kind="percentile", lower=2.0, upper=98.0),
    }[kind]
    manifest = replace(
        manifest,
        arguments=manifest.arguments | {"in_channels": 2},
        channels=(ChannelSpec(name="T1", modality="MR"), ChannelSpec(name="T2", modality="MR")),
        intensity=rule,
        crop_to_body=True,
        spacing_mm=None,
        mirror_axes=(),
        overlap=0.0,
        window_shape=(8, 8, 6),
        postprocess=PostprocessRule(keep_largest=True, fill_holes_mm3=4.0),
    )
    bundle = write_bundle(tmp_path / "two", manifest, make_network(manifest), licence_text="x")
    image = Image(np.stack([blob((24, 16, 18), 5), blob((24, 16, 18), 6)]), np.diag([2.0, 2, 2, 1]))
    images = tmp_path / "images"
    images.mkdir()
    for channel, array in enumerate(image.array):
        nibabel.save(nibabel.Nifti1Image(array, image.affine), images / f"case_{channel:04d}.nii.gz")
    run_monai(bundle, images, tmp_path / "out")
    ours = predict_ourselves(bundle, image)
    theirs = np.asarray(nibabel.load(tmp_path / "out" / "case_0000_seg.nii.gz").dataobj)
    assert_agree(theirs, ours)


@pytest.mark.parametrize(
    ("rule", "window", "spacing"),
    [
        (SliceRule(axis=2, context=1), (16, 16, 1), None),
        (SliceRule(axis=0, fit="resize"), (1, 32, 24), (1.0, 1.0, 1.0)),
    ],
    ids=["neighbours", "resized"],
)
def test_a_2d_network_gives_the_same_slices_under_monai(tmp_path, manifest, run_monai, rule, window, spacing):
    channels = 2 * rule.context + 1
    arguments = {"spatial_dims": 2, "in_channels": channels, "label_count": 3, "widths": [4, 4, 4, 8, 8]}
    manifest = replace(
        manifest,
        arguments=arguments | {"pooling": [1, 2, 2, 2, 1]},
        slices=rule,
        window_shape=window,
        spacing_mm=spacing,
        mirror_axes=(1,),
        overlap=0.5,
    )
    images = tmp_path / "images"
    images.mkdir()
    image = Image(blob((16, 18, 24), 3)[None], PERMUTED)
    bundle = write_bundle(tmp_path / "flat", manifest, undecided(manifest, image), licence_text="x")
    nibabel.save(nibabel.Nifti1Image(image.array[0], image.affine), images / "case.nii.gz")
    run_monai(bundle, images, tmp_path / "out")
    theirs = np.asarray(nibabel.load(tmp_path / "out" / "case_seg.nii.gz").dataobj)
    assert_agree(theirs, predict_ourselves(bundle, image))


def undecided(manifest, image):
    """A network with random weights under which no label wins everywhere."""
    torch.manual_seed(0)
    network = build_network(manifest.network, **manifest.arguments).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    plain = replace(manifest, mirror_axes=())
    scores = predict(prepare(image, plain).image.array, network, plain, device=torch.device("cpu"))
    rest = 1 if manifest.overlapping is None else 1 - scores + 1e-30
    logits = torch.from_numpy(np.log((scores + 1e-30) / rest)).flatten(1)
    with torch.no_grad():
        network.head.bias -= logits.median(dim=1).values
    return network
