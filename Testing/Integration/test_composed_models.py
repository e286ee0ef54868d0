"""A model of several stages is one model for everybody; truth is what each stage gives when it runs alone."""

import gc
import json
import shutil
import weakref
from dataclasses import replace

import nibabel
import numpy as np
import pytest

pytest.importorskip("dynamic_network_architectures", reason="needs nnU-Net's networks: pip install medseg[nnunet]")

import medseg
from medseg.bundles.catalogue import Bundle, catalogue
from medseg.bundles.compose import Words, composed_manifest, write_composed
from medseg.bundles.digest import weights_digest
from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.nnunet.import_nnunet import import_nnunet
from medseg.bundles.label_specs import label_specs
from medseg.bundles.metadata import read_manifest
from medseg.bundles.stages import open_stages, weights_files
from medseg.bundles.weights import load_network
from medseg.cli.main import run
from medseg.io.dataset import CaseFiles
from medseg.io.read import read_image
from medseg.jobs.run import asked, loaded_networks
from medseg.jobs.run.results import Outputs
from medseg.jobs.run.segment import forecast_case, segment_case
from medseg.jobs.scoring.validate import validate
from medseg.spec.errors import Cancelled, JobError, ManifestError
from medseg.spec.events import Progress
from medseg.spec.job import Options
from medseg.spec.stages import Composition, FoundBox, StageSpec
from nnunet_layouts import write_layout

TORCH = Options(device="cpu", engine="torch")


@pytest.fixture(scope="module")
def data(checkout):
    """The small model that every clone has, an input and nnU-Net's own segmentation of it."""
    return checkout / "Testing" / "Data" / "nnunet"


@pytest.fixture(scope="module")
def parts(data, tmp_path_factory):
    """Two bundles: the small model, and one with the same body and another head of four classes."""
    folder = tmp_path_factory.mktemp("parts")
    (source,) = (data / "model").glob("*/*")
    other = write_layout(source, folder / "Dataset600_Other", classes=["a", "b", "c", "d"], seed=3)
    return {
        "organs": import_nnunet(source, folder / "organs", Choices(model_id="organs")).bundle,
        "other": import_nnunet(other, folder / "other", Choices(model_id="other")).bundle,
    }


@pytest.fixture
def image(data):
    return read_image(data / "input" / "smaller_0000.nii.gz").image


def compose(folder, parts, stages, names, join="overwrite"):
    """Write a model of these stages, whose folders are those of the parts they name."""
    composition = Composition(stages=tuple(stages), join=join)
    models = {name: part.manifest for name, part in parts.items()}
    words = Words(model_id=folder.name, title="Whole", description="Made of parts.")
    manifest = composed_manifest(words, composition, label_specs(names), models)
    used = {stage.place: parts[stage.place].folder for stage in stages}
    return write_composed(folder, manifest, used, licence_text="none\n")


def labels_of(image, bundle, options=TORCH):
    return segment_case([image], bundle, options).labels.array[0]


MERGED = (
    StageSpec(name="other", answers={"a": 2, "c": 5, "d": 1}),
    StageSpec(name="organs", answers={"bright": 4, "dark": 3}),
)


@pytest.fixture
def merged(parts, tmp_path, monkeypatch):
    """A model that merges both parts, in a catalogue of its own."""
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    bundle = compose(tmp_path / "models" / "merged", parts, MERGED, ["one", "two", "three", "four", "five"])
    names = [label.name for label in parts["organs"].manifest.labels]
    assert names == ["bright", "dark"]
    return bundle


def expected_merge(image, parts):
    first, last = labels_of(image, parts["other"]), labels_of(image, parts["organs"])
    assert set(np.unique(last)) == {0, 1, 2}
    expected = np.array([0, 2, 0, 5, 1])[first]
    return np.where(last > 0, np.array([0, 4, 3])[last], expected)


def test_parts_are_merged_by_the_map_and_the_last_wins(merged, parts, image):
    expected = expected_merge(image, parts)
    assert len(set(np.unique(expected)) - {0, 3, 4}) >= 1  # the first part shows through
    found = segment_case([image], merged, TORCH)
    np.testing.assert_array_equal(found.labels.array[0], expected)
    assert [row.voxels for row in found.measures] == [np.count_nonzero(expected == value) for value in range(1, 6)]
    assert found.window_count > 0
    assert set(found.seconds) >= {"preprocess", "windows", "restore", "postprocess"}
    assert found.engine.count("PyTorch") == 1


def test_it_is_one_model_for_every_door(merged, parts, image, data, tmp_path):
    expected = expected_merge(image, parts)
    assert catalogue()["merged"].manifest == merged.manifest
    assert not {"other", "organs"} & set(catalogue())
    scan, output = data / "input" / "smaller_0000.nii.gz", tmp_path / "labels.nii.gz"
    command = ["segment", str(scan), "--model", "merged", "--device", "cpu", "--engine", "torch"]
    assert run([*command, "--output", str(output)]) == 0
    np.testing.assert_array_equal(np.asarray(nibabel.load(output).dataobj), expected)
    with medseg.Segmenter("merged", device="cpu", engine="torch") as segmenter:
        for _ in range(2):
            np.testing.assert_array_equal(segmenter(scan).labels.array[0], expected)
    cases = tmp_path / "cases"
    cases.mkdir()
    shutil.copy(scan, cases / "case.nii.gz")
    batch = ["batch", str(cases), "--model", "merged", "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert run([*batch, "--engine", "torch", "--suffix", ".nii.gz"]) == 0
    (made,) = (tmp_path / "out").glob("case*.nii.gz")
    np.testing.assert_array_equal(np.asarray(nibabel.load(made).dataobj), expected)
    assert run(["models", "show", "merged"]) == 0
    assert "`other`" in (merged.folder / "docs" / "README.md").read_text()


def test_progress_is_that_of_one_job(merged, image):
    heard = []
    segment_case([image], merged, TORCH, on_event=heard.append)
    windows = [event for event in heard if isinstance(event, Progress) and event.stage == "windows"]
    assert [event.done for event in windows] == sorted(event.done for event in windows)
    assert len({event.total for event in windows}) == 1
    assert windows[-1].done == windows[-1].total
    assert [event.stage for event in heard if isinstance(event, Progress)].count("preprocess") == 2  # begins and ends


def test_a_cancel_in_the_last_stage_leaves_nothing(merged, image, tmp_path):
    heard = []

    def is_late():
        windows = [event for event in heard if isinstance(event, Progress) and event.stage == "windows"]
        return bool(windows) and windows[-1].done > windows[-1].total * 0.6

    output = tmp_path / "labels.nii.gz"
    with pytest.raises(Cancelled):
        segment_case([image], merged, TORCH, outputs=Outputs(labels=output), on_event=heard.append, cancelled=is_late)
    assert not output.exists()


def test_one_network_is_in_memory_at_a_time(merged, image, monkeypatch):
    alive, most = [], []

    def load(bundle):
        gc.collect()
        most.append(sum(network() is not None for network in alive))
        network = load_network(bundle)
        alive.append(weakref.ref(network))
        return network

    monkeypatch.setattr(asked, "load_network", load)
    segment_case([image], merged, TORCH)
    gc.collect()
    assert most == [0, 0]
    assert [network() for network in alive] == [None, None]


def test_the_forecast_sums_windows_and_takes_the_largest_memory(merged, parts, image):
    whole = forecast_case([image], merged, TORCH)
    alone = [forecast_case([image], part, TORCH) for part in parts.values()]
    assert whole.windows == sum(part.windows for part in alone)
    assert whole.memory_mb == max(part.memory_mb for part in alone)


def test_a_region_and_probabilities_are_those_of_the_parts(merged, parts, image):
    options = replace(TORCH, roi_voxels=(3, 20, 2, 18, 1, 12))
    first, last = (segment_case([image], parts[name], options, want_probabilities=True) for name in ("other", "organs"))
    found = segment_case([image], merged, options, want_probabilities=True)
    expected = np.where(
        last.labels.array[0] > 0,
        np.array([0, 4, 3])[last.labels.array[0]],
        np.array([0, 2, 0, 5, 1])[first.labels.array[0]],
    )
    np.testing.assert_array_equal(found.labels.array[0], expected)
    for value, (part, own) in {1: (first, 4), 2: (first, 1), 3: (last, 2), 4: (last, 1), 5: (first, 3)}.items():
        np.testing.assert_array_equal(found.probabilities.array[value], part.probabilities.array[own])


def test_a_rough_stage_finds_where_the_fine_one_looks(parts, image, tmp_path):
    rough = labels_of(image, parts["organs"])
    where = np.argwhere(rough == 1)
    margin = [int(4.0 / mm) for mm in image.spacing]
    low = np.maximum(where.min(axis=0) - margin, 0)
    high = np.minimum(where.max(axis=0) + 1 + margin, image.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    assert np.prod(high - low) < image.array.size
    shift = np.eye(4)
    shift[:3, 3] = low
    cut = medseg.Image(image.array[(slice(None), *box)], image.affine @ shift)
    expected = np.zeros(image.shape, dtype=int)
    expected[box] = labels_of(cut, parts["other"])
    stages = [
        StageSpec(name="organs"),
        StageSpec(
            name="fine",
            folder="other",
            within=FoundBox(stage="organs", labels=("bright",), margin_mm=4.0),
            answers={"a": 1, "b": 2, "c": 3, "d": 4},
        ),
    ]
    bundle = compose(tmp_path / "rough", parts, stages, ["a", "b", "c", "d"])
    np.testing.assert_array_equal(labels_of(image, bundle), expected)
    assert len(weights_files(bundle)) == 2


def test_where_the_rough_stage_finds_nothing_there_is_background_and_a_word(parts, image, data, tmp_path):
    (source,) = (data / "model").glob("*/*")
    silent = write_layout(source, tmp_path / "Dataset600_Silent", share=0.0)  # equal scores: background
    both = parts | {"silent": import_nnunet(silent, tmp_path / "silent", Choices(model_id="silent")).bundle}
    within = FoundBox(stage="silent", labels=("bright",))
    answers = {"a": 1, "b": 2, "c": 3, "d": 4}
    stages = [StageSpec(name="silent"), StageSpec(name="fine", folder="other", within=within, answers=answers)]
    found = segment_case([image], compose(tmp_path / "rough", both, stages, ["a", "b", "c", "d"]), TORCH)
    assert not found.labels.array.any()
    assert any("silent found nothing to look around, so fine was not run" in each for each in found.warnings)


def test_probabilities_are_averaged(parts, image, data, tmp_path):
    (source,) = (data / "model").glob("*/*")
    louder = write_layout(source, tmp_path / "Dataset600_Loud", classes=["bright", "dark"], seed=8)
    both = parts | {"loud": import_nnunet(louder, tmp_path / "loud", Choices(model_id="loud")).bundle}
    values = {"bright": 1, "dark": 2}
    stages = [StageSpec(name="organs", answers=values), StageSpec(name="loud", answers=values)]
    bundle = compose(tmp_path / "mean", both, stages, ["bright", "dark"], join="mean")
    found = segment_case([image], bundle, TORCH, want_probabilities=True)
    one, other = (
        segment_case([image], both[name], TORCH, want_probabilities=True).probabilities.array
        for name in ("organs", "loud")
    )
    mean = (one + other) / 2
    np.testing.assert_allclose(found.probabilities.array, mean, atol=1e-6)
    np.testing.assert_array_equal(found.labels.array[0], mean.argmax(axis=0))
    assert (one.argmax(axis=0) != other.argmax(axis=0)).any()
    assert forecast_case([image], bundle, TORCH).memory_mb >= forecast_case([image], both["loud"], TORCH).memory_mb


def test_installed_models_are_put_together_by_a_recipe(parts, image, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEDSEG_MODELS", str(parts["organs"].folder.parent))
    recipe = {
        "labels": ["one", "two"],
        "stages": [
            {"name": "a", "folder": "organs", "answers": {"bright": 2}},
            {"name": "b", "folder": "second", "within": {"stage": "a"}, "answers": {"d": 1}},
        ],
        "models": {"second": str(parts["other"].folder)},
    }
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    command = ["models", "compose", str(path), "--output", str(tmp_path / "whole")]
    assert run(command) == 0
    manifest = medseg.models()["organs"]
    whole = read_manifest(tmp_path / "whole" / "configs" / "metadata.json")
    assert [label.name for label in whole.labels] == ["one", "two"]
    assert whole.labels[1].type == manifest.labels[0].type
    found = segment_case([image], Bundle(tmp_path / "whole", whole), TORCH).labels.array[0]
    own = labels_of(image, parts["organs"])
    np.testing.assert_array_equal(found == 2, (own == 1) & (found != 1))
    assert set(np.unique(found)) == {0, 1, 2}
    assert run(command) == 2
    assert "exists and is kept" in capsys.readouterr().err
    path.write_text(json.dumps(recipe | {"stages": []}))
    assert run([*command, "--overwrite"]) == 2
    assert "at least one, with names that differ" in " ".join(capsys.readouterr().err.split())
    path.write_text(json.dumps(recipe | {"steps": []}))
    assert run([*command, "--overwrite"]) == 2
    assert "steps: no such field" in capsys.readouterr().err


def test_the_digest_changes_with_every_stage(merged):
    before = weights_digest(merged)
    path = merged.folder / "stages" / "other" / "models" / "model.safetensors"
    path.write_bytes(path.read_bytes()[::-1])
    assert weights_digest(merged) not in (before, None)
    path.unlink()
    assert weights_digest(merged) is None


def test_mirroring_that_no_stage_was_trained_for_is_refused(merged, image):
    with pytest.raises(JobError, match="no stage of this model names axes to mirror"):
        segment_case([image], merged, replace(TORCH, mirror=True))


def test_the_whole_has_no_network_of_its_own(merged):
    with pytest.raises(ManifestError, match=r"made of several models .* take one of stages/other, stages/organs"):
        load_network(merged)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stages": []}, "composition.stages: expected at least one"),
        ({"join": "median"}, "composition.join: expected one of overwrite, mean"),
        ({"stages": [{"name": "organs", "answers": {"bright": 1}}]}, r"answers that are the values \[1, 2, 3, 4, 5\]"),
        ({"stages": [{"name": "../organs", "answers": {}}]}, "letters, digits, dots, dashes and underscores"),
    ],
)
def test_a_composition_that_means_nothing_is_refused_with_its_place(merged, change, words):
    path = merged.folder / "configs" / "metadata.json"
    document = json.loads(path.read_text())
    document["medseg"]["composition"] |= change
    path.write_text(json.dumps(document))
    assert "merged" not in catalogue()
    assert run(["segment", "x.nii.gz", "--model", "merged", "--output", "y.nii.gz"]) == 2
    with pytest.raises(ManifestError, match=words):
        medseg.Segmenter("merged")


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([StageSpec(name="organs", answers={"liver": 1})], r"answers out of its labels bright, dark, got \['liver'\]"),
        (
            [
                StageSpec(name="organs"),
                StageSpec(name="other", within=FoundBox(stage="organs", labels=("liver",)), answers={"a": 1}),
            ],
            "within: expected labels of organs: bright, dark",
        ),
        (
            [StageSpec(name="organs"), StageSpec(name="other", previous="organs", answers={"a": 1})],
            r"a network that is shown 2 label\(s\) of an earlier stage, got 0",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused_before_anything_is_written(parts, tmp_path, stages, words):
    with pytest.raises(ManifestError, match=words):
        compose(tmp_path / "whole", parts, stages, ["one"])
    assert not (tmp_path / "whole").exists()


def test_a_stage_cannot_build_on_a_later_one():
    later = StageSpec(name="a", within=FoundBox(stage="b"), answers={"x": 1})
    with pytest.raises(ManifestError, match="a stage before 'a', of none, got 'b'"):
        Composition(stages=(later, StageSpec(name="b")))


def test_a_stage_that_is_missing_is_named(merged, image):
    shutil.rmtree(merged.folder / "stages" / "organs")
    with pytest.raises(ManifestError, match=r"organs.*cannot be read"):
        open_stages(merged)
    with pytest.raises(ManifestError, match=r"organs.*cannot be read"):
        segment_case([image], merged, TORCH)


def test_validation_reads_the_weights_of_each_stage_once(merged, data, tmp_path, monkeypatch):
    loads = []
    load = loaded_networks.load_network

    def counted(bundle):
        loads.append(bundle.folder.name)
        return load(bundle)

    monkeypatch.setattr(loaded_networks, "load_network", counted)
    picture = nibabel.load(data / "input" / "smaller_0000.nii.gz")
    files = []
    for number in range(2):
        paths = [tmp_path / f"{kind}{number}.nii.gz" for kind in ("image", "labels")]
        nibabel.save(picture, paths[0])
        nibabel.save(nibabel.Nifti1Image(np.ones(picture.shape, np.uint8), picture.affine), paths[1])
        files.append(CaseFiles(f"c{number}", *paths))
    result = validate(merged, files, TORCH)
    assert sorted(loads) == ["organs", "other"]
    assert len(result.plain.rows) == 2 * len(merged.manifest.labels)
