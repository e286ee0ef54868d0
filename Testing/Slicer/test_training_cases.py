"""Cases for a training out of a real scene: what is on disk, what is refused and how, and that the scene stays."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.imaging.image import Image
from medseg.io.dataset import describe_dataset, read_case
from medseg.mrml.grids import ijk_to_world
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.snapshots import stamp
from medseg.mrml.training_cases import Pair, check_steps, labels_of, renamed, write_description, write_steps
from medseg.spec.errors import ImageError, JobError
from mrml_nodes import volume_node_from_image


@pytest.fixture
def drawn(specs):
    """The two segments that are drawn in ``array``."""
    return specs[:2]


@pytest.fixture
def make(scene, array, affines, drawn):
    """Add a volume and its segmentation."""

    def pair(name, *, affine=None, labels=None, some_specs=drawn, beside=True):
        grid = affines[-1] if affine is None else affine
        voxels = np.random.default_rng(len(name)).normal(size=array.shape).astype(np.float32)
        volume = volume_node_from_image(scene, Image(voxels, grid), name)
        values = array if labels is None else labels
        reference = volume if beside else None
        node = add_segmentation(scene, Image(values, grid), some_specs, name=f"{name} seg", reference_node=reference)
        return Pair(volume, node)

    return pair


def look(pairs):
    return list(check_steps(pairs, labels_of(pairs)))


def write(scene, pairs, labels, folder, title):
    assert list(write_steps(pairs, labels, folder)) == [pair.volume.GetName() for pair in pairs]
    return write_description(scene, pairs, labels, folder, title)


def names(pairs):
    return [spec.name for spec in labels_of(pairs)]


def test_what_is_written_is_what_the_scene_shows_and_the_scene_stays(scene, make, drawn, array, tmp_path, hang, motion):
    pairs = [make("brain T1"), make("Größe/2", affine=np.diag([2.0, 2, 3, 1]))]
    hang(pairs[0].volume, motion)
    pairs[0].segmentation.SetAndObserveTransformNodeID(pairs[0].volume.GetTransformNodeID())
    before = [stamp(pair.segmentation) for pair in pairs], scene.GetNumberOfNodes()
    labels = labels_of(pairs)
    assert labels == drawn
    assert look(pairs) == [pair.volume.GetName() for pair in pairs]
    subjects = write(scene, pairs, labels, tmp_path, "Two heads")
    assert ([stamp(pair.segmentation) for pair in pairs], scene.GetNumberOfNodes()) == before
    assert subjects is None
    dataset = describe_dataset(tmp_path)
    assert dataset.title == "Two heads"
    assert dataset.label_names == {1: "Left hippocampus", 2: "Liver"}
    assert list(dataset.cases) == ["brain_T1", "Größe_2"]
    for pair, files in zip(pairs, dataset.cases.values(), strict=True):
        image, mask = read_case(files)
        np.testing.assert_array_equal(mask.array, array)
        np.testing.assert_allclose(image.affine, ijk_to_world(pair.volume), atol=1e-4)


def test_segments_in_another_order_become_the_same_values(scene, make, specs, array, tmp_path):
    swapped = np.choose(array, [0, 2, 1]).astype(np.uint8)
    turned = (replace(specs[1], value=1), replace(specs[0], value=2))
    pairs = [make("one"), make("two", labels=swapped, some_specs=turned)]
    write(scene, pairs, labels_of(pairs), tmp_path, "x")
    for files in describe_dataset(tmp_path).cases.values():
        np.testing.assert_array_equal(read_case(files)[1].array, array)


def test_a_segmentation_on_another_grid_is_brought_to_the_volumes(scene, make, array, affines, tmp_path):
    """Drawn on voxels half as large, each of the volume's voxels eight times."""
    fine = np.kron(array[0], np.ones((2, 2, 2), np.uint8))[None]
    half = affines[-1] @ np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = (affines[-1] @ [-0.25, -0.25, -0.25, 1])[:3]
    pairs = [make("one"), make("two")]
    node = add_segmentation(scene, Image(fine, half), labels_of(pairs), name="fine")
    pairs[1] = Pair(pairs[1].volume, node)
    look(pairs)
    write(scene, pairs, labels_of(pairs), tmp_path, "x")
    np.testing.assert_array_equal(read_case(describe_dataset(tmp_path).cases["two"])[1].array, array)


def test_of_one_name_come_two_files_and_of_one_patient_one_subject(slicer_scene, array, drawn, tmp_path):
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer_scene)
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "A B")
    pairs = []
    for name in ("scan", "Scan", "other"):
        volume = volume_node_from_image(slicer_scene, Image(array.astype(np.float32), np.eye(4)), name)
        tree.CreateItem(tree.GetSceneItemID() if name == "other" else patient, volume)
        segmentation = add_segmentation(slicer_scene, Image(array, np.eye(4)), drawn, name="s", reference_node=volume)
        pairs.append(Pair(volume, segmentation))
    subjects = write(slicer_scene, pairs, labels_of(pairs), tmp_path, "x")
    rows = [line.split(",") for line in subjects.read_text().splitlines()]
    assert [row[0] for row in rows] == ["case", "scan", "Scan-2", "other"]
    assert rows[1][1] == rows[2][1] != rows[3][1]
    assert "A B" not in subjects.read_text()


def test_one_pair_is_too_few(make):
    with pytest.raises(JobError, match="at least 2 volumes with their segmentations, got 1"):
        labels_of([make("one")])


def test_a_node_in_two_pairs_is_named(make):
    one, two = make("one"), make("two")
    with pytest.raises(JobError, match="'one seg' is in two"):
        labels_of([one, Pair(two.volume, one.segmentation)])


def test_other_segments_are_named_with_their_segmentation(make, specs):
    pairs = [make("one"), make("two", some_specs=(specs[0], replace(specs[2], value=2)))]
    with pytest.raises(JobError, match="'two seg' lacks Liver and has also Spleen, compared with 'one seg'"):
        labels_of(pairs)


def test_segments_of_one_name_and_segmentations_without_segments_are_named(make):
    pairs = [make("one"), make("two")]
    inside = pairs[1].segmentation.GetSegmentation()
    inside.GetSegment("Segment_2").SetName("Left hippocampus")
    with pytest.raises(JobError, match="'two seg' has 'Left hippocampus', 'Left hippocampus'"):
        labels_of(pairs)
    inside.RemoveAllSegments()
    with pytest.raises(JobError, match="'two seg' has no segments"):
        labels_of(pairs)


def test_a_segmentation_without_voxels_is_named_and_one_empty_segment_is_not(make, array):
    partly = np.where(array == 2, 0, array).astype(np.uint8)
    assert look([make("one"), make("two", labels=partly)])
    with pytest.raises(ImageError, match="'four seg' has no voxels in 'four'"):
        look([make("three"), make("four", labels=np.zeros_like(array))])


def test_what_was_spoilt_after_it_was_looked_at_is_refused_when_it_is_written(scene, make, tmp_path):
    from medseg.mrml.segmentations import BINARY_LABELMAP, voxels

    pairs = [make("one"), make("two")]
    labels = labels_of(pairs)
    assert look(pairs)
    segment = pairs[1].segmentation.GetSegmentation().GetSegment("Segment_1")
    voxels(segment.GetRepresentation(BINARY_LABELMAP))[...] = 0
    with pytest.raises(ImageError, match="'two seg' has no voxels in 'two'"):
        write(scene, pairs, labels, tmp_path, "x")


def test_a_segment_that_is_nowhere_drawn_is_named(make, specs):
    with pytest.raises(JobError, match="and Spleen has none"):
        look([make("one", some_specs=specs), make("two", some_specs=specs)])


def test_segments_that_overlap_are_named(make, array):
    from medseg.mrml.cuts import mask_labelmap
    from medseg.mrml.segmentations import BINARY_LABELMAP

    pairs = [make("one"), make("two")]
    whole = mask_labelmap(array[0] > 0, ijk_to_world(pairs[1].volume))
    segment = pairs[1].segmentation.GetSegmentation().GetSegment("Segment_2")
    segment.RemoveAllRepresentations()
    segment.SetLabelValue(1)
    segment.AddRepresentation(BINARY_LABELMAP, whole)
    with pytest.raises(ImageError, match="'Left hippocampus' and 'Liver' of 'two seg' overlap"):
        look(pairs)


def test_a_segmentation_of_another_place_is_named(make, affines, scene, array, drawn):
    far = affines[-1].copy()
    far[0, 3] += 100
    pairs = [make("one"), make("two")]
    node = add_segmentation(scene, Image(array, far), drawn, name="elsewhere")
    with pytest.raises(ImageError, match="of 'elsewhere' reaches out of volume 'two'"):
        look([pairs[0], Pair(pairs[1].volume, node)])


def test_surfaces_are_named_and_not_converted(make):
    pairs = [make("one"), make("two")]
    node = pairs[1].segmentation
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()
    node.GetSegmentation().RemoveRepresentation("Binary labelmap")
    with pytest.raises(ImageError, match="'two seg' is made of surfaces"):
        look(pairs)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_volumes_without_voxels_of_several_channels_or_bent_are_named(make, scene, warp):
    import slicer

    pairs = [make("one"), make("two")]
    empty = slicer.vtkMRMLScalarVolumeNode()
    empty.SetName("void")
    scene.AddNode(empty)
    with pytest.raises(ImageError, match="'void' has no voxels"):
        look([pairs[0], Pair(empty, pairs[1].segmentation)])
    colour = volume_node_from_image(scene, Image(np.zeros((3, 7, 6, 5), np.uint8), np.eye(4)), "colour")
    with pytest.raises(ImageError, match="'colour' has 3 channels"):
        look([pairs[0], Pair(colour, pairs[1].segmentation)])
    warp(pairs[1].volume)
    with pytest.raises(ImageError, match="two"):
        look(pairs)


def test_labels_take_the_order_of_a_model_that_names_the_same(specs):
    assert [(spec.value, spec.name) for spec in renamed(specs, ["spleen", "left HIPPOCAMPUS", "liver"])] == [
        (1, "Spleen"),
        (2, "Left hippocampus"),
        (3, "Liver"),
    ]
    assert renamed(specs, ["spleen", "liver"]) == specs


def test_a_segment_that_nobody_coded_gets_the_tissue_code_that_slicer_gives(make):
    pairs = [make("one"), make("two")]
    for segment_id in pairs[0].segmentation.GetSegmentation().GetSegmentIDs():
        segment = pairs[0].segmentation.GetSegmentation().GetSegment(segment_id)
        segment.RemoveTag(segment.GetTerminologyEntryTagName())
    assert [spec.type.meaning for spec in labels_of(pairs)] == ["Tissue", "Tissue"]
