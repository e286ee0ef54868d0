"""TotalSegmentator's layout becomes one model; what it finds is what each of its models finds, under its class map."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("dynamic_network_architectures", reason="needs nnU-Net's networks: pip install medseg[nnunet]")

from medseg.bundles.catalogue import find_bundle
from medseg.bundles.importing.choices import Choices
from medseg.bundles.importing.nnunet.import_nnunet import import_nnunet
from medseg.bundles.importing.nnunet.totalsegmentator.labels import describe
from medseg.bundles.importing.nnunet.totalsegmentator.tasks import all_tasks
from medseg.bundles.stages import open_stages
from medseg.cli.main import run
from medseg.io.read import read_image
from medseg.jobs.run.segment import segment_case
from medseg.spec.errors import ManifestError
from medseg.spec.job import Options
from nnunet_layouts import write_layout

TORCH = Options(device="cpu", engine="torch")
NAMES = {
    291: "Dataset291_TotalSegmentator_part1_organs_1559subj",
    292: "Dataset292_TotalSegmentator_part2_vertebrae_1532subj",
    293: "Dataset293_TotalSegmentator_part3_cardiac_1559subj",
    294: "Dataset294_TotalSegmentator_part4_muscles_1559subj",
    295: "Dataset295_TotalSegmentator_part5_ribs_1559subj",
}
FAST, FASTEST = "Dataset297_TotalSegmentator_total_3mm_1559subj_v204", "Dataset298_TotalSegmentator_total_6mm_1559subj"


@pytest.fixture(scope="module")
def small(checkout):
    """The folder of the small model that every clone has."""
    (source,) = (checkout / "Testing" / "Data" / "nnunet" / "model").glob("*/*")
    return source


@pytest.fixture(scope="module")
def image(checkout):
    return read_image(checkout / "Testing" / "Data" / "nnunet" / "input" / "smaller_0000.nii.gz").image


@pytest.fixture(scope="module")
def weights(small, tmp_path_factory):
    """The five models of the whole body, in TotalSegmentator's layout: 117 classes, of weights without a meaning."""
    folder = tmp_path_factory.mktemp("results")
    for number, name in NAMES.items():
        (part,) = (part for part in all_tasks()["total"].parts if part.dataset == number)
        write_layout(small, folder / name, classes=part.classes, seed=number)
    return folder


@pytest.fixture(scope="module")
def imported(weights, tmp_path_factory):
    output = tmp_path_factory.mktemp("models") / "total"
    return import_nnunet(weights, output, Choices(model_id="total")).bundle


def test_the_whole_body_is_what_its_five_models_find(imported, image):
    value_of = {label.name: label.value for label in imported.manifest.labels}
    assert len(value_of) == 117
    expected = np.zeros(image.shape, dtype=int)
    seen = []
    for stage in open_stages(imported):
        own = segment_case([image], stage.bundle, TORCH).labels.array[0]
        table = np.array([0, *(value_of[label.name] for label in stage.bundle.manifest.labels)])
        expected[own > 0] = table[own][own > 0]
        seen.append(np.count_nonzero(own))
    found = segment_case([image], imported, TORCH)
    np.testing.assert_array_equal(found.labels.array[0], expected)
    assert min(seen) > 0
    assert len(set(np.unique(expected)) - {0}) > 10


def test_values_names_codes_and_colours_are_those_that_it_publishes(imported):
    labels = {label.value: label for label in imported.manifest.labels}
    known = {  # value: name, type, modifier, colour; of class_details and of the table of SNOMED codes
        1: ("spleen", "78961009", None, (50, 170, 60)),
        3: ("kidney_left", "64033007", "7771000", (46, 138, 184)),
        13: ("lung_middle_lobe_right", "72481006", None, (63, 181, 190)),
        26: ("vertebrae_S1", "65985001", None, (205, 180, 145)),
        50: ("vertebrae_C1", "14806007", None, (242, 217, 182)),
        52: ("aorta", "15825003", None, (216, 108, 54)),
        89: ("iliopsoas_right", "68455001", "24028007", (170, 85, 34)),
        92: ("rib_left_1", "48535007", "7771000", (214, 54, 216)),
        117: ("costal_cartilages", "50016007", None, (250, 220, 190)),
    }
    for value, (name, code, side, colour) in known.items():
        label = labels[value]
        modifier = None if label.type_modifier is None else label.type_modifier.value
        assert (label.name, label.type.value, modifier, label.color) == (name, code, side, colour)
    cyst = labels[23]
    assert (cyst.type.meaning, cyst.region.meaning, cyst.region_modifier.meaning) == ("Cyst", "Kidney", "Left")
    assert cyst.category.value == "49755003"


def test_every_class_of_the_whole_body_has_a_code_of_its_own():
    for name in ("total", "total_mr", "total_v3"):
        labels = describe(all_tasks()[name].classes)
        assert all(label.type.meaning != "Tissue" for label in labels)
        concepts = [(each.type, each.type_modifier, each.region, each.region_modifier) for each in labels]
        assert len(set(concepts)) == len(labels)
    counts = {name: len(task.classes) for name, task in all_tasks().items() if name.startswith("total")}
    assert set(counts.values()) == {117, 50}
    assert all(
        counts[f"{name}{size}"] == counts[name] for name in ("total", "total_mr") for size in ("_fast", "_fastest")
    )


def test_it_is_run_as_there_without_mirrors_in_ras_with_wider_steps(imported):
    stages = open_stages(imported)
    assert [stage.spec.name for stage in stages] == ["291", "292", "293", "294", "295"]
    for stage in stages:
        manifest = stage.bundle.manifest
        assert (manifest.overlap, manifest.mirror_axes, manifest.nnunet.reorients) == (0.2, (), True)
        assert [channel.modality for channel in manifest.channels] == ["CT"]


def test_one_command_imports_it_from_an_archive_and_another_segments(weights, checkout, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    archive = shutil.make_archive(str(tmp_path / "weights"), "zip", weights)
    assert run(["models", "import", archive, "-o", str(tmp_path / "models" / "total")]) == 0
    assert "117 segments of the stages 291, 292, 293, 294, 295" in " ".join(capsys.readouterr().out.split())
    scan = checkout / "Testing" / "Data" / "nnunet" / "input" / "smaller_0000.nii.gz"
    output = tmp_path / "labels.seg.nrrd"
    command = ["segment", str(scan), "--model", "total", "--output", str(output), "--device", "cpu"]
    assert run([*command, "--engine", "torch"]) == 0
    assert output.is_file()
    assert find_bundle("total").manifest.title == "TotalSegmentator"


def test_a_part_that_is_missing_is_named(weights, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(weights, folder)
    shutil.rmtree(folder / NAMES[293])
    with pytest.raises(ManifestError, match=r"the task total .* has the data sets 291, .*, and 293 are not there"):
        import_nnunet(folder, tmp_path / "out", Choices(model_id="total"))
    assert not (tmp_path / "out").exists()


def test_another_number_of_classes_is_refused(small, tmp_path):
    write_layout(small, tmp_path / "results" / FAST)
    with pytest.raises(ManifestError, match="has 2 classes, and TotalSegmentator's data set 297 has 117"):
        import_nnunet(tmp_path / "results", tmp_path / "out", Choices(model_id="total"))


def test_the_variants_of_3_and_6_mm_are_chosen_by_name(small, image, tmp_path):
    classes = all_tasks()["total"].classes
    write_layout(small, tmp_path / "results" / FAST, classes=classes, seed=1)
    write_layout(small, tmp_path / "results" / FASTEST, classes=classes, seed=2)
    with pytest.raises(ManifestError, match=r"several tasks of TotalSegmentator: total_fast, total_fastest; .*--task"):
        import_nnunet(tmp_path / "results", tmp_path / "out", Choices(model_id="total"))
    with pytest.raises(ManifestError, match=r"--task is one of total, .*got 'liver'"):
        import_nnunet(tmp_path / "results", tmp_path / "out", Choices(model_id="total"), task="liver")
    bundle = import_nnunet(tmp_path / "results", tmp_path / "out", Choices(model_id="fast"), task="total_fast").bundle
    (stage,) = open_stages(bundle)
    own = segment_case([image], stage.bundle, TORCH).labels.array
    np.testing.assert_array_equal(segment_case([image], bundle, TORCH).labels.array, own)
    assert own.any()


def test_a_task_around_what_the_rough_model_found(small, image, tmp_path):
    results = tmp_path / "results"
    classes = all_tasks()["total"].classes
    write_layout(small, results / FASTEST, classes=classes, seed=2)
    write_layout(small, results / "Dataset260_hip_implant_71subj", classes=["hip_implant"], seed=3)
    bundle = import_nnunet(results, tmp_path / "out", Choices(model_id="hip"), task="hip_implant").bundle
    rough, fine = open_stages(bundle)
    assert rough.spec.answers == {}
    assert (fine.spec.within.stage, fine.spec.within.margin_mm) == ("298", 20.0)
    assert fine.spec.within.labels == ("femur_left", "femur_right", "hip_left", "hip_right")
    assert [(label.name, label.category.meaning) for label in bundle.manifest.labels] == [
        ("hip_implant", "Physical object")
    ]
    found = segment_case([image], bundle, TORCH)
    organs = segment_case([image], rough.bundle, TORCH).labels.array[0]
    names = {label.name: label.value for label in rough.bundle.manifest.labels}
    where = np.argwhere(np.isin(organs, [names[name] for name in fine.spec.within.labels]))
    assert len(where)
    margin = [int(20.0 / mm) for mm in image.spacing]
    low = np.maximum(where.min(axis=0) - margin, 0)
    high = np.minimum(where.max(axis=0) + 1 + margin, image.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    region = tuple(bound for part in box for bound in (part.start, part.stop))
    alone = segment_case([image], fine.bundle, Options(device="cpu", engine="torch", roi_voxels=region))
    expected = np.zeros(image.shape, dtype=int)
    expected[box] = alone.labels.array[0][box]
    assert expected.any()
    np.testing.assert_array_equal(found.labels.array[0], expected)


def test_a_class_that_does_not_count_is_left_out(small, image, tmp_path):
    results = tmp_path / "results"
    write_layout(small, results / FASTEST, classes=all_tasks()["total"].classes, seed=2)
    write_layout(small, results / "Dataset315_thoraxCT", classes=["lung", "effusion", "heart"], seed=3)
    bundle = import_nnunet(results, tmp_path / "out", Choices(model_id="e"), task="pleural_pericard_effusion").bundle
    assert [label.name for label in bundle.manifest.labels] == ["pleural_effusion", "pericardial_effusion"]
    assert open_stages(bundle)[1].spec.answers == {"pleural_effusion": 1, "pericardial_effusion": 2}
    assert set(np.unique(segment_case([image], bundle, TORCH).labels.array)) <= {0, 1, 2}


def test_a_data_set_of_ones_own_with_such_a_number_stays_what_it_is(small, tmp_path):
    write_layout(small, tmp_path / "Dataset297_Mine")
    manifest = import_nnunet(tmp_path / "Dataset297_Mine", tmp_path / "out", Choices(model_id="mine")).bundle.manifest
    assert manifest.composition is None
    assert [label.name for label in manifest.labels] == ["bright", "dark"]
    names = json.loads((tmp_path / "out" / "configs" / "metadata.json").read_text())["medseg"]
    assert "composition" not in names
