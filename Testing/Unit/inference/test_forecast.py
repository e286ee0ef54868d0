"""The forecast against the run itself: windows and passes are counted there, memory is a closed form."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from medseg.imaging.image import Image
from medseg.inference.forecast import WORKER_MB
from medseg.inference.network_memory import LEAN_PAYS_AFTER, OPENVINO_PAYS_AFTER
from medseg.inference.run_plan import plan_unseen
from medseg.inference.windows import WindowPlan
from medseg.kernels.engines import make
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.manifest import SliceRule
from medseg.spec.measured import Timing
from medseg.spec.postprocess import PostprocessRule
from planned import forecast, predict, prepare

MB = 2**20
BIG = (256, 256, 200)


def diagonal(*spacing):
    return np.diag([*spacing, 1.0])


def counted(shape, affine, manifest, options):
    """Windows and forward passes of a real run, with a network that only counts."""
    calls, totals = [], []

    class Counting(torch.nn.Module):
        def forward(self, x):
            calls.append(len(x))
            return torch.zeros(len(x), manifest.label_count, *x.shape[2:])

    image = Image(np.random.default_rng(0).normal(size=(1, *shape)), affine)
    prepared = prepare(
        image, manifest, options.roi_ras_mm, roi_voxels=options.roi_voxels, spacing_factor=options.spacing_factor
    )
    device = torch.device("cpu")
    predict(
        prepared.image.array, Counting(), manifest, device=device, overlap=options.overlap, mirror=options.mirror,
        on_window=lambda _, total: totals.append(total),
    )  # fmt: skip
    return totals[-1], sum(calls)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(overlap=0.9),
        Options(mirror=False, spacing_factor=2),
        Options(roi_ras_mm=(-9, -3, 0, 12, 2, 30)),
        Options(roi_voxels=(2, 5, 0, 6, 1, 3)),
    ],
    ids=["plain", "overlap", "spacing factor", "region", "voxels"],
)
@pytest.mark.parametrize("shape", [(5, 6, 3), (19, 14, 11)], ids=["below a window", "several windows"])
def test_windows_and_passes_are_those_of_the_run(manifest, options, shape):
    manifest = replace(manifest, spacing_mm=(1.5, 1.0, 2.0), mirror_axes=(0, 2), orientation="PIR")
    affine = diagonal(-1.0, 2.0, 3.0)
    expected = forecast(shape, affine, manifest, options)
    windows, passes = counted(shape, affine, manifest, options)
    assert expected.windows == windows
    assert expected.windows * expected.passes == passes


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(overlap=0.9, window_batch=3),
        Options(spacing_factor=2, mirror=False),
        Options(roi_ras_mm=(-9, -3, 0, 12, 2, 9)),
    ],
    ids=["plain", "overlap", "spacing factor", "region"],
)
@pytest.mark.parametrize("fit", ["windows", "resize"])
@pytest.mark.parametrize(("axis", "window"), [(0, (1, 6, 4)), (1, (8, 1, 4)), (2, (8, 6, 1))])
def test_slices_and_passes_are_those_of_the_run(manifest, options, fit, axis, window):
    rule = SliceRule(axis=axis, context=1, fit=fit)
    plane = tuple(other for other in range(3) if other != axis)
    manifest = replace(
        manifest, slices=rule, window_shape=window, spacing_mm=(1.5, 1.0, 2.0), mirror_axes=plane, orientation="PIR"
    )
    shape, affine = (19, 14, 11), diagonal(-1.0, 2.0, 3.0)
    expected = forecast(shape, affine, manifest, options)
    windows, passes = counted(shape, affine, manifest, options)
    assert (expected.windows, expected.windows * expected.passes) == (windows, passes)
    resample = plan_unseen(shape, affine, manifest, options, device="cpu").grids.resample
    if fit == "resize":
        assert windows == resample.shape[axis]


def test_seconds_are_windows_times_passes_times_the_pace(manifest):
    manifest = replace(manifest, mirror_axes=(0,))
    found = forecast((16, 12, 8), diagonal(1, 1, 1), manifest, Options(overlap=0.0), seconds_per_window=0.25)
    assert (found.windows, found.passes, found.seconds) == (8, 2, 4.0)


def test_three_mirrored_axes_are_eight_passes(manifest):
    manifest = replace(manifest, mirror_axes=(0, 1, 2))
    found = forecast((8, 6, 4), diagonal(1, 1, 1), manifest, Options(), seconds_per_window=0.5)
    assert (found.windows, found.passes, found.seconds) == (1, 8, 4.0)


def timing(kind, **figures):
    return Timing(device="P", device_kind=kind, **figures)


def test_the_pace_of_a_manifest_is_used_for_its_kind_of_device_only(manifest):
    manifest = replace(manifest, timings=(timing("cpu", seconds_per_case=9.0), timing("cpu", seconds_per_window=0.5)))
    affine = diagonal(1, 1, 1)
    assert forecast((8, 6, 4), affine, manifest, Options(device="cpu")).seconds == 0.5
    assert forecast((8, 6, 4), affine, manifest, Options(device="auto")).seconds == 0.5
    assert forecast((8, 6, 4), affine, manifest, Options(device="auto"), auto_device="cuda").seconds is None
    assert forecast((8, 6, 4), affine, manifest, Options(device="cuda:1")).seconds is None
    card = replace(manifest, timings=(timing("cuda", seconds_per_window=0.125),))
    assert forecast((8, 6, 4), affine, card, Options(device="cuda:1")).seconds == 0.125
    assert forecast((8, 6, 4), affine, card, Options(device="cpu")).seconds is None


def cubes(manifest, size=64, **fields):
    """The same model with windows of a real size."""
    return replace(manifest, window_shape=(size, size, size), **fields)


def with_labels(manifest, count):
    """The same model with so many labels, the background among them."""
    return replace(manifest, labels=tuple(replace(manifest.labels[0], value=v, name=str(v)) for v in range(1, count)))


def test_memory_grows_with_the_slab_that_is_held_for_each_label(manifest):
    few, many = (with_labels(cubes(manifest), count) for count in (3, 20))
    held = WindowPlan(BIG, (64, 64, 64), manifest.overlap).voxels_held
    assert held < np.prod(BIG) / 2
    less, more = (forecast(BIG, diagonal(1, 1, 1), m, Options()).memory_mb for m in (few, many))
    assert more - less == pytest.approx(4 * 17 * (held + 64**3) / MB, rel=0.02)


def test_probabilities_are_held_whole_once_for_the_network_and_once_for_the_input(manifest):
    few, many = (with_labels(cubes(manifest), count) for count in (3, 20))
    less, more = (forecast(BIG, diagonal(1, 1, 1), m, Options(), probabilities=True).memory_mb for m in (few, many))
    assert more - less == pytest.approx(2 * 4 * 17 * np.prod(BIG) / MB, rel=0.05)


def test_twice_the_slices_take_no_more_than_the_image_and_its_labels_need(manifest):
    manifest = with_labels(cubes(manifest), 20)
    less, more = (forecast((size, 256, 200), diagonal(1, 1, 1), manifest, Options()).memory_mb for size in (400, 800))
    assert more - less == pytest.approx((2 + 4 + 1) * 400 * 256 * 200 / MB, rel=0.1)


def test_a_tiny_job_takes_little_more_than_the_bare_worker(manifest):
    assert WORKER_MB < forecast((8, 6, 4), diagonal(1, 1, 1), manifest, Options()).memory_mb < WORKER_MB + 64


def test_a_preview_takes_less_of_everything(manifest):
    manifest = with_labels(cubes(manifest, spacing_mm=(1.0, 1.0, 1.0)), 20)
    full, quick = (forecast(BIG, diagonal(1, 1, 1), manifest, Options(spacing_factor=c)) for c in (1.0, 2.0))
    assert quick.windows < full.windows / 6
    assert quick.memory_mb < full.memory_mb


def test_the_sums_lie_on_the_card_where_there_is_one(manifest):
    manifest = cubes(manifest)
    host, card = (forecast(BIG, diagonal(1, 1, 1), manifest, Options(device=name)) for name in ("cpu", "cuda"))
    assert host.device_memory_mb is None
    held = WindowPlan(BIG, (64, 64, 64), manifest.overlap).voxels_held
    assert card.device_memory_mb > (4 * np.prod(BIG) + 4 * 4 * held) / MB  # a channel; the weights and three labels
    measured = replace(manifest, timings=(timing("cuda", window_memory_mib=900.0),))
    one, four = (
        forecast(BIG, diagonal(1, 1, 1), measured, Options(device="cuda", window_batch=n)).device_memory_mb
        for n in (1, 4)
    )
    assert four - one == pytest.approx(3 * (900 + 4 * 3 * 64**3 / MB), abs=2)


@pytest.mark.parametrize(
    ("passes", "copies"), [(1, 1), (LEAN_PAYS_AFTER - 1, 1), (LEAN_PAYS_AFTER, 2)], ids=["one", "few", "many"]
)
def test_weights_are_counted_once_or_with_the_lean_copy(manifest, passes, copies):
    shape, manifest = (64, 64, 64 * passes), cubes(manifest)
    options = Options(overlap=0.0, engine="torch")
    some, more = (
        forecast(shape, diagonal(1, 1, 1), manifest, options, weights_mb=w, openvino=True).memory_mb for w in (2, 32)
    )
    assert more - some == pytest.approx(30 * copies, abs=1)


def test_heavy_weights_take_most_while_they_are_read(manifest):
    shape, manifest = (64, 64, 64), cubes(manifest)
    heavy, heavier = (
        forecast(shape, diagonal(1, 1, 1), manifest, Options(overlap=0.0), weights_mb=w).memory_mb for w in (900, 1000)
    )
    assert heavier - heavy == pytest.approx(2 * 100, abs=1)  # the file, and the network that is filled from it


def test_openvino_takes_more_where_it_will_be_used(manifest):
    shape, manifest = (64, 64, 64 * 12), cubes(manifest)

    def memory(*, openvino, **options):
        asked = Options(overlap=0.0, **options)
        return forecast(shape, diagonal(1, 1, 1), manifest, asked, weights_mb=50, openvino=openvino).memory_mb

    plain = memory(openvino=False)
    assert memory(openvino=True) > plain + 100
    assert memory(openvino=True, engine="torch") == plain
    assert memory(openvino=True, precision="bfloat16") == plain
    assert memory(openvino=False, engine="openvino") == plain


def test_the_forecast_knows_when_engines_are_made():
    """The constants are told twice, since those of the engines lie beside torch."""
    assert (LEAN_PAYS_AFTER, OPENVINO_PAYS_AFTER) == (make.LEAN_PAYS_AFTER, make.OPENVINO_PAYS_AFTER)


def test_tidying_is_counted(manifest):
    tidy = Options(postprocess=PostprocessRule(keep_largest=True))
    small = replace(cubes(manifest, 16), labels=manifest.labels[:1])
    plain = forecast(BIG, diagonal(1, 1, 1), small, Options()).memory_mb
    assert forecast(BIG, diagonal(1, 1, 1), small, tidy).memory_mb - plain > 10 * np.prod(BIG) / MB


def test_what_the_run_would_refuse_is_refused(manifest):
    with pytest.raises(JobError, match="misses the volume"):
        forecast((8, 6, 4), diagonal(1, 1, 1), manifest, Options(roi_ras_mm=(100, 110, 0, 5, 0, 5)))
    with pytest.raises(JobError, match="names no axes to mirror"):
        forecast((8, 6, 4), diagonal(1, 1, 1), manifest, Options(mirror=True))


def test_slicers_own_process_can_ask_without_torch():
    code = "import sys; import medseg.inference.forecast; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8").stdout
    assert "medseg.inference.windows" in loaded.split()
    assert not {"torch", "monai", "scipy", "lightning_fabric"} & set(loaded.split())
