"""From images to labels: which engine ran, what it took, and that both ways to the labels agree."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medseg.bundles.catalogue import Bundle
from medseg.imaging.image import Image
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.segment import segment_case
from medseg.kernels.engines.engine import Engine
from medseg.spec.errors import Cancelled, JobError
from medseg.spec.events import Progress, Warned
from medseg.spec.job import Options
from medseg.spec.manifest import Code, IntensityRule, LabelSpec
from small_manifest import small_manifest

CODE = Code("SCT", "123037004", "Anatomical Structure")
LABELS = tuple(LabelSpec(value=n, name=f"{n}", color=(1, 2, 3), category=CODE, type=CODE) for n in (1, 2))
TORCH = Options(device="cpu", engine="torch")


def bundle(**fields):
    given = {"labels": LABELS, "window_shape": (8, 8, 8), "intensity": IntensityRule(kind="none")}
    return Bundle(Path("nowhere"), small_manifest(**given | fields))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(4, 3, 1)).eval()


@pytest.fixture
def scan():
    array = np.random.default_rng(0).normal(size=(1, 20, 14, 12)).astype(np.float32)
    return Image(array, np.diag([-1.0, 1.5, 2.0, 1.0]))


@pytest.mark.parametrize("spacing", [None, (1.3, 1.3, 1.3)])
def test_labels_are_the_same_whether_probabilities_are_wanted_or_not(network, scan, spacing):
    model = bundle(spacing_mm=spacing)
    streamed = segment_case([scan], model, TORCH, load=lambda _: network)
    whole = segment_case([scan], model, TORCH, load=lambda _: network, want_probabilities=True)
    np.testing.assert_array_equal(streamed.labels.array, whole.labels.array)
    np.testing.assert_array_equal(whole.labels.array[0], whole.probabilities.array.argmax(0))
    np.testing.assert_array_equal(streamed.labels.affine, scan.affine)
    assert streamed.probabilities is None
    assert streamed.window_count == whole.window_count > 8


def test_the_engine_and_the_parts_of_the_time_are_told(network, scan):
    events = []
    found = segment_case([scan], bundle(), TORCH, load=lambda _: network, on_event=events.append)
    assert found.engine == f"PyTorch {torch.__version__.partition('+')[0]} (float32)"
    assert set(found.parts) == {"engine", "network", "stitch", "decode"}
    assert found.windows_seconds == found.parts["network"] > 0
    assert sum(found.parts.values()) <= found.seconds["windows"]
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == ["preprocess", "windows", "restore", "postprocess"]


def test_every_mirror_image_counts_as_a_window(network, scan):
    plain = segment_case([scan], bundle(), TORCH, load=lambda _: network)
    mirrored = segment_case([scan], bundle(mirror_axes=(0, 2)), TORCH, load=lambda _: network)
    assert mirrored.window_count == 4 * plain.window_count


def test_windows_of_air_are_not_counted_and_a_volume_of_air_says_that_nothing_was_found(network, scan):
    model = bundle(air_below=(100.0,))
    found = segment_case([scan], model, TORCH, load=lambda _: network)
    assert found.window_count == 0
    assert not found.labels.array.any()
    assert "nothing was segmented" in found.warnings[0]


def test_a_kept_engine_is_used_again_and_its_remarks_are_said_in_each_job(network, scan):
    handed_out = []

    class Watched(KeptEngines):
        def get(self, *arguments, **choices):
            engine = super().get(*arguments, **choices)
            handed_out.append((engine, choices["passes"]))
            return Engine(engine.name, engine.run, remarks=("something to know",))

    engines = Watched()
    for _ in range(2):
        events = []
        found = segment_case([scan], bundle(), TORCH, load=lambda _: network, engines=engines, on_event=events.append)
        assert [event.message for event in events if isinstance(event, Warned)] == ["something to know"]
    assert handed_out[0][0].run is handed_out[1][0].run or not handed_out[0][0].hasty
    assert {passes for _, passes in handed_out} == {found.window_count}


def test_an_error_that_is_no_lack_of_memory_is_not_tried_again(scan):
    class Broken(torch.nn.Module):
        calls = 0

        def forward(self, windows):
            self.calls += 1
            if float(windows.abs().max()) > 0:
                msg = "no such thing"
                raise RuntimeError(msg)
            return torch.cat([windows] * 3, 1)

    with pytest.raises(RuntimeError, match="no such thing"):
        segment_case([scan], bundle(), Options(device="cpu", engine="torch", window_batch=4), load=lambda _: Broken())


def test_a_half_precision_that_was_asked_for_is_never_changed_silently(scan):
    class Large(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv3d(1, 3, 1)
            torch.nn.init.constant_(self.conv.weight, 1e6)

        def forward(self, windows):
            return self.conv(windows)

    options = Options(device="cpu", engine="torch", precision="float16")
    with pytest.raises(JobError, match="try precision float32"):
        segment_case([scan], bundle(), options, load=lambda _: Large())


@pytest.mark.parametrize("stage", ["windows", "restore"])
def test_a_job_can_be_stopped_between_windows_and_after_them(network, scan, stage):
    seen = []

    def hear(event):
        if isinstance(event, Progress):
            seen.append(event.stage)

    with pytest.raises(Cancelled):
        segment_case([scan], bundle(), TORCH, load=lambda _: network, on_event=hear, cancelled=lambda: stage in seen)
    assert seen[-1] == stage
