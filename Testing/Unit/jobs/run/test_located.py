"""A box is looked at again around what was found in it; the networks are real ones that find what is bright."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medseg.bundles.catalogue import Bundle
from medseg.imaging.image import Image
from medseg.imaging.locate import LocatedBox
from medseg.inference.run_plan import plan_boxes, plan_run, plan_unseen
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.located import BoxRuns
from medseg.jobs.run.progress import ProgressReporter
from medseg.jobs.run.segment import segment_case
from medseg.spec.job import Options
from medseg.spec.locating import BoxSpec, LocateRule
from medseg.spec.manifest import Code, IntensityRule, LabelSpec
from small_manifest import small_manifest

CODE = Code("SCT", "123037004", "Anatomical Structure")
TORCH = Options(device="cpu", engine="torch")
AFFINE = np.array([[-1.0, 0, 0, 50], [0, 1, 0, -60], [0, 0, 1, -30], [0, 0, 0, 1]])
LOW, HIGH = np.array([3, 9, 20]), np.array([11, 20, 26])  # voxels of the object along R, A, S from the box's corner
CORNER = np.array([-10.5, -20.5, -15.5])  # of the first box, RAS mm


def label(value, name):
    return LabelSpec(value=value, name=name, color=(1, 2, 3), category=CODE, type=CODE)


def bundle(refine, *, locates=True):
    boxes = tuple(
        BoxSpec(name=name, low_mm=(0, 0, 0), high_mm=(1, 1, 1), labels=(label(value, name),))
        for value, name in ((1, "one"), (2, "other"))
    )
    rule = LocateRule(template="colin27", boxes=boxes, refine=refine, refine_margin_mm=2.0)
    manifest = small_manifest(
        labels=(label(1, "bright"),),
        window_shape=(32, 32, 32),
        intensity=IntensityRule(kind="none"),
        spacing_mm=(1.0, 1.0, 1.0),
        locate=rule if locates else None,
    )
    return Bundle(Path("nowhere"), manifest)


class Bright(torch.nn.Module):
    """Label 1 where a voxel is above 0.5; keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.score = torch.nn.Conv3d(1, 2, 1)
        with torch.no_grad():
            self.score.weight[:, 0, 0, 0, 0] = torch.tensor([0.0, 40.0])
            self.score.bias[:] = torch.tensor([0.0, -20.0])
        self.seen = []

    def forward(self, images):
        self.seen.append(int((images > 0.1).sum()))  # of the object and of the grey around it
        return self.score(images)


@pytest.fixture
def scan():
    """Grey everywhere, an object in one corner of the box, and an affine whose first axis runs to the left."""
    array = np.full((1, 100, 120, 90), 0.2, dtype=np.float32)
    bright = voxels_of_object()
    array[0][bright] = 1.0
    return Image(array, AFFINE)


def voxels_of_object():
    mask = np.zeros((100, 120, 90), dtype=bool)
    first, last = (np.linalg.inv(AFFINE) @ [*(CORNER + 0.5 + end), 1.0] for end in (LOW, HIGH - 1))
    low, high = (np.round(end[:3]).astype(int) for end in (np.minimum(first, last), np.maximum(first, last)))
    mask[low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1] = True
    return mask


def run(scan, refine, corners=(CORNER,)):
    """What was found, what the network saw, and how far and with which warnings it came."""
    model, network = bundle(refine), Bright().eval()
    boxes = [
        LocatedBox(spec, np.eye(4), low, low + 30.0)
        for spec, low in zip(model.manifest.locate.boxes, corners, strict=False)
    ]
    plan = plan_boxes(scan, boxes, model.manifest, TORCH, device="cpu")
    progress, steps = ProgressReporter(), []
    runs = BoxRuns(bundle=model, network=network, options=TORCH, plan=plan, engines=KeptEngines(), progress=progress)
    answer, _ = runs.answer(scan, lambda *step: steps.append(step), want_probabilities=False)
    return answer, network.seen, steps, progress.warnings


def test_an_object_off_the_middle_of_its_box_is_seen_again_in_a_box_of_its_own_size(scan):
    answer, seen, _, warnings = run(scan, refine=1)
    (box,) = answer.plan.boxes
    np.testing.assert_allclose(box.low_mm, CORNER + LOW - 2)
    np.testing.assert_allclose(box.high_mm, CORNER + HIGH + 2)
    assert seen == [30**3, np.prod(HIGH - LOW + 4)]
    np.testing.assert_array_equal(answer.values > 0, voxels_of_object())
    assert answer.window_count == 2
    assert warnings == []


def test_without_refining_the_network_looks_once(scan):
    answer, seen, _, _ = run(scan, refine=0)
    assert len(seen) == answer.window_count == 1
    np.testing.assert_array_equal(answer.values > 0, voxels_of_object())
    np.testing.assert_array_equal(answer.plan.boxes[0].low_mm, CORNER)


def test_a_box_that_stands_still_is_not_looked_at_a_third_time(scan):
    answer, seen, steps, _ = run(scan, refine=3)
    assert len(seen) == answer.window_count == 2
    assert steps[-1] == (4, 4)


def test_a_box_without_anything_in_it_is_not_refined_and_says_so(scan):
    empty = CORNER + np.array([0.0, 0.0, 32.0])
    answer, seen, steps, warnings = run(scan, refine=1, corners=(empty, CORNER))
    assert len(seen) == answer.window_count == 3
    np.testing.assert_array_equal(answer.plan.boxes[0].low_mm, empty)
    np.testing.assert_array_equal(answer.values, 2 * voxels_of_object())
    (warning,) = warnings
    assert "too little of the one" in warning
    shares = [done / total for done, total in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("refine", [0, 1, 2])
def test_a_forecast_counts_every_look_at_every_box(refine):
    model = bundle(refine)
    plan = plan_unseen((100, 120, 90), AFFINE, model.manifest, TORCH, device="cpu")
    assert plan.forward_passes == plan.window_count == 2 * (1 + refine)


def test_a_crop_has_nothing_to_locate_and_gives_what_it_gave_before(scan):
    crop = Image(np.ascontiguousarray(scan.array[:, 40:70, 35:75, 10:50]), AFFINE)
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 2, 3, padding=1).eval()
    results = [
        segment_case([crop], model, TORCH, load=lambda _: network, want_probabilities=True)
        for model in (bundle(1), bundle(0, locates=False))
    ]
    for one, other in zip(*([each.labels.array, each.probabilities.array] for each in results), strict=True):
        np.testing.assert_array_equal(one, other)
    assert results[0].boxes == ()
    assert plan_run(crop, bundle(1).manifest, TORCH, device="cpu").looks == 1
