"""Models of nnU-Net v2 give the labels that nnU-Net itself gave, and what cannot be imported says why."""

import csv
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

pytest.importorskip("dynamic_network_architectures", reason="needs nnU-Net's networks: pip install medseg[nnunet]")

from medseg.bundles.catalogue import find_bundle
from medseg.bundles.compose import Words, composed_manifest
from medseg.bundles.ensemble import combine
from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.nnunet.import_nnunet import import_nnunet
from medseg.bundles.stages import open_stages
from medseg.bundles.weights import load_network
from medseg.cli.main import run
from medseg.imaging.geometry import stack_channels
from medseg.imaging.grids import plan_grids
from medseg.imaging.image import Image
from medseg.imaging.preprocess import prepare
from medseg.io.read import read_image, read_layers
from medseg.jobs.run.asked import ask_stage
from medseg.jobs.run.progress import ProgressReporter
from medseg.jobs.run.results import Outputs
from medseg.jobs.run.segment import segment_case
from medseg.jobs.run.stages import Question
from medseg.spec.errors import ImageError, JobError, ManifestError, WeightsError
from medseg.spec.job import Options
from medseg.spec.stages import Composition, StageSpec
from nnunet_layouts import write_layout

CASES = ["01-mriso", "02-mrsagittalaniso", "04-t1flair", "05-ctorgans", "07-mr2d", "10-mrignore", "11-ctoldplans"]
CHOICES = Choices(model_id="theirs")
STEP = {"nomirror_step08": 0.2}  # overlap of the runs that took another than 0.5


@pytest.fixture(scope="module")
def imported(shared, tmp_path_factory):
    """The models of the kit, each imported once."""
    made = {}

    def get(case):
        if case not in made:
            folder = tmp_path_factory.mktemp(case) / "model"
            made[case] = import_nnunet(shared / "nnunet" / "kit" / case / "model", folder, CHOICES).bundle
        return made[case]

    return get


@pytest.fixture
def old(checkout, tmp_path):
    """A copy of the model that every clone has, to be changed: its folder of plans and folds."""
    (source,) = (checkout / "Testing" / "Data" / "nnunet" / "model").glob("*/*")
    shutil.copytree(source, tmp_path / "theirs" / source.name)
    return tmp_path / "theirs" / source.name


def change(path: Path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def expected_runs(folder):
    return sorted(folder.glob("expected/*/*.nii.gz"))


def inputs_of(folder, name):
    return sorted((folder / "input").glob(f"{name}_*.nii.gz"))


@pytest.mark.parametrize("case", CASES)
def test_labels_are_those_of_nnunet_voxel_for_voxel(case, imported, shared):
    folder, bundle = shared / "nnunet" / "kit" / case, imported(case)
    runs = expected_runs(folder)
    assert runs
    for path in runs:
        name, mode = path.name.removesuffix(".nii.gz"), path.parent.name
        mirror = None if mode.startswith("mirror") or not bundle.manifest.mirror_axes else False
        options = Options(device="cpu", engine="torch", mirror=mirror, overlap=STEP.get(mode))
        found = segment_case(inputs_of(folder, name), bundle, options)
        wanted = nibabel.load(path)
        differing = np.count_nonzero(found.labels.array[0] != np.asarray(wanted.dataobj))
        assert differing == 0, f"{case} {mode} {name}: {differing} voxels"
        np.testing.assert_allclose(found.labels.affine, wanted.affine, atol=1e-4)


@pytest.mark.parametrize("case", [case for case in CASES if case != "11-ctoldplans"])
def test_probabilities_are_those_of_nnunet(case, imported, shared):
    folder, bundle = shared / "nnunet" / "kit" / case, imported(case)
    # 07's smaller image is turned on reading, and nnU-Net stores its probabilities as they were turned
    files = [p for p in folder.glob("expected/*/*_probabilities.npz") if (case, p.name[:7]) != ("07-mr2d", "smaller")]
    assert files
    for path in files:
        mirror = None if path.parent.name == "mirror" or not bundle.manifest.mirror_axes else False
        name = path.name.removesuffix("_probabilities.npz")
        options = Options(device="cpu", engine="torch", mirror=mirror)
        found = segment_case(inputs_of(folder, name), bundle, options, want_probabilities=True)
        theirs = np.load(path)["probabilities"].astype(np.float32).transpose(0, 3, 2, 1)
        np.testing.assert_allclose(found.probabilities.array, theirs, atol=2e-3)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("10-mrignore", "11-ctoldplans")])
def test_the_network_sees_what_nnunet_showed_it_bit_for_bit(case, imported, shared):
    folder, bundle = shared / "nnunet" / "kit" / case, imported(case)
    (path,) = (folder / "stages").glob("*.npz")
    images = [read_image(each).image for each in inputs_of(folder, path.name.partition("_")[0])]
    image = images[0] if len(images) == 1 else stack_channels(images)
    np.testing.assert_array_equal(prepare(image, bundle.manifest).image.array, np.load(path)["network_input"])


def test_openvino_gives_the_same_labels_but_for_near_ties(imported, shared):
    folder = shared / "nnunet" / "kit" / "01-mriso"
    ties = json.loads((folder / "facts.json").read_text())["nomirror/larger"]["near_ties"]
    options = Options(device="cpu", engine="openvino", mirror=False)
    found = segment_case(inputs_of(folder, "larger"), imported("01-mriso"), options)
    wanted = np.asarray(nibabel.load(folder / "expected" / "nomirror" / "larger.nii.gz").dataobj)
    assert found.engine.startswith("OpenVINO")
    assert np.count_nonzero(found.labels.array[0] != wanted) <= ties


@pytest.fixture(scope="module")
def cascade(shared, tmp_path_factory):
    """The kit's cascade: its folder, and the model of both stages."""
    folder = shared / "nnunet" / "kit" / "08-mrcascade"
    made = import_nnunet(folder / "model", tmp_path_factory.mktemp("cascade") / "model", CHOICES)
    return folder, made.bundle


def test_a_cascade_gives_the_labels_of_nnunet_voxel_for_voxel(cascade):
    folder, bundle = cascade
    assert [stage.name for stage in bundle.manifest.composition.stages] == ["3d_lowres", "3d_cascade_fullres"]
    wanted = np.asarray(nibabel.load(folder / "expected" / "3d_cascade_fullres_mirror" / "smaller.nii.gz").dataobj)
    found = segment_case(inputs_of(folder, "smaller"), bundle, Options(device="cpu", engine="torch"))
    np.testing.assert_array_equal(found.labels.array[0], wanted)


@pytest.mark.parametrize("name", ["smaller", "larger"])
def test_the_second_stage_continues_labels_as_nnunet_does(cascade, name):
    folder, bundle = cascade
    previous = np.asarray(nibabel.load(folder / "expected" / "3d_lowres_mirror" / f"{name}.nii.gz").dataobj)
    first, second = open_stages(bundle)
    (scan,) = inputs_of(folder, name)
    image, options = read_image(scan).image, Options(device="cpu", engine="torch", mirror=False)
    alone = segment_case([image], first.bundle, options).labels.array[0]
    wanted = np.asarray(nibabel.load(folder / "expected" / "3d_lowres_nomirror" / f"{name}.nii.gz").dataobj)
    np.testing.assert_array_equal(alone, wanted)
    question = Question(
        bundle=second.bundle,
        image=image,
        previous=previous,
        options=options,
        progress=ProgressReporter(),
        wants_probabilities=True,
    )
    answer, probabilities = ask_stage(question, device="cpu")
    expected = folder / "expected" / "3d_cascade_fullres_nomirror"
    np.testing.assert_array_equal(answer.values, np.asarray(nibabel.load(expected / f"{name}.nii.gz").dataobj))
    theirs = np.load(expected / f"{name}_probabilities.npz")["probabilities"].astype(np.float32)
    np.testing.assert_allclose(probabilities, theirs.transpose(0, 3, 2, 1), atol=2e-3)


def test_the_second_stage_sees_what_nnunet_showed_it_bit_for_bit(cascade):
    folder, bundle = cascade
    previous = np.asarray(nibabel.load(folder / "expected" / "3d_lowres_mirror" / "larger.nii.gz").dataobj)
    second = open_stages(bundle)[1].bundle
    (scan,) = inputs_of(folder, "larger")
    prepared = prepare(read_image(scan).image, second.manifest, previous=previous)
    theirs = np.load(folder / "stages" / "larger_nomirror.npz")["network_input"]
    np.testing.assert_array_equal(prepared.image.array, theirs)


def test_the_second_stage_alone_says_what_it_is_part_of(cascade):
    folder, bundle = cascade
    second = open_stages(bundle)[1].bundle
    with pytest.raises(JobError, match="continues the labels of an earlier stage; run the model that it is part of"):
        segment_case(inputs_of(folder, "smaller"), second, Options(device="cpu", engine="torch", mirror=False))


def test_configurations_are_chosen_averaged_or_named(shared, cascade, tmp_path):
    source = shared / "nnunet" / "kit" / "08-mrcascade" / "model"
    first = import_nnunet(source, tmp_path / "first", CHOICES, configuration_name="3d_lowres").bundle
    assert first.manifest.composition is None
    both = import_nnunet(source, tmp_path / "both", CHOICES, configuration_name="3d_lowres,3d_cascade_fullres").bundle
    folder, alone = cascade
    options = Options(device="cpu", engine="torch", mirror=False)
    inputs = inputs_of(folder, "smaller")
    one, other, mean = (
        segment_case(inputs, bundle, options, want_probabilities=True).probabilities.array
        for bundle in (first, alone, both)
    )
    np.testing.assert_allclose(mean[1:], (one + other)[1:] / 2, atol=1e-6)
    labels = segment_case(inputs, both, options).labels.array[0]
    np.testing.assert_array_equal(labels, ((one + other) / 2).argmax(axis=0))
    with pytest.raises(ManifestError, match="each configuration is averaged once, got 3d_lowres,3d_lowres"):
        import_nnunet(source, tmp_path / "twice", CHOICES, configuration_name="3d_lowres,3d_lowres")


def test_a_cascade_without_its_first_stage_is_refused(shared, tmp_path):
    (source,) = (shared / "nnunet" / "kit" / "08-mrcascade" / "model").glob("*/*cascade_fullres")
    shutil.copytree(source, tmp_path / "Dataset508" / source.name)
    with pytest.raises(ManifestError, match=r"continues the answer of 3d_lowres, and beside it there are 0 trained"):
        import_nnunet(tmp_path / "Dataset508", tmp_path / "out", CHOICES)
    assert not (tmp_path / "out").exists()


def test_a_region_and_a_quick_preview_work_as_with_any_model(imported, shared):
    folder, bundle = shared / "nnunet" / "kit" / "01-mriso", imported("01-mriso")
    inputs = inputs_of(folder, "larger")
    whole = segment_case(inputs, bundle, Options(device="cpu", engine="torch", mirror=False)).labels.array[0] > 0
    box = (5, 35, 5, 30, 5, 25)
    options = Options(device="cpu", engine="torch", mirror=False, roi_voxels=box)
    found = segment_case(inputs, bundle, options).labels.array[0] > 0
    inside = np.zeros_like(found)
    inside[5:35, 5:30, 5:25] = True
    assert found.any()
    assert not (found & ~inside).any()
    quick = replace(options, roi_voxels=None, spacing_factor=2.0)
    coarse = segment_case(inputs, bundle, quick).labels.array[0] > 0
    assert coarse.shape == whole.shape
    assert prepare(read_image(inputs[0]).image, bundle.manifest).image.shape == (30, 47, 58)


def test_a_grid_that_no_machine_should_be_asked_for_is_refused(imported):
    vast = Image(np.broadcast_to(np.uint8(1), (1, 600, 600, 600)), np.diag([50.0, 50.0, 50.0, 1.0]))
    with pytest.raises(ImageError, match="may take 4 GB"):
        plan_grids(vast, imported("01-mriso").manifest)


@pytest.mark.parametrize("as_archive", [False, True])
def test_an_old_model_is_imported_by_one_command_and_segments_as_nnunet_did(
    as_archive, checkout, tmp_path, monkeypatch, capsys
):
    data = checkout / "Testing" / "Data" / "nnunet"
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    source = data / "model"
    if as_archive:
        source = Path(shutil.make_archive(str(tmp_path / "weights"), "zip", source))
    assert run(["models", "import", str(source), "-o", str(tmp_path / "models" / "organs")]) == 0
    shown = capsys.readouterr()
    assert "organs is ready: nnunet:PlainConvUNet, every weight checked" in shown.out
    assert "assumed: bright: Tissue" in shown.err
    output = tmp_path / "labels.nii.gz"
    scan = data / "input" / "smaller_0000.nii.gz"
    command = ["segment", str(scan), "--model", "organs", "--output", str(output), "--device", "cpu"]
    assert run([*command, "--engine", "torch"]) == 0
    wanted = np.asarray(nibabel.load(data / "expected" / "smaller.nii.gz").dataobj)
    np.testing.assert_array_equal(np.asarray(nibabel.load(output).dataobj), wanted)
    names = find_bundle("organs").weights_path.stat().st_size
    (checkpoint,) = source.glob("*/*/fold_0/*.pth") if source.is_dir() else (data / "model").glob("*/*/fold_0/*.pth")
    assert names < checkpoint.stat().st_size  # every weight is stored once


def write_second_fold(old):
    """Add a fold whose network exchanges the labels of the first."""
    state = torch.load(old / "fold_0" / "checkpoint_final.pth", weights_only=False)
    for key, value in state["network_weights"].items():
        if "seg_layers" in key:
            state["network_weights"][key] = value.roll(1, 0)
    (old / "fold_1").mkdir()
    torch.save(state, old / "fold_1" / "checkpoint_final.pth")


def test_folds_give_the_labels_that_nnunet_gave_which_rounds_the_sums_of_each(checkout, old, tmp_path):
    write_second_fold(old)
    both = import_nnunet(old, tmp_path / "both", CHOICES).bundle
    one = import_nnunet(old, tmp_path / "one", CHOICES, folds=["0"]).bundle
    other = import_nnunet(old, tmp_path / "other", CHOICES, folds=["1"]).bundle
    again = combine([one, other], tmp_path / "again", "again")
    data = checkout / "Testing" / "Data" / "nnunet"
    scan, options = data / "input" / "smaller_0000.nii.gz", Options(device="cpu", engine="torch")
    wanted = np.asarray(nibabel.load(data / "expected" / "folds.nii.gz").dataobj)
    for bundle in (both, again):
        assert bundle.manifest.nnunet.folds == 2
        for want_probabilities in (False, True):  # two paths through the network's answer
            found = segment_case([scan], bundle, options, want_probabilities=want_probabilities)
            np.testing.assert_array_equal(found.labels.array[0], wanted)
    three = combine([both, one], tmp_path / "three", "three")
    assert three.manifest.nnunet.folds == len(load_network(three).members) == 3
    shutil.copy(one.weights_path, both.weights_path)
    with pytest.raises(WeightsError, match=r"holds 1 network\(s\), and its manifest says 2 folds"):
        load_network(both)
    with pytest.raises(ManifestError, match="no checkpoint of fold 7; trained folds there: 0, 1"):
        import_nnunet(old, tmp_path / "none", CHOICES, folds=["7"])


LAYERS = {
    "n_stages": 3,
    "features_per_stage": [4, 6, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_blocks_per_stage": [1, 2, 2],
    "n_conv_per_stage_decoder": [1, 1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


class Package:
    """Networks as the package builds them, with random weights and with plans and checkpoints to match."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "fold_0" / "checkpoint_final.pth"

    def write(self, name, *, layers=None, prefix="", stated=None):
        """Put a network in the place of the folder's; give it back."""
        from dynamic_network_architectures.architectures import unet

        made = {"conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
        torch.manual_seed(0)
        theirs = getattr(unet, name)(
            1, num_classes=3, **(LAYERS | made | (layers or {})), deep_supervision=False
        ).eval()
        for norm in theirs.modules():
            if isinstance(norm, torch.nn.BatchNorm3d):
                torch.nn.init.uniform_(norm.running_var, 0.5, 2)
        state = torch.load(self.path, weights_only=False)
        state["network_weights"] = {f"{prefix}{key}": value for key, value in theirs.state_dict().items()}
        torch.save(state, self.path)
        plans = json.loads((self.folder / "plans.json").read_text())
        plans["configurations"]["3d_fullres"]["architecture"] = {
            "network_class_name": f"dynamic_network_architectures.architectures.residual_unet.{name}",
            "arch_kwargs": LAYERS | (stated or {}),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        }
        (self.folder / "plans.json").write_text(json.dumps(plans))
        return theirs


def test_other_layers_answer_as_the_package_s_own(old, tmp_path):
    from dynamic_network_architectures.building_blocks.residual import BottleneckD

    package = Package(old)
    dropout = {"dropout_op_kwargs": {"p": 0.2}}
    narrow = {"bottleneck_channels": 4}
    cases = {
        "as it is": {},
        "compiled on several cards": {"prefix": "_orig_mod.module."},
        "batch": {"layers": {"norm_op": torch.nn.BatchNorm3d}},  # nnUNetTrainerBN leaves the plans as they were
        "dropout": {
            "layers": {"dropout_op": torch.nn.Dropout3d} | dropout,
            "stated": {"dropout_op": "torch.nn.Dropout3d"} | dropout,
        },
        "stem": {"layers": {"stem_channels": 6}, "stated": {"stem_channels": 6}},
        "narrow": {
            "layers": {"block": BottleneckD} | narrow,
            "stated": {"block": "blocks.residual.BottleneckD"} | narrow,
        },
    }
    window = torch.randn(1, 1, 20, 24, 24)
    for case, how in cases.items():
        theirs = package.write("ResidualEncoderUNet", **how)
        ours = load_network(import_nnunet(old, tmp_path / "out", CHOICES, overwrite=True).bundle)
        with torch.inference_mode():
            torch.testing.assert_close(ours(window), theirs(window), rtol=0, atol=0, msg=case)


def test_the_checkpoint_names_the_configuration_of_a_folder_that_was_renamed(old, tmp_path):
    theirs = old.rename(old.with_name("my best model"))
    bundle = import_nnunet(theirs, tmp_path / "out", CHOICES).bundle
    assert bundle.manifest.title.endswith("(3d_fullres)")
    archive = shutil.make_archive(str(tmp_path / "model"), "zip", theirs)  # plans.json lies at its top
    assert import_nnunet(Path(archive), tmp_path / "again", CHOICES).bundle.manifest.title.endswith("(3d_fullres)")
    with pytest.raises(ManifestError, match=r"holds no configuration 2d; its models are my best model"):
        import_nnunet(theirs.parent, tmp_path / "none", CHOICES, configuration_name="2d")
    assert not (tmp_path / "none").exists()


def test_an_archive_as_nnunet_exports_it_is_imported_whatever_it_says_of_its_validation(old, tmp_path):
    (old / "fold_0" / "validation").mkdir()
    for name in ("progress.png", "debug.json", "validation/summary.json"):
        (old / "fold_0" / name).write_text("{}")
    (old.parent / "inference_information.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (each for each in sorted(old.parent.rglob("*")) if each.is_file()):
            content = b" " * 2**25 if path.name == "summary.json" else path.read_bytes()
            archive.writestr(f"Dataset511_CtOldPlans/{path.relative_to(old.parent).as_posix()}", content)
    bundle = import_nnunet(tmp_path / "export.zip", tmp_path / "out", CHOICES).bundle
    assert [label.name for label in bundle.manifest.labels] == ["bright", "dark"]


def test_a_fold_that_is_still_trained_is_not_mixed_with_finished_ones(old, tmp_path):
    shutil.copytree(old / "fold_0", old / "fold_1")
    (old / "fold_1" / "checkpoint_final.pth").rename(old / "fold_1" / "checkpoint_best.pth")
    finished = import_nnunet(old, tmp_path / "finished", CHOICES)
    assert finished.bundle.manifest.nnunet.folds == 1
    assert not any("checkpoint_best" in note for note in finished.notes)
    best = import_nnunet(old, tmp_path / "best", CHOICES, folds=["1"])
    assert "weights are those of checkpoint_best.pth, since no fold has checkpoint_final.pth" in best.notes


def test_sizes_that_no_machine_has_are_refused_before_memory_is_taken(old, tmp_path):
    plans = json.loads((old / "plans.json").read_text())
    stated = plans["configurations"]["3d_fullres"]
    for values, words in (
        ({"patch_size": [4000, 4000, 4000]}, "which none is trained with"),
        ({"patch_size": [8, 8, 1e300]}, "window"),
        ({"patch_size": 16}, "says something that is not understood"),
        ({"UNet_base_num_features": 50000, "unet_max_num_features": 50000}, "describe a network of .* weights"),
        ({"n_conv_per_stage_encoder": 10**30}, "cannot be built with these arguments"),
        ({"spacing": None}, "says something that is not understood"),
    ):
        plans["configurations"]["3d_fullres"] = stated | values
        (old / "plans.json").write_text(json.dumps(plans))
        with pytest.raises((ManifestError, WeightsError), match=words):
            import_nnunet(old, tmp_path / "out", CHOICES)
    (old / "plans.json").write_text("[" * 100_000)
    with pytest.raises(ManifestError, match=r"plans\.json cannot be read"):
        import_nnunet(old, tmp_path / "out", CHOICES)


def test_a_checkpoint_whose_repeated_weights_differ_is_refused(old, tmp_path):
    path = old / "fold_0" / "checkpoint_final.pth"
    state = torch.load(path, weights_only=False)
    name = "decoder.encoder.stages.0.0.convs.0.conv.weight"
    state["network_weights"][name] = state["network_weights"][name] + 1
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"repeats encoder\.stages.* with other numbers"):
        import_nnunet(old, tmp_path / "out", CHOICES)
    assert not (tmp_path / "out").exists()


class Runs:
    """Would call a function while it is unpickled."""

    def __reduce__(self):
        return (print, ("ran",))


def test_a_checkpoint_that_would_run_code_is_refused_and_nothing_runs(old, tmp_path, capsys):
    torch.save({"network_weights": {}, "logging": Runs()}, old / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(WeightsError, match=r"is not opened: it names .*print"):
        import_nnunet(old, tmp_path / "out", CHOICES)
    assert "ran" not in capsys.readouterr().out


REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": 3}


def test_regions_are_segments_that_overlap_and_a_labelmap_of_them_is_painted_as_nnunet_does(checkout, old, tmp_path):
    change(old / "dataset.json", labels=REGIONS, regions_class_order=[3, 1, 2])
    bundle = import_nnunet(old, tmp_path / "out", CHOICES).bundle
    data = checkout / "Testing" / "Data" / "nnunet"
    wanted = np.asarray(nibabel.load(data / "expected" / "regions.nii.gz").dataobj)
    for want_probabilities in (False, True):  # two paths through the network's answer
        outputs = Outputs(labels=tmp_path / f"{want_probabilities}.nii.gz")
        found = segment_case(
            [data / "input" / "smaller_0000.nii.gz"],
            bundle,
            Options(device="cpu", engine="torch"),
            outputs=outputs,
            want_probabilities=want_probabilities,
        )
        np.testing.assert_array_equal(np.asarray(nibabel.load(outputs.labels).dataobj), wanted)
        assert "others cover parts of whole, core there; choose .seg.nrrd to keep all" in found.warnings[0]
    assert found.probabilities.channel_count == 3
    for name, probability in zip(("whole", "core", "active"), found.probabilities.array, strict=True):
        np.testing.assert_array_equal(found.mask(name), probability > 0.5)
        assert {row.name: row.voxels for row in found.measures}[name] == (probability > 0.5).sum()
    assert (found.mask("whole") & found.mask("core")).any()
    found.save(tmp_path / "all.seg.nrrd")
    layers = read_layers(tmp_path / "all.seg.nrrd").array
    assert [int((layers == value).sum()) for value in (3, 1, 2)] == [row.voxels for row in sort_by_name(found)]


def test_configurations_of_regions_are_averaged_as_nnunet_averages_them(checkout, old, tmp_path):
    change(old / "dataset.json", labels=REGIONS, regions_class_order=[3, 1, 2])
    second = write_layout(old, old.parent, configuration="3d_lowres", share=-0.5)  # another answer of the same network
    assert second.parent == old.parent
    both = import_nnunet(old.parent, tmp_path / "both", CHOICES, configuration_name="3d_fullres,3d_lowres").bundle
    scan = [checkout / "Testing" / "Data" / "nnunet" / "input" / "smaller_0000.nii.gz"]
    options = Options(device="cpu", engine="torch")
    one, other, mean = (
        segment_case(scan, bundle, options, want_probabilities=True)
        for bundle in (*(stage.bundle for stage in open_stages(both)), both)
    )
    expected = (one.probabilities.array + other.probabilities.array) / 2
    np.testing.assert_allclose(mean.probabilities.array, expected, atol=1e-6)
    outputs = Outputs(labels=tmp_path / "painted.nii.gz")
    found = segment_case(scan, both, options, outputs=outputs)
    painted = np.zeros(expected.shape[1:], dtype=np.uint8)
    for value, name, probability in zip((3, 1, 2), ("whole", "core", "active"), expected, strict=True):
        np.testing.assert_array_equal(found.mask(name), probability > 0.5)
        assert 0 < found.mask(name).sum() < probability.size
        painted[probability > 0.5] = value
    np.testing.assert_array_equal(np.asarray(nibabel.load(outputs.labels).dataobj), painted)


def write_second_stage(folder):
    """Make a trained configuration one that continues 3d_lowres: its first layer sees three labels too."""
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["previous_stage"] = "3d_lowres"
    (folder / "plans.json").write_text(json.dumps(plans))
    path = folder / "fold_0" / "checkpoint_final.pth"
    state = torch.load(path, weights_only=False)
    for key, value in state["network_weights"].items():
        if value.ndim == 5 and value.shape[1] == 1:  # under each of its names
            torch.manual_seed(0)
            more = torch.randn(len(value), 3, *value.shape[2:])
            state["network_weights"][key] = torch.cat([value, more * value.std()], dim=1)
    torch.save(state, path)


def test_the_second_stage_of_a_cascade_of_regions_is_shown_the_labels_they_are_painted_with(checkout, old, tmp_path):
    change(old / "dataset.json", labels=REGIONS, regions_class_order=[3, 1, 2])
    write_layout(old, old.parent, configuration="3d_lowres", share=-0.5)
    write_second_stage(old)
    bundle = import_nnunet(old.parent, tmp_path / "both", CHOICES, configuration_name="3d_fullres").bundle
    first, second = open_stages(bundle)
    image = read_image(checkout / "Testing" / "Data" / "nnunet" / "input" / "smaller_0000.nii.gz").image
    options = Options(device="cpu", engine="torch")
    outputs = Outputs(labels=tmp_path / "first.nii.gz")
    segment_case([image], first.bundle, options, outputs=outputs)
    previous = np.asarray(nibabel.load(outputs.labels).dataobj)
    assert len(np.unique(previous)) > 2
    found, answers = segment_case([image], bundle, options), []
    for shown in (previous, np.zeros_like(previous)):
        question = Question(
            bundle=second.bundle,
            image=image,
            previous=shown,
            options=options,
            progress=ProgressReporter(),
            wants_probabilities=True,
        )
        answers.append(ask_stage(question, device="cpu")[1] > 0.5)
    for name, alone, unseen in zip(("whole", "core", "active"), *answers, strict=True):
        np.testing.assert_array_equal(found.mask(name), alone)
        assert (alone != unseen).any()
    change(old / "dataset.json", regions_class_order=[3, 1, 7])
    with pytest.raises(
        ManifestError, match=r"regions_class_order \[3, 1, 7\] of a cascade: expected the labels 1 to 3"
    ):
        import_nnunet(old.parent, tmp_path / "refused", CHOICES, configuration_name="3d_fullres")


def test_regions_of_stages_do_not_overwrite_each_other(old, tmp_path):
    change(old / "dataset.json", labels=REGIONS, regions_class_order=[3, 1, 2])
    with pytest.raises(ManifestError, match="stages over the whole image that are averaged, for labels that overlap"):
        write_composed_of_regions(import_nnunet(old, tmp_path / "one", CHOICES).bundle)


def write_composed_of_regions(bundle):
    """Describe a model in which a stage with regions takes the place of another's."""
    labels = bundle.manifest.labels
    answers = {label.name: label.value for label in labels}
    stages = (StageSpec(name="first"), StageSpec(name="second", answers=answers))
    words = Words(model_id="cascade", title="Cascade", description="Of regions.")
    models = {"first": bundle.manifest, "second": bundle.manifest}
    return composed_manifest(words, Composition(stages=stages), labels, models)


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd"])
def test_a_batch_measures_regions_whole_whatever_it_writes_and_takes_a_folder_for_a_model(
    checkout, old, tmp_path, suffix
):
    change(old / "dataset.json", labels=REGIONS, regions_class_order=[3, 1, 2])
    import_nnunet(old, tmp_path / "model", CHOICES)
    data = checkout / "Testing" / "Data" / "nnunet"
    shutil.copytree(data / "input", tmp_path / "scans")
    out = tmp_path / "out"
    options = ["--device", "cpu", "--engine", "torch", "--suffix", suffix]
    assert run(["batch", str(tmp_path / "scans"), "-m", str(tmp_path / "model"), "-o", str(out), *options]) == 0
    found = segment_case(
        [data / "input" / "smaller_0000.nii.gz"],
        import_nnunet(old, tmp_path / "again", CHOICES).bundle,
        Options(device="cpu", engine="torch"),
    )
    with (out / "report.csv").open() as table:
        (row,) = csv.DictReader(table)
    for measure in found.measures:
        assert float(row[f"{measure.name} ml"]) == pytest.approx(measure.volume_ml, abs=1e-3)
    (written,) = out.glob(f"*{suffix}")
    if suffix == ".nii.gz":
        wanted = np.asarray(nibabel.load(data / "expected" / "regions.nii.gz").dataobj)
        np.testing.assert_array_equal(np.asarray(nibabel.load(written).dataobj), wanted)
        assert "others cover parts of whole, core there" in row["warnings"]
    else:
        assert read_layers(written).channel_count == 3


def sort_by_name(found):
    """Rows of whole, core and active, whatever the order of painting."""
    return sorted(found.measures, key=lambda row: ("whole", "core", "active").index(row.name))


def test_a_residual_encoder_gives_the_labels_that_nnunet_gave(checkout, tmp_path):
    data = checkout / "Testing" / "Data" / "nnunet"
    bundle = import_nnunet(data / "residual", tmp_path / "out", CHOICES).bundle
    assert bundle.manifest.network == "nnunet:ResidualEncoderUNet"
    options = Options(device="cpu", engine="torch", mirror=False)
    found = segment_case([data / "input" / "smaller_0000.nii.gz"], bundle, options)
    wanted = np.asarray(nibabel.load(data / "expected" / "residual.nii.gz").dataobj)
    np.testing.assert_array_equal(found.labels.array[0], wanted)
    assert np.bincount(wanted.ravel()).min() > 300


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("dataset.json", {"labels": REGIONS}, "regions_class_order: expected 3 values from 1, one a region, got None"),
        ("dataset.json", {"labels": REGIONS, "regions_class_order": [1, 1, 2]}, "values that differ"),
        ("dataset.json", {"labels": {"background": 0, "a": 2}}, "without gaps"),
        ("plans.json", {"image_reader_writer": "Tiff3DIO"}, "image_reader_writer: expected one of .*got 'Tiff3DIO'"),
        ("plans.json", {"configurations": {}}, "has no configuration '3d_fullres'"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(old, tmp_path, file, values, words):
    change(old / file, **values)
    with pytest.raises(ManifestError, match=words):
        import_nnunet(old, tmp_path / "out", CHOICES)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"normalization_schemes": ["MyNorm"]}, "normalization_schemes: expected .*got 'MyNorm'"),
        ({"resampling_fn_data": "no_resampling_hack"}, "resampling_fn_data: expected resample_data_or_seg_to_shape"),
        ({"UNet_class_name": "MedNeXt"}, "network_class_name: expected one of PlainConvUNet.*got 'MedNeXt'"),
        ({"preprocessor_name": "Mine"}, "preprocessor_name: expected DefaultPreprocessor, got 'Mine'"),
        ({"inherits_from": "3d_fullres"}, "inherits from itself"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused_with_its_place(old, tmp_path, values, words):
    plans = json.loads((old / "plans.json").read_text())
    plans["configurations"]["3d_fullres"] |= values
    (old / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ManifestError, match=words):
        import_nnunet(old, tmp_path / "out", CHOICES)


def test_a_configuration_inherits_what_it_does_not_say(old, tmp_path):
    plans = json.loads((old / "plans.json").read_text())
    parent = plans["configurations"].pop("3d_fullres")
    plans["configurations"] |= {"base": parent | {"patch_size": [8, 8, 8]}}
    plans["configurations"]["3d_fullres"] = {"inherits_from": "base", "patch_size": parent["patch_size"]}
    (old / "plans.json").write_text(json.dumps(plans))
    manifest = import_nnunet(old, tmp_path / "out", CHOICES).bundle.manifest
    assert list(manifest.window_shape) == parent["patch_size"]


def test_flags_that_say_nothing_about_such_a_model_are_refused(old, tmp_path, capsys):
    assert run(["models", "import", str(old), "-o", str(tmp_path / "out"), "--spacing", "1,1,1"]) == 2
    assert "--spacing says nothing about a model of nnU-Net, whose plans say it" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(["models", "import", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]) == 2
    assert "holds no model that is known" in capsys.readouterr().err
