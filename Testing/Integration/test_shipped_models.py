"""The models this repository ships do what their cards say, on a brain none of them has seen and on real cases."""

from functools import cache

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.bundles.catalogue import built_in_folder, scan
from medseg.cli.main import app
from medseg.imaging.image import Image
from medseg.io.dataset import choose_cases, read_dataset, read_fold
from medseg.io.read import read_image, read_labels
from medseg.jobs.run.segment import segment_case
from medseg.jobs.scoring.validate import exchange_sides, validate
from medseg.spec.events import Event, Finished
from monai_child import run_monai

__all__ = ["run_monai"]  # a fixture

SHIPPED = scan([built_in_folder()])
BARS = {"hippocampus-ultralight3d": 0.889, "hippocampus-emf3d": 0.884, "hippocampus-dlka3d": 0.881}  # mean Dice
HIPPOCAMPUS = tuple(BARS)
DEEP = "brain-deep-any-contrast"


@pytest.fixture(scope="module", params=HIPPOCAMPUS)
def hippocampus(request):
    """A shipped model of the hippocampus."""
    return SHIPPED.bundles[request.param]


@pytest.fixture(scope="module")
def segmented(hippocampus, checkout):
    """By the side the image of the sample and its labels, made once for every test of a model."""

    @cache
    def side_of(side):
        image = read_image(checkout / "Resources" / "SampleData" / f"colin27_{side}_t1.nii.gz").image
        return image, segment_case([image], hippocampus).labels

    return side_of


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def test_no_shipped_bundle_is_broken():
    assert SHIPPED.broken == ()
    assert {*HIPPOCAMPUS, DEEP, "cxr-lungs"} == set(SHIPPED.bundles)


@pytest.mark.parametrize("bundle", SHIPPED.bundles.values(), ids=list(SHIPPED.bundles))
def test_shipped_weights_are_small_and_the_folder_is_complete(bundle):
    assert bundle.weights_path.stat().st_size < 8e6
    for name in ("configs/inference.json", "docs/README.md", "LICENSE"):
        assert (bundle.folder / name).stat().st_size > 100


@pytest.mark.parametrize("bundle", SHIPPED.bundles.values(), ids=list(SHIPPED.bundles))
def test_the_card_of_a_shipped_model_holds_the_scores_of_its_metadata(bundle):
    card = (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert bundle.manifest.scores
    for scores in bundle.manifest.scores:
        for table in filter(None, (scores.plain, scores.mirrored)):
            assert f"{table.mean_dice.mean:.4g}" in card


def test_the_hippocampus_model_keeps_its_bars_on_both_sides(hippocampus):
    (scores,) = hippocampus.manifest.scores
    for table in (scores.plain, scores.mirrored):
        assert table.mean_dice.mean >= BARS[hippocampus.manifest.model_id]
        assert table.mean_hd95_mm < 1.6


@pytest.mark.parametrize("side", ["left", "right"])
def test_both_hippocampi_of_an_unseen_brain_are_found(segmented, checkout, side):
    labels = segmented(side)[1].array[0]
    folder = checkout / "Resources" / "SampleData"
    atlas = read_labels(folder / f"colin27_{side}_aal_hippocampus.nii.gz").array[0] > 0
    assert dice(labels > 0, atlas) > 0.5  # another definition of the hippocampus: plausible, not exact
    anterior, posterior = (np.argwhere(labels == value).mean(axis=0) for value in (1, 2))
    assert anterior[1] > posterior[1] + 10  # j grows to the front in these files; both parts are about 20 mm long


def test_left_and_right_are_treated_alike(hippocampus, segmented):
    image, plain = segmented("left")
    mirrored = exchange_sides(segment_case([exchange_sides(image)], hippocampus).labels)
    assert dice(plain.array > 0, mirrored.array > 0) > 0.98


def test_the_way_a_volume_is_stored_does_not_change_its_segments(hippocampus, segmented):
    image, plain = segmented("right")
    turned = Image(np.ascontiguousarray(image.array.transpose(0, 3, 1, 2)), image.affine[:, [2, 0, 1, 3]])
    again = segment_case([turned], hippocampus).labels.array
    np.testing.assert_array_equal(again.transpose(0, 2, 3, 1), plain.array)


def test_it_finds_the_hippocampus_in_cases_of_its_validation_fold(hippocampus, shared):
    folder = shared / "data" / "hippocampus"
    _, names = read_fold(folder / "splits_final.json", 0)
    validation = validate(hippocampus, choose_cases(read_dataset(folder), names[::11]))
    (claimed,) = hippocampus.manifest.scores
    for evaluation, table in ((validation.plain, claimed.plain), (validation.mirrored, claimed.mirrored)):
        assert evaluation.mean_dice() == pytest.approx(table.mean_dice.mean, abs=0.04)


def test_monai_runs_the_shipped_bundle_and_agrees(hippocampus, segmented, run_monai, checkout, tmp_path):
    scans, results = tmp_path / "in", tmp_path / "out"
    scans.mkdir()
    source = checkout / "Resources" / "SampleData" / "colin27_left_t1.nii.gz"
    (scans / "case.nii.gz").write_bytes(source.read_bytes())
    run_monai(hippocampus, scans, results)
    theirs = read_labels(results / "case_seg.nii.gz").array[0]
    ours = segmented("left")[1].array[0]
    assert dice(theirs > 0, ours > 0) > 0.98


@pytest.mark.parametrize("model", HIPPOCAMPUS)
def test_models_lists_and_shows_what_is_shipped(model):
    listed = CliRunner().invoke(app, ["models"])
    assert model in listed.output
    shown = CliRunner().invoke(app, ["models", "show", model])
    assert shown.exit_code == 0
    for words in ("anterior hippocampus", "5366008", "CC-BY-SA", "Dice"):
        assert words in shown.output


def test_a_whole_head_gives_both_sides_on_its_own_grid(checkout):
    """The template itself, stored in another orientation: at 2 mm, so little is asked of the outlines."""
    bundle = SHIPPED.bundles["hippocampus-ultralight3d"]
    head = read_image(checkout / "Models" / "templates" / "colin27" / "t1.nii.gz").image
    turned = Image(head.array[:, ::-1].transpose(0, 2, 3, 1), (head.affine @ TURNED)[:, [1, 2, 0, 3]])
    events: list[Event] = []
    found = segment_case([turned], bundle, on_event=events.append)
    assert [spec.name for spec in found.specs] == [label.name for label in bundle.manifest.located_labels]
    assert found.labels.shape == turned.shape
    sides = {"left": (1, 2), "right": (3, 4)}
    for side, values in sides.items():
        atlas = read_labels(checkout / "Resources" / "SampleData" / f"colin27_{side}_aal_hippocampus.nii.gz")
        centres = [centre(np.isin(each.array[0], v), each.affine) for each, v in ((found.labels, values), (atlas, 1))]
        assert np.linalg.norm(centres[0] - centres[1]) < 8  # the atlas is drawn larger, and 1.5 mm higher
        assert 1.5 < sum(row.volume_ml for row in found.measures if row.value in values) < 6
    codes = {spec.region_modifier.meaning for spec in found.specs}
    assert codes == {"Left", "Right"}
    (finished,) = (event for event in events if isinstance(event, Finished))
    middles = {box.name: box.centre_mm[0] for box in finished.boxes}
    assert middles["left hippocampus"] < -15 < 15 < middles["right hippocampus"]


def test_the_deep_brain_is_found_in_any_contrast_of_one_head(checkout):
    """The template as it is, with its brightness turned round and bent: structures stay where they are."""
    bundle = SHIPPED.bundles[DEEP]
    head = read_image(checkout / "Models" / "templates" / "colin27" / "t1.nii.gz").image
    brightest = float(head.array.max())
    values = head.array.astype(np.float32) / brightest
    inverted = Image(np.where(values > 0.05, 1.05 - values, 0.0).astype(np.float32), head.affine)
    found = {name: segment_case([image], bundle) for name, image in (("T1", head), ("inverted", inverted))}
    for side in ("left", "right"):
        atlas = read_labels(checkout / "Resources" / "SampleData" / f"colin27_{side}_aal_hippocampus.nii.gz")
        known = centre(atlas.array[0] == 1, atlas.affine)
        for result in found.values():
            value = next(spec.value for spec in result.specs if spec.name == f"{side} hippocampus")
            own = centre(result.labels.array[0] == value, result.labels.affine)
            assert np.linalg.norm(own - known) < 8
    assert {spec.name for spec in found["T1"].specs} == {label.name for label in bundle.manifest.labels}
    assert "cerebral cortex" not in {label.name for label in bundle.manifest.labels}  # it only helped in training
    for row in found["T1"].measures:
        assert row.volume_ml > 0.1, row.name


TURNED = np.array([[-1.0, 0, 0, 90], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # 91 voxels along i run backwards


def centre(mask, affine):
    return (np.array([*np.argwhere(mask).mean(axis=0), 1.0]) @ affine.T)[:3]
