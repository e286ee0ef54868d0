"""The plan of a run: every default resolved once, and ways to run when memory is short."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.inference.run_plan import plan_network, plan_run, plan_unseen, with_less_memory
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.postprocess import PostprocessRule


@pytest.fixture
def way(manifest):
    """A plan for a device and options."""
    return lambda device, **options: plan_network((1, 8, 6, 4), manifest, Options(**options), device=device)


def steps(plan):
    return [(p.device, p.window_batch, p.precision, p.engine) for p in with_less_memory(plan)]


def test_a_processor_takes_fewer_windows_at_a_time_and_then_pytorch(way):
    assert steps(way("cpu", window_batch=6)) == [
        ("cpu", 6, "float32", "auto"),
        ("cpu", 3, "float32", "auto"),
        ("cpu", 1, "float32", "auto"),
        ("cpu", 1, "float32", "torch"),
    ]


def test_a_card_goes_to_half_precision_before_the_processor_takes_over(way):
    assert steps(way("cuda:1", window_batch=2, engine="torch")) == [
        ("cuda:1", 2, "float32", "torch"),
        ("cuda:1", 1, "float32", "torch"),
        ("cuda:1", 1, "float16", "torch"),
        ("cpu", 1, "float32", "torch"),
    ]
    assert steps(way("cuda:1"))[-2:] == [("cpu", 1, "float32", "auto"), ("cpu", 1, "float32", "torch")]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_half_precision_that_was_asked_for_is_not_exchanged_for_the_other(way, precision):
    on_card = [p for p in with_less_memory(way("cuda:1", precision=precision, window_batch=4)) if p.device == "cuda:1"]
    assert {plan.precision for plan in on_card} == {precision}
    assert steps(way("cpu", precision=precision, engine="torch")) == [("cpu", 1, precision, "torch")]


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
@pytest.mark.parametrize("engine", ["auto", "torch", "openvino"])
@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_every_step_changes_one_thing_or_leaves_the_device_and_none_comes_twice(way, device, engine, batch):
    first = way(device, window_batch=batch, engine=engine)
    tried = list(with_less_memory(first))
    assert tried[0] is first
    assert len(set(steps(first))) == len(tried)
    assert steps(first)[-1] == ("cpu", 1, "float32", "torch")
    for before, after in pairwise(tried):
        changed = [name for name, value in vars(after).items() if value != getattr(before, name)]
        assert len(changed) == 1 or "device" in changed
        assert after.window_batch <= before.window_batch


@pytest.mark.parametrize("shape", [(1, 2, 3), (6, 5, 4), (20, 5, 3)])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_no_lack_of_memory_and_no_image_changes_the_window_of_the_manifest(manifest, device, shape):
    model = replace(manifest, window_shape=(6, 5, 4), arguments={**manifest.arguments, "norm": "instance"})
    plan = plan_network((1, *shape), model, Options(window_batch=4), device=device)
    ways = list(with_less_memory(plan))
    assert len(ways) > 2
    for way in ways:
        assert {window.shape for window in way.windows} == {(6, 5, 4)}
        assert way.windows.shape == tuple(map(max, shape, (6, 5, 4)))


def test_as_text_a_plan_says_what_is_tried(way):
    assert str(way("cpu")) == "1 window at a time in float32 on cpu"
    tried = way("cuda:1", window_batch=4, precision="float16", engine="torch")
    assert str(tried) == "4 windows at a time in float16 on cuda:1 by torch"


def test_what_the_user_leaves_open_is_what_the_model_says(manifest):
    rule = PostprocessRule(keep_largest=True)
    model = replace(manifest, mirror_axes=(0, 1, 2), overlap=0.25, postprocess=rule)
    image = Image(np.zeros((1, 16, 12, 8)))
    plan = plan_run(image, model, Options(), device="cpu")
    assert (plan.windows.overlap, plan.mirror_axes, plan.passes, plan.postprocess) == (0.25, (0, 1, 2), 8, rule)
    assert plan.windows.shape == plan.grids.resample.shape == (16, 12, 8)
    other = PostprocessRule(fill_holes_mm3=3)
    chosen = plan_run(image, model, Options(overlap=0.0, mirror=False, postprocess=other), device="cpu")
    assert (chosen.windows.overlap, chosen.mirror_axes, chosen.passes, chosen.postprocess) == (0.0, (), 1, other)
    assert chosen.forward_passes == len(chosen.windows) == 8  # 2 x 2 x 2 windows of 8 x 6 x 4 voxels


def test_an_image_smaller_than_the_window_is_planned_as_it_is_padded(manifest):
    plan = plan_network((1, 5, 13, 4), manifest, Options(overlap=0.0), device="cpu")
    assert plan.windows.shape == (8, 13, 4)
    assert len(plan.windows) == 3


def test_voxels_decide_where_the_body_is_and_without_them_all_of_the_volume_is_planned(manifest):
    model = replace(manifest, crop_to_body=True)
    array, affine = np.zeros((1, 30, 25, 20)), np.diag([4.0, 4.0, 4.0, 1.0])
    array[:, 10:20, 8:17, 5:15] = 100
    seen = plan_run(Image(array, affine), model, Options(), device="cpu")
    unseen = plan_unseen((30, 25, 20), affine, model, Options(), device="cpu")
    assert seen.grids.crop.start == (7, 5, 2)  # 10 mm on both sides are 3 voxels
    assert seen.grids.crop.shape == (16, 15, 16)
    assert unseen.grids.crop.shape == (30, 25, 20)
    assert unseen.manifest is model


def test_other_channels_than_the_models_are_refused_with_and_without_an_image(manifest):
    words = r"tiny takes 1 channel\(s\) \(T1\), got 2; give one file a channel"
    with pytest.raises(JobError, match=words):
        plan_run(Image(np.zeros((2, 8, 6, 4))), manifest, Options(), device="cpu")
    with pytest.raises(JobError, match=words):
        plan_network((2, 8, 6, 4), manifest, Options(), device="cpu")
