"""A .seg.nrrd names, colours and codes its segments as Slicer does, and other programs read it."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicerio

from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_image, write_segmentation
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import Code, LabelSpec
from segment_header import segments_of

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
SPECS = (
    LabelSpec(value=1, name="liver", color=(221, 130, 101), category=ANATOMY, type=Code("SCT", "10200004", "Liver")),
    LabelSpec(
        value=2,
        name="left kidney",
        color=(185, 102, 83),
        category=ANATOMY,
        type=Code("SCT", "64033007", "Kidney"),
        type_modifier=Code("SCT", "7771000", "Left"),
    ),
    LabelSpec(
        value=4,
        name="tumour \\ of\nthe liver",
        color=(0, 255, 51),
        category=Code("SCT", "49755003", "Morphologically Altered Structure"),
        type=Code("SCT", "4147007", "Mass"),
        region=Code("SCT", "10200004", "Liver"),
        region_modifier=Code("SCT", "24028007", "Right"),
    ),
)


@pytest.fixture
def written(tmp_path, labels, oblique_affine):
    path = tmp_path / "out.seg.nrrd"
    write_segmentation(path, Image(labels.array, oblique_affine), SPECS)
    return path


def test_slicerio_reads_names_colours_values_and_codes(written):
    segments = slicerio.read_segmentation(str(written))["segments"]
    assert [segment["name"] for segment in segments[:2]] == ["liver", "left kidney"]
    assert [segment["labelValue"] for segment in segments] == [1, 2, 4]
    assert [segment["layer"] for segment in segments] == [0, 0, 0]
    for segment, spec in zip(segments, SPECS, strict=True):
        np.testing.assert_allclose(np.array(segment["color"]) * 255, spec.color, atol=1e-3)
        assert segment["terminology"]["category"] == [spec.category.scheme, spec.category.value, spec.category.meaning]
        assert segment["terminology"]["type"] == [spec.type.scheme, spec.type.value, spec.type.meaning]
    assert segments[1]["terminology"]["typeModifier"] == ["SCT", "7771000", "Left"]
    assert segments[2]["terminology"]["anatomicRegion"] == ["SCT", "10200004", "Liver"]
    assert segments[2]["terminology"]["anatomicRegionModifier"] == ["SCT", "24028007", "Right"]


def test_slicerio_reads_the_voxels_and_the_grid(written, labels, oblique_affine):
    segmentation = slicerio.read_segmentation(str(written))
    np.testing.assert_array_equal(segmentation["voxels"], labels.array[0])
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ segmentation["ijkToLPS"], oblique_affine, atol=1e-12)
    assert segmentation["masterRepresentation"] == "Binary labelmap"
    assert segmentation["containedRepresentationNames"] == ["Binary labelmap"]
    geometry = segmentation["conversionParameters"][0]
    assert geometry["name"] == "Reference image geometry"
    assert [float(word) for word in geometry["value"].split(";")[:16]] == oblique_affine.ravel().tolist()


def test_extents_hold_the_voxels_of_each_segment_and_an_absent_one_has_none(written):
    segments = slicerio.read_segmentation(str(written))["segments"]
    assert segments[0]["extent"] == [1, 3, 1, 2, 0, 1]
    assert segments[1]["extent"] == [0, 0, 0, 3, 2, 2]
    assert segments[2]["extent"] == [0, -1, 0, -1, 0, -1]


def test_simpleitk_reads_it_as_a_labelmap_with_the_segments_in_its_metadata(written, labels):
    image = sitk.ReadImage(str(written))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, labels.array[0])
    assert image.GetMetaData("Segment1_Name") == "left kidney"
    assert image.GetMetaData("Segment0_Tags").endswith(
        "TerminologyEntry:Segmentation category and type - DICOM master list"
        "~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^|"
    )


def test_the_segments_read_back_are_those_written(written, labels):
    assert segments_of(written) == SPECS
    np.testing.assert_array_equal(read_labels(written).array, labels.array)


def test_a_separator_inside_a_meaning_cannot_break_the_tag(tmp_path, labels):
    spec = replace(SPECS[0], type=Code("SCT", "1", "a~b^c|d"))
    write_segmentation(tmp_path / "a.seg.nrrd", labels, [spec])
    assert segments_of(tmp_path / "a.seg.nrrd")[0].type == Code("SCT", "1", "a b c d")


def test_an_image_has_no_segments_and_cannot_be_a_seg_nrrd(tmp_path, labels):
    with pytest.raises(JobError, match=r"an image without labels ends in \.nii.*got \.seg\.nrrd"):
        write_image(tmp_path / "a.seg.nrrd", labels)


def layered(path, first, second, values=(1, 1)):
    """A segmentation of two layers, as Slicer writes overlapping segments."""
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 3 3 3\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\nencoding: raw\n"
        f"space origin: (0,0,0)\nSegment0_Name:=a\nSegment0_Layer:=0\nSegment0_LabelValue:={values[0]}\n"
        f"Segment1_Name:=b\nSegment1_Layer:=1\nSegment1_LabelValue:={values[1]}\n\n"
    )
    path.write_bytes(header.encode() + np.stack([first, second]).astype(np.uint8).tobytes(order="F"))


def test_layers_become_one_labelmap_numbered_by_segment(tmp_path):
    first, second = np.zeros((2, 3, 3, 3))
    first[0], second[2] = 1, 5
    layered(tmp_path / "a.seg.nrrd", first, second, values=(1, 5))
    labels = read_labels(tmp_path / "a.seg.nrrd").array[0]
    assert [labels[i, 1, 1] for i in range(3)] == [1, 0, 2]


def test_overlapping_segments_are_refused_by_name(tmp_path):
    layered(tmp_path / "a.seg.nrrd", np.ones((3, 3, 3)), np.ones((3, 3, 3)))
    with pytest.raises(ImageError, match="'b' overlaps another"):
        read_labels(tmp_path / "a.seg.nrrd")
