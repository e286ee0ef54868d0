"""Labels put onto a grid of the same lattice keep every voxel's place in the patient; others are not bent to fit."""

from itertools import permutations, product

import numpy as np

from medseg.imaging.image import Image
from medseg.imaging.lattice import common_grid, place_on

OBLIQUE = np.array([[0.6, -0.8, 0.0, 5.0], [0.8, 0.6, 0.0, -7.0], [0.0, 0.0, 2.5, 3.0], [0.0, 0.0, 0.0, 1.0]])


def points(image, value):
    """Centres of a label's voxels in mm, in an order of their own."""
    voxels = np.argwhere((image.array == value).any(axis=0))
    found = np.round(voxels @ image.affine[:3, :3].T + image.affine[:3, 3], 6) + 0.0
    return sorted(map(tuple, found))


def test_every_turn_and_mirror_image_of_a_part_finds_its_voxels_in_the_whole():
    labels = Image(np.random.default_rng(0).integers(0, 3, (1, 3, 4, 2)).astype(np.uint8))
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        turn = np.zeros((4, 4))
        turn[3, 3] = 1
        for axis, (target, sign) in enumerate(zip(order, signs, strict=True)):
            turn[target, axis] = sign
            turn[target, 3] = 2 if sign > 0 else 6
        part = Image(labels.array, OBLIQUE @ turn)
        placed = place_on(part, (9, 9, 9), OBLIQUE)
        assert placed is not None
        assert placed.shape == (9, 9, 9)
        for value in (1, 2):
            assert points(placed, value) == points(part, value)


def test_what_lies_in_between_is_turned_by_an_angle_or_leaves_the_grid_is_not_placed():
    labels = Image(np.ones((1, 3, 4, 2), np.uint8), OBLIQUE)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    half = np.eye(4)
    half[0, 3] = 0.5
    for change in (turn, half, np.diag([1.0, 1.0, 1.1, 1.0])):
        assert place_on(labels, (9, 9, 9), OBLIQUE @ change) is None
    assert place_on(labels, (9, 9, 9), OBLIQUE) is not None
    moved = np.eye(4)
    moved[0, 3] = -1
    assert place_on(Image(labels.array, OBLIQUE @ moved), (9, 9, 9), OBLIQUE) is None
    empty = Image(np.zeros((1, 3, 4, 2), np.uint8), OBLIQUE @ moved)
    assert place_on(empty, (9, 9, 9), OBLIQUE) is not None  # nothing is lost


def test_the_common_grid_of_two_parts_is_the_smallest_that_holds_both():
    moved = np.eye(4)
    moved[:3, 3] = 2, -1, 3
    first = Image(np.ones((1, 3, 4, 2), np.uint8), OBLIQUE)
    second = Image(np.ones((1, 3, 4, 2), np.uint8), OBLIQUE @ moved)
    grid = common_grid(first, second)
    assert grid is not None
    shape, affine = grid
    assert shape == (5, 5, 5)
    for part in (first, second):
        placed = place_on(part, shape, affine)
        assert placed is not None
        assert points(placed, 1) == points(part, 1)
    elsewhere = OBLIQUE.copy()
    elsewhere[0, 3] += 0.3
    assert common_grid(first, Image(first.array, elsewhere)) is None
