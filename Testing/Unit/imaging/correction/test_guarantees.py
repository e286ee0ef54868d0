"""What a stroke can never do, on any grid, with any image, from probabilities or from labels alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.question import Grid
from medseg.imaging.correction.stroke_box import paint
from medseg.spec.stroke import Stroke
from Unit.imaging.correction.drawn import SHAPE, corrections

FEW = settings(max_examples=15, deadline=None)


def copies(grid):
    """Labels and probabilities as they are now."""
    return grid.labels.copy(), None if grid.probabilities is None else grid.probabilities.copy()


def same(one, other):
    """Whether two states are equal bit by bit."""
    return all((a is None and b is None) or a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def differs(before, after):
    """Voxels at which labels or probabilities are not what they were."""
    labels = before[0] != after[0]
    return labels if before[1] is None else labels | (before[1] != after[1]).any(axis=0)


def distance_mm(voxels, affine):
    """Of every voxel centre to the nearest of some, in the world: the definition, voxel by voxel."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return np.min([np.linalg.norm((grid - voxel) @ affine[:3, :3].T, axis=-1) for voxel in voxels], axis=0)


def state_before_and_after(corrector, stroke, value):
    before = copies(corrector.grid)
    corrector.apply(stroke, value)
    return before, copies(corrector.grid)


@pytest.mark.parametrize("sheared", [False, True])
def test_nothing_changes_beyond_the_reach(sheared, eager):
    @FEW
    @given(corrections(sheared=sheared))
    def check(drawn):
        corrector, strokes = drawn
        for answer in (None, eager):
            corrector = Corrector(corrector.grid, answer=answer)
            for stroke, value in strokes:
                voxels = paint(stroke.points, stroke.radius_mm, SHAPE, corrector.grid.affine)
                before, after = state_before_and_after(corrector, stroke, value)
                far = distance_mm(voxels, corrector.grid.affine) > stroke.reach_mm * (1 + 1e-4)
                assert not (differs(before, after) & far).any()

    check()


@FEW
@given(corrections())
def test_a_stroke_keeps_its_label_in_its_voxels_whatever_comes_near_later(drawn):
    corrector, strokes = drawn
    grid = corrector.grid
    wanted = np.full(SHAPE, -1)
    for stroke, value in strokes:
        inside = np.zeros(SHAPE, bool)
        inside[tuple(paint(stroke.points, stroke.radius_mm, SHAPE, grid.affine).T)] = True
        if grid.locked is not None:
            inside &= ~grid.locked
        if stroke.remove:
            inside &= grid.labels == value
        wanted[inside] = 0 if stroke.remove else value
        corrector.apply(stroke, value)
        assert (grid.labels == wanted)[wanted >= 0].all()


@FEW
@given(corrections(plain=False))
def test_probabilities_stay_a_distribution_over_all_labels(drawn):
    corrector, strokes = drawn
    held = corrector.grid.probabilities
    for stroke, value in strokes:
        corrector.apply(stroke, value)
        assert held.min() >= 0
        tolerance = 4 * np.finfo(held.dtype).eps
        np.testing.assert_allclose(held.astype(np.float64).sum(axis=0), 1, atol=tolerance)


@FEW
@given(corrections(plain=False))
def test_where_a_stroke_raised_its_label_the_others_keep_their_order(drawn):
    corrector, ((stroke, value), *_) = drawn
    before, after = state_before_and_after(corrector, stroke, value)
    target = 0 if stroke.remove else value
    others = [label for label in range(3) if label != target]
    changed = differs(before, after)
    assert (after[1][target] >= before[1][target]).all()
    first, second = (state[1][others][:, changed] for state in (before, after))
    assert ((first[0] >= first[1]) <= (second[0] >= second[1])).all()


@FEW
@given(corrections())
def test_locked_voxels_are_never_touched(drawn):
    corrector, strokes = drawn
    if corrector.grid.locked is None:
        return
    before = copies(corrector.grid)
    for stroke, value in strokes:
        corrector.apply(stroke, value)
    assert not differs(before, copies(corrector.grid))[corrector.grid.locked].any()


@FEW
@given(corrections())
def test_taking_a_label_away_leaves_every_other_segment_as_it_is(drawn):
    corrector, strokes = drawn
    for stroke, value in strokes:
        before, after = state_before_and_after(corrector, stroke, value)
        if stroke.remove:
            assert (before[0][before[0] != after[0]] == value).all()
            assert (after[0][before[0] != after[0]] == 0).all()
        else:
            assert (after[0][before[0] != after[0]] == value).all()


@FEW
@given(corrections())
def test_undo_gives_back_labels_probabilities_and_the_list_of_strokes_bit_by_bit(drawn):
    corrector, strokes = drawn
    states = [copies(corrector.grid)]
    for stroke, value in strokes:
        corrector.apply(stroke, value)
        states.append(copies(corrector.grid))
    painted = [stroke for stroke, _ in strokes]
    for count in range(len(strokes) - 1, -1, -1):
        assert corrector.strokes == tuple(painted[: count + 1])
        assert corrector.undo() == painted[count]
        assert same(copies(corrector.grid), states[count])
    assert corrector.strokes == ()
    assert corrector.undo() is None


@FEW
@given(corrections())
def test_strokes_that_are_taken_back_and_painted_again_give_the_same(drawn):
    corrector, strokes = drawn
    for stroke, value in strokes:
        corrector.apply(stroke, value)
    first = copies(corrector.grid)
    while corrector.undo():
        pass
    for stroke, value in strokes:
        corrector.apply(stroke, value)
    assert same(copies(corrector.grid), first)


@FEW
@given(corrections(), st.permutations(range(3)))
def test_planes_are_equal_an_exchange_of_axes_gives_the_exchanged_result(drawn, order):
    corrector, strokes = drawn
    grid = corrector.grid
    lead = [0, *(axis + 1 for axis in order)]
    turned = Corrector(
        Grid(
            labels=grid.labels.transpose(order).copy(),
            affine=grid.affine[:, [*order, 3]],
            image=None if grid.image is None else grid.image.transpose(order).copy(),
            probabilities=None if grid.probabilities is None else grid.probabilities.transpose(lead).copy(),
            locked=None if grid.locked is None else grid.locked.transpose(order).copy(),
        )
    )
    for stroke, value in strokes:
        corrector.apply(stroke, value)
        turned.apply(stroke, value)
    different = turned.grid.labels != grid.labels.transpose(order)
    assert different.sum() <= max(1, different.size // 500)  # sums in another order: on a border a voxel may round


def test_a_stroke_outside_the_grid_changes_nothing_and_can_be_taken_back():
    grid = Grid(labels=np.ones(SHAPE, np.uint8), affine=np.eye(4))
    corrector = Corrector(grid)
    stroke = Stroke(label="background", points=((-50.0, 0.0, 0.0),))
    corrector.apply(stroke, 0)
    assert (grid.labels == 1).all()
    assert corrector.strokes == (stroke,)
    assert corrector.undo() == stroke
