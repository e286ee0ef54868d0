"""Volumes are paired where it is sure that they are one examination's; those of two patients never are."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop.queue.orders import left_out
from medseg.desktop.scene.cases import scans, volume_sets
from medseg.imaging.image import Image
from medseg.mrml.placing import examination_of
from medseg.spec.manifest import ChannelSpec
from mrml_nodes import add_entropy_volume, add_probability_volumes, volume_node_from_image
from small_manifest import small_manifest


def model(specs, *patterns):
    return Bundle(
        Path(),
        small_manifest(
            model_id="several",
            title="Several",
            labels=specs,
            channels=tuple(ChannelSpec(name=each, modality="MR", pattern=each) for each in patterns),
        ),
    )


@pytest.fixture
def two(specs):
    return model(specs, "T1", "FLAIR")


@pytest.fixture
def add(scene, array, affines):
    """Add a volume; each lies somewhere else, unless the grid is named."""
    count = iter(range(len(affines)))

    def added(name, grid=None):
        node = volume_node_from_image(scene, Image(array, affines[next(count) if grid is None else grid]), "x")
        node.SetName(name)
        return node

    return added


@pytest.fixture
def study(scene):
    """Put volumes into a new study of a new patient."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)

    def made(*nodes):
        patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "patient")
        item = tree.CreateStudyItem(patient, "study")
        for node in nodes:
            tree.CreateItem(item, node)
        return item

    return made


def names(sets):
    return [tuple(node.GetName() for node in each) for each in sets]


@pytest.mark.parametrize("order", list(permutations(["A T1", "B T1", "B FLAIR", "A FLAIR"])))
def test_two_patients_are_never_mixed_in_whatever_order_they_were_loaded(scene, add, two, order):
    for name in order:
        add(name, grid=0)  # registered to one template
    assert sorted(names(volume_sets(scene, two))) == [("A T1", "A FLAIR"), ("B T1", "B FLAIR")]
    assert left_out(scene, two) == ""


@pytest.mark.parametrize(
    ("written", "pairs"),
    [
        (["sub-01_T1w", "sub-01_FLAIR"], []),  # "w" belongs to whom?
        (["sub-01_T1", "SUB-01-FLAIR"], [("sub-01_T1", "SUB-01-FLAIR")]),
        (["A T1", "B FLAIR"], []),
        (["A T1", "A FLAIR", "B FLAIR"], [("A T1", "A FLAIR")]),
        (["A T1", "A T1", "A FLAIR"], []),
        (["A T1", "A T1_1", "A FLAIR"], [("A T1", "A FLAIR")]),
        (["T1", "FLAIR"], []),  # on two grids nothing says that it is one patient
        (["CT", "A PD"], []),
    ],
)
def test_names_must_be_the_same_but_for_the_channel(scene, add, two, written, pairs):
    for name in written:
        add(name)
    assert names(volume_sets(scene, two)) == pairs


def test_volumes_of_one_name_are_still_two(scene, add, two):
    nodes = [add("A T1"), add("A T1"), add("A FLAIR")]
    assert left_out(scene, two).count("A T1") == 2
    scene.RemoveNode(nodes[0])
    assert volume_sets(scene, two) == [[nodes[1], nodes[2]]]


@pytest.mark.parametrize(
    ("written", "is_pair"),
    [
        (["T1", "FLAIR"], True),
        (["T1 map", "FLAIR"], True),
        (["A T1", "B FLAIR"], False),  # a template's grid
        (["T1", "FLAIR", "FLAIR late"], False),
    ],
)
def test_on_one_grid_names_need_not_be_alike_but_must_not_speak_against_it(scene, add, two, written, is_pair):
    for name in written:
        add(name, grid=5)
    assert bool(volume_sets(scene, two)) == is_pair


def test_the_study_says_it_where_names_do_not(scene, add, study, two):
    t1, flair = add("3: T1 mprage"), add("5: FLAIR space")
    assert volume_sets(scene, two) == []
    study(t1, flair)
    assert volume_sets(scene, two) == [[t1, flair]]


def test_names_do_not_join_what_lies_in_two_studies(scene, add, study, two):
    t1, flair = add("A T1", grid=0), add("A FLAIR", grid=0)
    study(t1)
    assert examination_of(scene, flair) is None
    assert volume_sets(scene, two) == []
    study(flair)
    assert volume_sets(scene, two) == []


def test_within_a_study_of_several_series_the_names_decide(scene, add, study, two):
    every = [add(name) for name in ("pre T1", "post T1", "post FLAIR", "pre FLAIR")]
    study(*every)
    assert names(volume_sets(scene, two)) == [("pre T1", "pre FLAIR"), ("post T1", "post FLAIR")]


def test_a_pattern_that_is_a_part_of_another_takes_what_the_other_leaves(scene, add, specs):
    for name in ("A T1ce", "B T1", "A T1", "B T1ce"):
        add(name)
    assert names(volume_sets(scene, model(specs, "T1", "T1ce"))) == [("B T1", "B T1ce"), ("A T1", "A T1ce")]


def test_a_pattern_that_swallows_the_patient_pairs_no_two_of_them(scene, add, specs):
    add("A T1", grid=0)
    add("B FLAIR", grid=0)
    assert volume_sets(scene, model(specs, ".*T1.*", "^.*FLAIR")) == []


def test_a_channel_without_a_pattern_gets_nothing_by_itself(scene, add, specs):
    add("A T1")
    manifest = model(specs, "T1", "x").manifest
    first = ChannelSpec(name="any", modality="MR")
    bundle = Bundle(Path(), type(manifest)(**{**vars(manifest), "channels": (first, manifest.channels[0])}))
    assert volume_sets(scene, bundle) == []


def test_what_is_left_out_is_named_and_a_long_list_is_cut(scene, add, two):
    add("A T1")
    add("A FLAIR")
    for number in range(7):
        add(f"{number} CT")
    said = left_out(scene, two)
    assert "A T1" not in said
    assert "0 CT, 1 CT, 2 CT, 3 CT, 4 CT, 2 more" in said
    assert said.startswith("Not queued")


def test_for_one_channel_each_scan_is_one_and_what_a_network_brought_is_none(scene, add, specs):
    volume = add("brain")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    every = Image(np.full((4, 7, 6, 5), 0.25, np.float32), np.eye(4))
    add_probability_volumes(scene, every, specs, volume)
    add_entropy_volume(scene, every, volume)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 6
    assert scans(scene) == [volume]
    assert volume_sets(scene, model(specs, "T1")) == [[volume]]
