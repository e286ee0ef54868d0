"""What a stroke is for: it repairs what it touches, at a price that does not depend on the size of the volume."""

import tracemalloc

import numpy as np
import pytest

from medseg.imaging.correction.answer import read_answer, shipped_answer
from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid
from medseg.imaging.correction.rule import Rule, share
from medseg.spec.stroke import Stroke

SIZE = 36


@pytest.fixture
def bitten():
    """A bright ball, and its segment from which a bite of 5 mm is missing."""
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), axis=-1)
    ball = np.linalg.norm(grid - SIZE / 2, axis=-1) < 11
    image = ball * 3 + np.random.default_rng(0).normal(0, 0.3, ball.shape)
    bite = ball & (np.linalg.norm(grid - (26, 18, 18), axis=-1) < 5)
    return image.astype(np.float32), ball, ball & ~bite


def from_mask(mask, sure=0.9):
    probabilities = np.stack([np.where(mask, 1 - sure, sure), np.where(mask, sure, 1 - sure)])
    return probabilities.astype(np.float32)


@pytest.mark.parametrize("soft", [False, True])
def test_one_stroke_into_a_bite_brings_most_of_it_back(bitten, soft):
    image, ball, start = bitten
    labels = start.astype(np.uint8)
    grid = Grid(labels=labels, affine=np.eye(4), image=image, probabilities=from_mask(start) if soft else None)
    Corrector(grid).apply(Stroke(label="ball", points=((25.0, 18.0, 18.0),), radius_mm=1.0), 1)
    missing = int((ball & ~start).sum())
    assert (ball & (labels == 0)).sum() < 0.5 * missing
    assert (~ball & (labels == 1)).sum() < 0.2 * missing


def test_a_rule_with_more_doubt_changes_less(bitten):
    image, _ball, start = bitten
    changed = []
    for doubt in (0.0, 0.7, 50.0):
        labels = start.astype(np.uint8)
        grid = Grid(labels=labels, affine=np.eye(4), image=image, probabilities=from_mask(start))
        rule = Rule(doubt=doubt, thin_mm=20, thick_mm=30)
        Corrector(grid, rule=rule).apply(Stroke(label="ball", points=((25.0, 18.0, 18.0),), radius_mm=1.0), 1)
        changed.append(int((labels != start).sum()))
    assert changed[0] > changed[1] > changed[2] == 7  # the stroke's own voxels


def test_the_others_share_what_a_label_leaves_in_their_proportion():
    before = np.array([[0.6], [0.3], [0.1]], np.float32)
    np.testing.assert_allclose(share(before, 2, np.array([0.7], np.float32))[:, 0], [0.2, 0.1, 0.7], rtol=1e-5)


def test_memory_is_that_of_the_box_not_of_the_volume():
    def most(shape):
        grid = Grid(labels=np.zeros(shape, np.uint8), affine=np.eye(4), image=np.zeros(shape, np.float32))
        corrector = Corrector(grid, answer=shipped_answer())
        stroke = Stroke(label="a", points=(tuple(float(n // 2) for n in shape),))
        corrector.apply(stroke, 1)  # what is imported and kept the first time is not counted
        tracemalloc.start()
        corrector.apply(stroke, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most((300, 300, 60)) < 1.3 * most((60, 60, 60))


def test_a_single_slice_is_corrected_too(bitten):
    image, ball, start = bitten
    here = (..., slice(18, 19))
    labels = start[here].astype(np.uint8)
    grid = Grid(labels=labels, affine=np.eye(4), image=image[here])
    Corrector(grid).apply(Stroke(label="ball", points=((25.0, 18.0, 0.0),), radius_mm=1.0), 1)
    missing = ball[here] & ~start[here]
    assert (missing & (labels == 0)).sum() < 0.7 * missing.sum()


def test_a_label_without_probabilities_is_refused():
    grid = Grid(labels=np.zeros((4, 4, 4), np.uint8), affine=np.eye(4), probabilities=np.ones((1, 4, 4, 4), np.float32))
    with pytest.raises(ValueError, match="labels 0 to 0, got a stroke of 1"):
        Corrector(grid).apply(Stroke(label="a", points=((1.0, 1.0, 1.0),)), 1)


def test_arrays_on_different_grids_are_refused():
    with pytest.raises(ValueError, match="image lies on the grid"):
        Grid(labels=np.zeros((4, 4, 4), np.uint8), affine=np.eye(4), image=np.zeros((3, 4, 4), np.float32))


def test_the_shipped_answer_is_small_and_comes_back_from_its_file(tmp_path):
    answer = shipped_answer()
    assert sum(part.size for layer in answer.layers for part in layer) < 4000
    answer.save(tmp_path / "answer.npz")
    again = read_answer(tmp_path / "answer.npz")
    inputs = np.random.default_rng(0).normal(size=(5, len(answer.layers[0][0]))).astype(np.float32)
    np.testing.assert_array_equal(answer(inputs), again(inputs))
    assert (tmp_path / "answer.npz").stat().st_size < 20_000
