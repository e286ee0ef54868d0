"""``medseg.segment``: paths, images and SimpleITK images give one result."""

import gc
import inspect
import weakref
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import torch

import medseg
from Integration.tiny import MODEL
from medseg.bundles.catalogue import find_bundle
from medseg.imaging.image import Image
from medseg.jobs.run import network_run
from medseg.jobs.run.segment import segment_case
from medseg.spec import errors as errors_module
from medseg.spec.errors import ImageError, JobError, OutputExists
from medseg.spec.events import Warned
from medseg.spec.job import Options
from medseg.spec.option import keywords_of


def test_a_path_an_image_and_a_simpleitk_image_give_the_same_labels(scan_file, volume):
    results = [
        medseg.segment(source, model=MODEL, device="cpu", probabilities=True)
        for source in (scan_file, str(scan_file), volume, SimpleITK.ReadImage(str(scan_file)))
    ]
    for result in results:
        np.testing.assert_allclose(result.labels.affine, volume.affine, atol=1e-3)
        np.testing.assert_allclose(result.probabilities.array, results[0].probabilities.array, atol=1e-4)


def test_a_sequence_is_the_channels_of_one_case(scan_file, volume):
    result = medseg.segment([scan_file, volume], model="tiny-two-channels", output=None)
    assert result.image.channel_count == 2


def test_the_output_is_written_and_kept(scan_file, tmp_path):
    output = tmp_path / "labels.seg.nrrd"
    medseg.segment(scan_file, model=MODEL, output=output)
    assert output.stat().st_size > 0
    with pytest.raises(OutputExists):
        medseg.segment(scan_file, model=MODEL, output=output)


def test_a_region_leaves_the_rest_as_background(volume):
    low, high = volume.affine[:3, :3] @ [5, 5, 2] + volume.affine[:3, 3], volume.affine[:3, :3] @ [12, 12, 6]
    high = high + volume.affine[:3, 3]
    roi = tuple(float(v) for pair in zip(np.minimum(low, high), np.maximum(low, high), strict=True) for v in pair)
    result = medseg.segment(volume, model=MODEL, roi=roi, probabilities=True)
    np.testing.assert_allclose(result.probabilities.array[0, 0, 0, 0], 1)
    assert (result.probabilities.array[0] < 1).any()


def test_an_image_without_one_number_is_refused(volume):
    nothing = Image(np.full_like(volume.array, np.nan), volume.affine)
    with pytest.raises(ImageError, match="no finite voxel"):
        medseg.segment(nothing, model=MODEL)


def test_a_planar_simpleitk_image_and_an_empty_sequence_are_refused():
    with pytest.raises(ImageError, match="3 dimensions, got 2"):
        medseg.segment(SimpleITK.Image(4, 4, SimpleITK.sitkFloat32), model=MODEL)
    with pytest.raises(ImageError, match="empty sequence"):
        medseg.segment([], model=MODEL)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (None, "got NoneType;"),
        (3, "got int;"),
        (np.zeros((3, 4, 5)), "got ndarray of shape (3, 4, 5);"),
        (torch.zeros(2), "got Tensor of shape (2,);"),
        ([None], "got NoneType;"),
        ({1: "a.nii"}, "got dict;"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is_one(wrong, found):
    with pytest.raises(ImageError, match=r"a path, a medseg\.Image, a SimpleITK image, or a sequence") as refused:
        medseg.segment(wrong, model=MODEL)
    assert found in str(refused.value)
    assert "medseg.Image(array[None], affine)" in str(refused.value)


def test_a_frame_is_refused_beside_an_image_in_memory(volume, scan_file):
    for image in (volume, SimpleITK.ReadImage(str(scan_file))):
        with pytest.raises(JobError, match="got frame 0 and an image in memory"):
            medseg.segment(image, model=MODEL, frame=0)


def test_out_of_memory_is_said_aloud_and_tried_with_less(volume, monkeypatch):
    calls = []
    honest = network_run.predict_labels

    def short_of_memory(prepared, network, plan, **choices):
        calls.append((plan.window_batch, plan.precision))
        if len(calls) < 3:
            raise torch.OutOfMemoryError
        return honest(prepared, network, replace(plan, precision="float32"), **choices)

    def as_on_a_card(plan):
        for batch, precision in ((4, "float32"), (1, "float32"), (1, "float16")):
            yield replace(plan, window_batch=batch, precision=precision, engine="torch")

    monkeypatch.setattr(network_run, "predict_labels", short_of_memory)
    monkeypatch.setattr(network_run, "with_less_memory", as_on_a_card)
    events = []
    segment_case([volume], find_bundle(MODEL), Options(device="cpu"), on_event=events.append)
    assert calls == [(4, "float32"), (1, "float32"), (1, "float16")]
    assert sum("out of memory" in event.message for event in events if isinstance(event, Warned)) == 2


def test_a_device_that_stays_short_of_memory_ends_in_a_sentence(volume, monkeypatch):
    def short_of_memory(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(network_run, "predict_labels", short_of_memory)
    with pytest.raises(JobError, match="too little memory"):
        segment_case([volume], find_bundle(MODEL), Options(device="cpu"))


def test_a_preview_has_fewer_windows_and_lies_on_the_grid_of_the_input(volume):
    larger = Image(volume.array, volume.affine @ np.diag([3.0, 3.0, 3.0, 1.0]))
    full, quick = (medseg.segment(larger, model=MODEL, device="cpu", overlap=0, spacing_factor=c) for c in (1.0, 2.0))
    assert 0 < quick.window_count < full.window_count / 4
    assert quick.labels.shape == larger.shape
    np.testing.assert_array_equal(quick.labels.affine, larger.affine)


def test_a_preview_once_as_coarse_is_no_preview(volume):
    results = [
        medseg.segment(volume, model=MODEL, device="cpu", probabilities=True, **c) for c in ({}, {"spacing_factor": 1})
    ]
    np.testing.assert_array_equal(*(result.probabilities.array for result in results))


# A model that stays warm


@pytest.fixture
def counted(monkeypatch):
    """How often weights were loaded and engines made, by what really does it; and the networks, held weakly."""
    from medseg.jobs.run import kept_engines, loaded_networks

    counts, networks = {"weights": 0, "engines": 0}, []
    load, make = loaded_networks.load_network, kept_engines.make_engine

    def count_weights(*arguments, **choices):
        counts["weights"] += 1
        network = load(*arguments, **choices)
        networks.append(weakref.ref(network))
        return network

    def count_engines(*arguments, **choices):
        counts["engines"] += 1
        return make(*arguments, **choices)

    monkeypatch.setattr(loaded_networks, "load_network", count_weights)
    monkeypatch.setattr(kept_engines, "make_engine", count_engines)
    return counts, networks


def test_a_segmenter_loads_and_prepares_once_and_gives_what_segment_gives(volume, counted):
    counts, networks = counted
    images = [volume, Image(volume.array[:, ::-1].copy(), volume.affine), Image(volume.array + 7, volume.affine)]
    alone = [medseg.segment(image, model=MODEL, device="cpu", engine="torch", probabilities=True) for image in images]
    assert counts == {"weights": 3, "engines": 3}
    with medseg.Segmenter(MODEL, device="cpu", engine="torch") as segmenter:
        warm = [segmenter(image, probabilities=True) for image in images]
        assert counts == {"weights": 4, "engines": 4}
        for one, other in zip(alone, warm, strict=True):
            np.testing.assert_array_equal(one.labels.array, other.labels.array)
            np.testing.assert_array_equal(one.probabilities.array, other.probabilities.array)
            assert one.measures == other.measures
        assert any(result.labels.array.any() for result in warm)
        assert networks[-1]() is not None
    gc.collect()
    assert networks[-1]() is None, "its memory is free"


def test_options_of_a_call_hold_for_its_image_alone(volume):
    larger = Image(volume.array, volume.affine @ np.diag([3.0, 3.0, 3.0, 1.0]))
    segmenter = medseg.Segmenter(MODEL, device="cpu", overlap=0, roi=(-1e3, 1e3, -1e3, 1e3, -1e3, 1e3))
    first = segmenter(larger)
    assert segmenter(larger, overlap=0.75).window_count > first.window_count
    assert segmenter(larger, roi_voxels=(0, 3, 0, 3, 0, 3)).window_count < first.window_count
    assert segmenter(larger).window_count == first.window_count


def test_a_closed_segmenter_says_so_and_can_be_closed_again(volume):
    segmenter = medseg.Segmenter(MODEL)
    segmenter.close()
    segmenter.close()
    with pytest.raises(JobError, match="this Segmenter of tiny is closed"):
        segmenter(volume)


def test_a_wrong_model_device_or_keyword_is_refused_when_the_segmenter_is_made():
    with pytest.raises(medseg.ModelNotFound, match="nobody"):
        medseg.Segmenter("nobody")
    with pytest.raises(JobError, match="abacus"):
        medseg.Segmenter(MODEL, device="abacus")
    with pytest.raises(TypeError, match="'coarser' is no option; the options are device, overlap"):
        medseg.Segmenter(MODEL, coarser=2)


def test_help_shows_every_option_with_its_default_and_what_it_does():
    for call in (medseg.segment, medseg.Segmenter.__init__):
        parameters = inspect.signature(call).parameters
        shown = " ".join(call.__doc__.split())
        for keyword, about in keywords_of(Options).items():
            assert parameters[keyword].default == about.default
            assert f"{keyword}: {about.help}; it {about.rule}." in shown
        assert all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters.values())


def test_an_image_can_be_read_and_models_listed(scan_file, volume):
    image = medseg.read(scan_file)
    assert isinstance(image, medseg.Image)
    np.testing.assert_allclose(image.array, volume.array)
    assert medseg.models()[MODEL].title == "Tiny"


def test_every_public_name_is_there_and_listed():
    assert set(medseg.__all__) <= set(dir(medseg))
    for name in medseg.__all__:
        assert getattr(medseg, name) is not None
    errors = {name for name in medseg.__all__ if issubclass_of_error(getattr(medseg, name))}
    kinds = {kind.__name__ for kind in vars(errors_module).values() if issubclass_of_error(kind)}
    assert errors == kinds
    with pytest.raises(AttributeError, match="no attribute 'segmant'"):
        medseg.segmant  # noqa: B018


def issubclass_of_error(kind):
    return isinstance(kind, type) and issubclass(kind, medseg.MedSegError)
