"""A MONAI bundle, made with MONAI's own network and torch's own file, becomes one of ours."""

import copy
import shutil

import nibabel
import numpy as np
import pytest
import torch
from monai.networks.nets import SegResNet

from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.import_monai import import_monai_bundle
from medseg.bundles.weights import load_network
from medseg.imaging.image import Image
from medseg.spec.errors import ManifestError, OutputExists, WeightsError
from medseg.spec.manifest import ChannelSpec, IntensityRule, OverlapRule
from medseg.spec.monai import ForegroundRule, IntensityStep, MonaiRule
from medseg.spec.postprocess import PostprocessRule
from Unit.bundles.monai_sample import CONFIG, METADATA, NETWORK, network, write_sample
from Unit.bundles.test_monai_run import assert_agree, blob, predict_ourselves, run_as_a_user

CHOICES = Choices(model_id="two-organs")


def changed(document, path, value):
    """A copy with one value, found by keys and indices, set or (``...``) removed."""
    document = copy.deepcopy(document)
    *places, last = path
    inner = document
    for place in places:
        inner = inner[place]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return document


def with_steps(*steps):
    return changed(CONFIG, ("preprocessing", "transforms"), [{"_target_": "LoadImaged", "keys": "image"}, *steps])


@pytest.fixture
def run(tmp_path):
    """Write a bundle and import it."""

    def write_and_import(choices=CHOICES, **sample):
        return import_monai_bundle(write_sample(tmp_path / "theirs", **sample), tmp_path / "ours", choices)

    return write_and_import


def test_the_imported_model_answers_exactly_as_the_original(run):
    imported = run()
    window = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(load_network(imported.bundle)(window), network()(window), rtol=0, atol=0)


def test_everything_the_bundle_says_is_in_the_manifest(run):
    imported = run()
    manifest = imported.bundle.manifest
    assert imported.notes == ()
    assert (manifest.model_id, manifest.title, manifest.version) == ("two-organs", "Two organs", "0.3.1")
    assert (manifest.network, manifest.arguments["out_channels"]) == ("monai:SegResNet", 3)
    assert [label.name for label in manifest.labels] == ["spleen", "left kidney"]
    assert manifest.labels[1].type.meaning == "Kidney"
    assert manifest.labels[1].type_modifier.meaning == "Left"
    assert [(channel.name, channel.modality) for channel in manifest.channels] == [("abdomen", "CT")]
    assert (manifest.orientation, manifest.spacing_mm) == ("LPS", (1.5, 1.5, 2.0))
    range_ = IntensityStep(kind="range", lower=-57.0, upper=164.0, low=0.0, high=1.0, clip=True)
    assert manifest.monai == MonaiRule(steps=(range_,), blend="gaussian")
    assert (manifest.window_shape, manifest.overlap) == ((16, 16, 16), 0.625)
    assert (manifest.licence, manifest.references) == ("Apache-2.0", ("A paper",))
    assert (imported.bundle.folder / "LICENSE").read_text() == "Apache License\n"


def test_a_zip_archive_is_imported_like_its_folder(tmp_path):
    write_sample(tmp_path / "theirs" / "bundle")
    archive = shutil.make_archive(str(tmp_path / "bundle"), "zip", tmp_path / "theirs")
    imported = import_monai_bundle(tmp_path / "bundle.zip", tmp_path / "ours", CHOICES)
    assert archive.endswith("bundle.zip")
    assert imported.bundle.manifest.network == "monai:SegResNet"


def test_yaml_is_read_like_json(run):
    yaml = pytest.importorskip("yaml")
    assert run(config=yaml.safe_dump(CONFIG), config_name="inference.yaml").bundle.manifest.spacing_mm == (1.5, 1.5, 2)


@pytest.mark.parametrize("wrapped", ["model", "state_dict"])
def test_weights_may_lie_inside_a_checkpoint(run, wrapped):
    assert run(weights={wrapped: network().state_dict(), "epoch": 3}).notes == ()


def step(name, **arguments):
    return {"_target_": name, "keys": "image", **arguments}


RANGE = {"a_min": -100, "a_max": 300, "b_min": -1, "b_max": 1}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (
            step("NormalizeIntensityd", nonzero=True, channel_wise=True),
            IntensityStep(kind="normalise", nonzero=True, by_channel=True),
        ),
        (step("monai.transforms.NormalizeIntensityD"), IntensityStep(kind="normalise")),
        (
            step("NormalizeIntensityd", subtrahend=[50], divisor=20),
            IntensityStep(kind="normalise", mean=50.0, std=20.0),
        ),
        (
            step("ScaleIntensityRanged", clip=True, **RANGE),
            IntensityStep(kind="range", lower=-100.0, upper=300.0, low=-1.0, high=1.0, clip=True),
        ),
        (
            step("ScaleIntensityRanged", a_min=-100, a_max=300),
            IntensityStep(kind="range", lower=-100.0, upper=300.0),
        ),
        (
            step("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1, clip=True),
            IntensityStep(kind="percentiles", lower=1.0, upper=99.0, low=0.0, high=1.0, clip=True),
        ),
        (step("ScaleIntensityd"), IntensityStep(kind="scale", low=0.0, high=1.0)),
    ],
)
def test_intensity_steps_are_kept_as_they_are_written(run, written, found):
    assert run(config=with_steps(written)).bundle.manifest.monai.steps == (found,)


@pytest.mark.parametrize(
    "steps",
    [
        [step("ThresholdIntensityd", threshold=3)],
        [step("MyOwnTransformd")],
        [step("NormalizeIntensityd"), step("ScaleIntensityd", minv=None)],
        [step("CropForegroundd", margin=2)],
        [step("ScaleIntensityRanged", a_min="$@low - 1", a_max=3, b_min=0, b_max=1)],
        [step("Spacingd", pixdim=[1, 1, 1], mode="nearest")],
        [step("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1, clip=True, relative=True)],
        [step("ScaleIntensityd"), step("Spacingd", pixdim=[1, 1])],
        [step("Spacingd", pixdim="$[1, 1, 1] if @fine else [3, 3, 3]")],
        [step("Orientationd", axcodes="$'RAS' if @turn else 'LPS'")],
    ],
)
def test_steps_that_are_not_understood_are_named_and_left_to_the_user(run, tmp_path, steps):
    flag = {"Spacingd": "spacing", "Orientationd": "orientation"}.get(steps[-1]["_target_"], "intensity")
    name = steps[-1]["_target_"].removesuffix("d")
    with pytest.raises(ManifestError, match=rf"preprocessing\.transforms\[{len(steps)}\]: {name}.*--{flag}"):
        run(config=with_steps(*steps))
    rule = IntensityRule(kind="zscore")
    choices = Choices(model_id="m", intensity=rule, spacing_mm=(1.0, 1.0, 2.0), orientation="LPS")
    imported = import_monai_bundle(tmp_path / "theirs", tmp_path / "ours", choices)
    assert imported.bundle.manifest.monai.steps == (IntensityStep(kind="normalise", by_channel=True),)
    assert any(steps[-1]["_target_"].removesuffix("d") in note for note in imported.notes)


def test_steps_that_are_disabled_do_not_count(run):
    off = step("MyOwnTransformd", _disabled_=True)
    assert run(config=with_steps(off)).bundle.manifest.monai.steps == ()


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (step("CenterSpatialCropd"), "CenterSpatialCrop changes the voxel grid"),
        (step("Resized", spatial_size=[16, -1, 16]), "not to a fixed number of voxels"),
        (step("Resized", spatial_size=[16, 16, 16], mode="nearest"), "mode 'nearest' is not one of area"),
        (step("Resized", spatial_size=[16, 16, 16], anti_aliasing=True), "anti_aliasing True"),
    ],
)
def test_steps_that_change_the_grid_in_other_ways_are_refused_with_their_place(run, written, reason):
    with pytest.raises(ManifestError, match=rf"preprocessing\.transforms\[1\]: .*{reason}"):
        run(config=with_steps(written))


def test_a_crop_to_the_foreground_is_kept_and_what_is_assumed_is_told(run):
    imported = run(config=with_steps(step("CropForegroundd", source_key="image")))
    assert imported.bundle.manifest.monai.foreground == ForegroundRule(after=0)
    told = " ".join(imported.notes)
    for words in ("images keep the axes they have", "changes no intensities"):
        assert words in told


def after(*steps):
    return changed(CONFIG, ("postprocessing", "transforms"), list(steps))


def test_the_largest_component_is_kept_where_the_bundle_keeps_it(run):
    imported = run(config=after(step("KeepLargestConnectedComponentd", applied_labels=[1, 2])))
    assert imported.bundle.manifest.postprocess == PostprocessRule(keep_largest=True)


def test_other_postprocessing_is_named(run):
    assert "FillHolesd after the network is left out" in run(config=after(step("FillHolesd"))).notes[0]


SIGMOID, HALF = step("Activationsd", sigmoid=True), step("AsDiscreted", threshold=0.5)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([SIGMOID], r"transforms\[0\]: outputs with a sigmoid each, but without a threshold"),
        ([HALF], r"transforms\[0\]: a threshold of 0.5 is imported after a sigmoid"),
        ([SIGMOID, HALF, step("Lambdad", func="$lambda x: x[1:]")], r"transforms\[2\]: how 3 outputs become labels"),
        ([SIGMOID, HALF, step("Lambdad", func="$torch.where(x[[0]] > 0, 1, 0)")], "how 3 outputs become labels"),
    ],
)
def test_outputs_that_overlap_in_an_unknown_way_are_refused_with_their_place(run, steps, reason):
    with pytest.raises(ManifestError, match=reason):
        run(config=after(*steps))


def test_outputs_with_a_threshold_each_are_labels_that_may_overlap(run):
    manifest = run(config=after(SIGMOID, step("AsDiscreted", threshold=0.4))).bundle.manifest
    assert manifest.overlapping == OverlapRule(threshold=0.4, order=(1, 2, 3))
    assert [label.name for label in manifest.labels] == ["background", "spleen", "left kidney"]


def test_classes_that_are_merged_have_no_background_among_them(run):
    imported = run(config=after(SIGMOID, HALF, step("scripts.mine.MergeClassesd")))
    manifest, window = imported.bundle.manifest, torch.randn(1, 1, 16, 16, 16)
    assert manifest.overlapping == OverlapRule(order=(2, 1))
    with torch.no_grad():
        answer = load_network(imported.bundle)(window)
        torch.testing.assert_close(answer, network()(window)[:, 1:], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"_target_": "os.system", "command": "touch PWNED"}, r"'os\.system' is not imported.*monai:SegResNet"),
        ({"_target_": "evil.nets.SegResNet"}, r"'evil\.nets\.SegResNet' is not imported"),
        ({"_target_": "SegResNet", "out_channels": "$open('PWNED', 'w')"}, r"network_def\.out_channels: .*not done"),
        ({"_target_": "SegResNet", "colour": 1}, "has no argument 'colour'"),
        ({"_target_": "medseg.networks.build_network"}, "already"),
    ],
)
def test_a_network_that_is_no_known_class_with_literal_arguments_is_refused(run, tmp_path, monkeypatch, value, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match=reason):
        run(config=changed(CONFIG, ("network_def",), value))
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_an_argument_of_an_older_monai_is_left_out_or_renamed_and_told():
    from medseg.bundles.importing.config_reader import Config
    from medseg.bundles.importing.monai_network_def import read_network

    old = {"_target_": "UNet", "dimensions": 3, "in_channels": 1, "out_channels": 2, "channels": [4], "strides": []}
    name, arguments, notes = read_network(Config({"network_def": old}, "inference.json"))
    assert (name, arguments["spatial_dims"], len(notes)) == ("monai:UNet", 3, 1)
    old = {"_target_": "SwinUNETR", "img_size": [96, 96, 96], "in_channels": 1, "out_channels": 2}
    _, arguments, notes = read_network(Config({"network_def": old}, "inference.json"))
    assert "img_size" not in arguments
    assert "img_size" in notes[0]


def test_weights_that_do_not_fit_are_named_and_nothing_is_written(run, tmp_path):
    weights = network().state_dict()
    weights["extra"] = weights.pop("convInit.conv.weight")
    with pytest.raises(WeightsError, match=r"missing: convInit\.conv\.weight; 1 tensor\(s\) unexpected: extra"):
        run(weights=weights)
    assert not (tmp_path / "ours").exists()


def test_weights_that_would_run_code_are_refused(run, tmp_path):
    class Attack:
        def __reduce__(self):
            return open, (str(tmp_path / "PWNED"), "w")

    with pytest.raises(WeightsError, match="could run code"):
        run(weights={"model": Attack()})
    assert not (tmp_path / "PWNED").exists()


def test_a_window_the_network_cannot_take_is_refused(run, tmp_path):
    with pytest.raises(ManifestError, match="does not take a window of"):
        run(Choices(model_id="m", window_shape=(3, 16, 16)))
    assert not (tmp_path / "ours").exists()


def test_an_existing_folder_is_kept(run, tmp_path):
    (tmp_path / "ours").mkdir()
    with pytest.raises(OutputExists):
        run()


PRED = ("network_data_format", "outputs", "pred", "channel_def")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (PRED, {"0": "tumour", "1": "edema", "2": "core"}, "channel 0 is 'tumour' and not the background"),
        (PRED, {"0": "background", "2": "spleen", "3": "liver"}, "no channels 0, 1"),
        (PRED, {"0": "background", "1": "spleen"}, "num_channels is 3"),
        (("network_data_format", "outputs"), ..., r"network_data_format\.outputs\.pred"),
    ],
)
def test_labels_that_are_not_told_are_asked_for(run, path, value, reason):
    with pytest.raises(ManifestError, match=reason):
        run(metadata=changed(METADATA, path, value))


def test_the_file_that_the_bundles_loader_names_is_taken(tmp_path):
    loader = {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/' + @name"}
    config = {**CONFIG, "handlers": [loader], "name": "$'fine.pt' if @fine else 'model.pt'", "fine": True}
    write_sample(tmp_path / "theirs", config=config)
    other = SegResNet(**NETWORK)
    torch.save(other.state_dict(), tmp_path / "theirs" / "models" / "fine.pt")
    imported = import_monai_bundle(tmp_path / "theirs", tmp_path / "ours", CHOICES)
    window = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(load_network(imported.bundle)(window), other.eval()(window), rtol=0, atol=0)


def test_weights_outside_the_bundle_are_not_read(run, tmp_path):
    torch.save(network().state_dict(), tmp_path / "other.pt")
    loader = {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/../other.pt'"}
    with pytest.raises(WeightsError, match="lies outside the bundle"):
        run(config={**CONFIG, "handlers": [loader]})


def test_choices_come_before_what_the_bundle_says(run):
    choices = Choices(model_id="m", title="T", channels=(ChannelSpec(name="a", modality="MR"),), orientation="RAS")
    manifest = run(choices).bundle.manifest
    assert (manifest.title, manifest.channels[0].modality, manifest.orientation) == ("T", "MR", "RAS")


def test_without_sliding_windows_the_stated_shape_is_the_window(run):
    imported = run(config=changed(CONFIG, ("inferer",), {"_target_": "SimpleInferer"}))
    assert imported.bundle.manifest.window_shape == (16, 16, 16)
    assert "without sliding windows" in imported.notes[0]


def test_monai_still_runs_the_imported_bundle_and_gives_our_labels(run, tmp_path):
    bundle = run().bundle
    image = Image(blob((28, 22, 22), 0)[None] * 0.2, np.diag([-1.5, -1.5, 2.0, 1.0]))
    (tmp_path / "images").mkdir()
    nibabel.save(nibabel.Nifti1Image(image.array[0], image.affine), tmp_path / "images" / "case.nii.gz")
    run_as_a_user(bundle, tmp_path / "images", tmp_path / "out")
    theirs = np.asarray(nibabel.load(tmp_path / "out" / "case_seg.nii.gz").dataobj)
    assert_agree(theirs, predict_ourselves(bundle, image))


def test_untidy_metadata_is_read_as_far_as_it_goes(run):
    untidy = changed(changed(METADATA, ("references",), "One paper"), ("description",), None)
    manifest = run(metadata=changed(untidy, ("copyright",), ...)).bundle.manifest
    assert manifest.references == ("One paper",)
    assert manifest.description == "Two organs"
    assert manifest.licence == "Not stated by its authors."


@pytest.mark.parametrize(("stated", "read"), [([0.5, 0.25, 0.5], 0.5), (0.95, 0.9), ("$@x * 2", 0.25)])
def test_an_overlap_in_another_form_is_read_or_told(run, stated, read):
    imported = run(config=changed(CONFIG, ("inferer", "overlap"), stated))
    assert imported.bundle.manifest.overlap == read
    assert bool(imported.notes) == (not isinstance(stated, list))
