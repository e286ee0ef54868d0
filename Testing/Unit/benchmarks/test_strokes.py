"""The simulated user: where it clicks, what it never takes back, and what it counts."""

import numpy as np
import pytest
from strokes.baselines import BASELINES
from strokes.cases import Case, emptied, softmax
from strokes.user import User, grid_of, largest_error, mean_dice, play

SHAPE = (20, 20, 20)


@pytest.fixture
def case():
    """A cube of label 1 and a smaller one of label 2; nothing is found yet."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[4:13, 4:13, 4:13] = 1
    truth[15:18, 15:18, 15:18] = 2
    image = np.random.default_rng(0).normal(size=SHAPE) + 5.0 * truth
    made = Case(
        image=image.astype(np.float32),
        truth=truth,
        probabilities=softmax(np.zeros((3, *SHAPE))),
        affine=np.eye(4),
    )
    return emptied(made)


def test_the_click_goes_into_the_middle_of_the_largest_error_with_its_true_label(case):
    labels = grid_of(case).labels
    assert not labels.any()
    error = largest_error(labels, case.truth, case.spacing)
    assert error.value == 1
    assert error.centre == (8, 8, 8)
    labels[4:13, 4:13, 4:13] = 1
    assert largest_error(labels, case.truth, case.spacing).value == 2
    labels[:] = case.truth
    assert largest_error(labels, case.truth, case.spacing) is None


def test_a_stroke_stays_in_its_plane_and_in_the_error(case):
    error = largest_error(grid_of(case).labels, case.truth, case.spacing)
    for axis, way in enumerate("ijk"):
        points = np.array(User(way=way).stroke(error, case).points) / case.spacing
        assert len(points) > 5
        assert (points[:, axis] == 8).all()
        assert (case.truth[tuple(points.astype(int).T)] == 1).all()


def test_a_click_beside_an_earlier_one_leaves_it_its_voxels(case):
    user = User()
    error = largest_error(grid_of(case).labels, case.truth, case.spacing)
    first = user.stroke(error, case)
    beside = type(error)(error.mask, (8, 8, 9), 2)
    second = user.stroke(beside, case)
    assert set(first.points) & set(second.points) == {(8.0, 8.0, 9.0)}  # where the second one clicks


@pytest.mark.parametrize("name", ["Correct", *BASELINES])
def test_every_method_finds_something_of_nothing_and_is_counted(case, name):
    played = play(case, strokes=3) if name == "Correct" else play(case, BASELINES[name], strokes=3)
    assert len(played.dice) == 4
    assert played.dice[0] == 0 < played.dice[-1]
    assert len(played.seconds) == 3
    assert played.beyond == 0 or name == "Grow from seeds"


def test_dice_is_two_where_common_over_the_sum(case):
    labels = case.truth.copy()
    assert mean_dice(labels, case.truth) == 1
    labels[labels == 2] = 0
    assert mean_dice(labels, case.truth) == 0.5
