"""``medseg train --dry-run``, ``segment`` and ``batch`` on data sets as people have them, through the real command."""

import csv
import json

import nibabel
import numpy as np
import pytest

pytest.importorskip("lightning_fabric", reason="planning a training needs it")

from medseg.cli.main import run
from medseg.io.read import read_labels
from medseg.training.planning.plan import read_plan
from written_segments import AFFINE, two_balls, write_segments

CASES = 3
QUICK = ["--set", "model.arguments.widths=T", "--steps", "1", "--workers", "0", "--device", "cpu"]
NEW = {"background": 0, "large": 1, "small": 2}
OLD = {"0": "background", "1": "large", "2": "small"}


def put(array, path, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def files(folder, *, image="imagesTr/{}_0000.nii.gz", second=None, labels="labelsTr/{}.nii.gz", count=CASES):
    """Images and labels of a few cases; {} is the name of the case."""
    for number in range(count):
        picture, truth = two_balls(number)
        put(picture, folder / image.format(f"c{number}"))
        if second is not None:
            put(picture // 2, folder / second.format(f"c{number}"))
        put(truth, folder / labels.format(f"c{number}"))


def describe(folder, encoding="utf-8", **document):
    (folder / "dataset.json").write_text(json.dumps(document), encoding=encoding)


def listed(image="./imagesTr/{}.nii.gz"):
    names = [f"c{number}" for number in range(CASES)]
    return [{"image": image.format(name), "label": f"./labelsTr/{name}.nii.gz"} for name in names]


def dry_run(folder, output, *more):
    assert run(["train", str(folder), "-o", str(output), "--dry-run", *QUICK, *map(str, more)]) == 0
    return read_plan(output.with_name(f"{output.name}-training") / "plan.json").model


def refused(capsys, folder, output):
    assert run(["train", str(folder), "-o", str(output), "--dry-run", *QUICK]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    return line


def test_volumes_of_a_file_are_the_channels_of_a_decathlon_case(tmp_path):
    for number in range(CASES):
        picture, truth = two_balls(number)
        put(np.stack([picture, picture // 2], axis=-1), tmp_path / f"imagesTr/c{number}.nii.gz")
        put(truth, tmp_path / f"labelsTr/c{number}.nii.gz")
    describe(tmp_path, modality={"0": "T1", "1": "T2"}, labels=OLD, training=listed(), test=[])
    model = dry_run(tmp_path, tmp_path / "model")
    assert [channel.name for channel in model.channels] == ["T1", "T2"]
    assert [label.name for label in model.labels] == ["large", "small"]


def test_a_file_of_two_volumes_is_no_case_of_one_channel(tmp_path, capsys):
    files(tmp_path, image="imagesTr/{}.nii.gz")
    picture, _ = two_balls()
    put(np.stack([picture, picture], axis=-1), tmp_path / "imagesTr/c0.nii.gz")
    describe(tmp_path, modality={"0": "T1"}, labels=OLD, training=listed())
    dry_run(tmp_path, tmp_path / "model")
    assert "left out: c0: " in (said := capsys.readouterr().err)
    assert "c0.nii.gz has 2 channel(s), the data set 1" in said


def test_segment_and_batch_take_the_volumes_of_a_file_for_the_channels_of_the_model(tmp_path):
    random = np.random.default_rng(0)
    volumes = random.normal(100, 30, (20, 18, 16, 2)).astype(np.float32)
    put(volumes, tmp_path / "scans" / "both.nii.gz")
    for number in range(2):
        put(volumes[..., number], tmp_path / f"{number}.nii.gz")
    model = ["--model", "tiny-two-channels", "--device", "cpu", "--output"]
    apart = [str(tmp_path / f"{number}.nii.gz") for number in range(2)]
    assert run(["segment", *apart, *model, str(tmp_path / "apart.nii.gz")]) == 0
    assert run(["segment", str(tmp_path / "scans" / "both.nii.gz"), *model, str(tmp_path / "whole.nii.gz")]) == 0
    assert run(["batch", str(tmp_path / "scans"), *model, str(tmp_path / "out"), "--suffix", ".nii.gz"]) == 0
    wanted = read_labels(tmp_path / "apart.nii.gz").array
    for found in ("whole.nii.gz", "out/both.nii.gz"):
        np.testing.assert_array_equal(read_labels(tmp_path / found).array, wanted)


def test_three_volumes_for_two_channels_still_ask_for_one(tmp_path, capsys):
    put(np.zeros((8, 8, 8, 3), np.float32), tmp_path / "a.nii.gz")
    command = ["segment", str(tmp_path / "a.nii.gz"), "-m", "tiny-two-channels", "-o", str(tmp_path / "o.nii.gz")]
    assert run(command) == 2
    assert "one volume is expected, got 3" in capsys.readouterr().err


def test_nnunet_raw_of_both_versions_with_and_without_a_list_is_one_data_set(tmp_path):
    for number, document in enumerate(
        (
            {"modality": {"0": "T1", "1": "T2"}, "labels": OLD, "training": listed()},
            {"modality": {"0": "T1", "1": "T2"}, "labels": OLD},
            {"channel_names": {"0": "T1", "1": "T2"}, "labels": NEW, "training": listed()},
            {"channel_names": {"0": "T1", "1": "T2"}, "labels": NEW, "training": [], "file_ending": ".nii.gz"},
            {"channel_names": {"0": "T1", "1": "T2"}, "labels": NEW, "training": listed("./imagesTr/{}_0000.nii.gz")},
            {
                "channel_names": {"0": "T1", "1": "T2"},
                "labels": NEW,
                "dataset": {
                    f"c{n}": {
                        "images": [f"imagesTr/c{n}_0000.nii.gz", f"imagesTr/c{n}_0001.nii.gz"],
                        "label": f"labelsTr/c{n}.nii.gz",
                    }
                    for n in range(CASES)
                },
            },
        )
    ):
        folder = tmp_path / str(number)
        files(folder, second="imagesTr/{}_0001.nii.gz")
        describe(folder, "utf-8-sig", **document)
        model = dry_run(folder, folder / "model")
        assert [label.name for label in model.labels] == ["large", "small"], document
        assert [channel.name for channel in model.channels] == ["T1", "T2"], document
        assert "3 cases" in model.training_data, document


def test_regions_are_refused_in_a_sentence_that_says_what_to_write(tmp_path, capsys):
    files(tmp_path)
    describe(tmp_path, channel_names={"0": "T1"}, labels={"background": 0, "whole": [1, 2], "core": [2]})
    line = refused(capsys, tmp_path, tmp_path / "model")
    assert "label 'whole' is the region [1, 2], and regions of several values are not trained here" in line
    assert '"labels": {"background": 0, "part 1": 1, "part 2": 2}' in line
    assert "Decathlon" not in line


def test_voxels_to_ignore_are_no_label_and_that_is_said(tmp_path, capsys):
    files(tmp_path)
    describe(tmp_path, channel_names={"0": "T1"}, labels={"background": 0, "large": 1, "ignore": 2})
    model = dry_run(tmp_path, tmp_path / "model")
    assert [label.name for label in model.labels] == ["large"]
    assert "voxels of the value 2 ('ignore') are left out" in capsys.readouterr().err
    describe(tmp_path, channel_names={"0": "T1"}, labels={"background": 0, "ignore": 1, "small": 2})
    line = refused(capsys, tmp_path, tmp_path / "other")
    assert "'ignore' has the highest value of all labels, got 1 of 2" in line


def test_grids_that_differ_by_rounding_are_one(tmp_path, capsys):
    files(tmp_path)
    _, truth = two_balls(0)
    for shift, words in ((0.02, ""), (0.5, "left out: c0: ")):
        moved = AFFINE.copy()
        moved[:3, 3] += shift
        put(truth, tmp_path / "labelsTr/c0.nii.gz", moved)
        describe(tmp_path, channel_names={"0": "T1"}, labels=NEW)
        dry_run(tmp_path, tmp_path / f"model-{shift}")
        said = capsys.readouterr().err
        assert said.startswith(words) if words else said == ""


def test_what_reading_a_case_noticed_is_said_with_its_name(tmp_path, capsys):
    files(tmp_path, image="images/{}.nii.gz", labels="labels/{}.nii.gz")
    picture, _ = two_balls(1)
    broken = picture.astype(np.float32)
    broken[:2, 0, 0] = np.nan
    put(broken, tmp_path / "images" / "c1.nii.gz")
    put(picture * 0 + 7, tmp_path / "images" / "c2.nii.gz")
    dry_run(tmp_path, tmp_path / "model")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("c1: ")
    assert "2 NaN and 0 infinite voxels were replaced" in first
    assert second.startswith("c2: ")
    assert "every voxel is 7" in second


def test_segments_are_learned_by_name_whatever_their_numbers_are(tmp_path):
    """Every other case has them the other way round: the sizes of the two balls say which is which."""
    for number in range(CASES):
        picture, truth = two_balls(number)
        put(picture, tmp_path / f"images/c{number}.nii.gz")
        order = ["large", "small"] if number % 2 == 0 else ["small", "large"]
        values = np.array([0, order.index("large") + 1, order.index("small") + 1], np.uint8)
        segments = [(name, value, 0) for value, name in enumerate(order, start=1)]
        write_segments(tmp_path / f"labels/c{number}.seg.nrrd", values[truth], segments)
    model = dry_run(tmp_path, tmp_path / "model")
    assert [(label.value, label.name) for label in model.labels] == [(1, "large"), (2, "small")]
    from medseg.io.dataset import describe_dataset, read_case

    for name, case in describe_dataset(tmp_path).cases.items():
        np.testing.assert_array_equal(read_case(case)[1].array[0], two_balls(int(name[1:]))[1])


def test_a_segment_that_the_data_set_does_not_name_leaves_its_case_out_and_a_lacking_one_is_said(tmp_path, capsys):
    files(tmp_path, image="imagesTr/{}.nii.gz")
    _, truth = two_balls(0)
    (tmp_path / "labelsTr/c0.nii.gz").unlink()
    (tmp_path / "labelsTr/c1.nii.gz").unlink()
    write_segments(tmp_path / "labelsTr/c0.seg.nrrd", truth, [("large", 1, 0), ("tumour", 2, 0)])
    write_segments(tmp_path / "labelsTr/c1.seg.nrrd", (truth == 1).astype(np.uint8), [("large", 1, 0)])
    entries = listed()
    for number in (0, 1):
        entries[number]["label"] = f"./labelsTr/c{number}.seg.nrrd"
    describe(tmp_path, modality={"0": "T1"}, labels=OLD, training=entries)
    dry_run(tmp_path, tmp_path / "model")
    left_out, lacking, few = capsys.readouterr().err.splitlines()
    assert "left out: c0: " in left_out
    assert "holds 'tumour', and the data set has 1 large, 2 small" in left_out
    assert lacking.startswith("c1: ")
    assert "c1.seg.nrrd has no segment small" in lacking
    assert few.startswith("only the case ")


def test_files_that_name_their_segments_and_files_that_do_not_are_no_data_set(tmp_path, capsys):
    files(tmp_path, image="images/{}.nii.gz", labels="labels/{}.nii.gz")
    (tmp_path / "labels/c0.nii.gz").unlink()
    write_segments(tmp_path / "labels/c0.seg.nrrd", two_balls(0)[1], [("large", 1, 0), ("small", 2, 0)])
    line = refused(capsys, tmp_path, tmp_path / "model")
    assert "c0.seg.nrrd names its segments (1 large, 2 small)" in line
    assert "c1.nii.gz does not" in line


def test_two_files_of_one_name_are_refused(tmp_path, capsys):
    files(tmp_path, image="images/{}.nii.gz", labels="labels/{}.nii.gz")
    write_segments(tmp_path / "labels/c0.nrrd", two_balls(0)[1], [])
    assert "c0.nii.gz and c0.nrrd are both called 'c0'" in refused(capsys, tmp_path, tmp_path / "model")


def test_a_training_on_one_case_is_warned_of(tmp_path, capsys):
    files(tmp_path, image="images/{}.nii.gz", labels="labels/{}.nii.gz", count=1)
    dry_run(tmp_path, tmp_path / "model")
    assert "only the case c0 trains, and none is held out" in capsys.readouterr().err


def test_a_list_of_a_batch_may_begin_with_a_byte_order_mark(tmp_path, scan_file):
    (tmp_path / "list.csv").write_text(f"case,image\na,{scan_file.name}\n", encoding="utf-8-sig")
    assert run(["batch", str(tmp_path / "list.csv"), "-m", "tiny", "-o", str(tmp_path / "out"), "--device", "cpu"]) == 0
    with (tmp_path / "out" / "report.csv").open(encoding="utf-8") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"]
