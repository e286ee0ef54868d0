"""From channels on different grids to labels: the whole way through imaging and the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medseg.imaging.geometry import stack_channels
from medseg.imaging.image import Image
from medseg.imaging.preprocess import prepare
from medseg.spec.manifest import ChannelSpec, IntensityRule
from planned import predict

SHAPE = (14, 12, 10)
TURNED = np.array([[0, -0.9, 0, 17.0], [0, 0, 1.1, -2], [-0.8, 0, 0, 19], [0, 0, 0, 1]])  # axes S-, R-, A+


def ball(affine, shape, centre, radius):
    """True within a ball of the patient, RAS mm."""
    places = np.einsum("rc,cijk->rijk", affine[:3, :3], np.indices(shape)) + affine[:3, 3, None, None, None]
    return np.linalg.norm(places - np.array(centre)[:, None, None, None], axis=0) < radius


class BrightInBoth(torch.nn.Module):
    """Label 1 where only the first channel is bright, label 2 where the second is bright too."""

    def forward(self, windows):
        first, second = windows[:, :1], windows[:, 1:]
        return torch.cat([0.5 - first, first - second, first + second - 1.2], dim=1) * 20


@pytest.fixture
def scan():
    """Both channels of one patient: a ball of 5 mm, and in its middle one of 3 mm in the second channel alone."""
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    centre = (7.0, 6.0, 7.0)
    first = Image(ball(affine, SHAPE, centre, 5)[None].astype(np.float32), affine)
    second = Image(ball(TURNED, (28, 22, 16), centre, 3)[None].astype(np.float32), TURNED)
    inner = ball(affine, SHAPE, centre, 3)
    return first, second, inner


@pytest.mark.parametrize("spacing", [None, (1.2, 1.2, 1.2)])
def test_the_result_lies_on_the_first_channels_grid_and_uses_both_where_they_lie(manifest, scan, spacing):
    first, second, inner = scan
    manifest = replace(
        manifest,
        channels=(ChannelSpec(name="T1", modality="MR"), ChannelSpec(name="T2", modality="MR")),
        intensity=IntensityRule(kind="none"),
        spacing_mm=spacing,
        orientation="LPS",
    )
    prepared = prepare(stack_channels([first, second]), manifest)
    scores = predict(prepared.image.array, BrightInBoth(), manifest, device=torch.device("cpu"))
    labels = prepared.restore_labels(scores)
    assert labels.shape == SHAPE
    assert (prepared.source_shape, prepared.source_affine.tolist()) == (SHAPE, first.affine.tolist())
    outer = first.array[0] > 0
    assert dice(labels > 0, outer) > (0.99 if spacing is None else 0.9)
    assert dice(labels == 2, inner) > 0.85  # a ball of 6 mm sampled three times, on voxels of about 1 mm


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())
