"""Names of nodes are taken out of a text, whatever became of the nodes since."""

import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.desktop.panel.session import NodeNames, support_report
from medseg.desktop.state.preferences import Preferences


@pytest.fixture
def add(scene):
    def added(name, kind="ScalarVolume"):
        return scene.AddNewNodeByClass(f"vtkMRML{kind}Node", name)

    return added


@pytest.mark.parametrize(
    ("name", "said", "kept"),
    [
        ("Mustermann Erika", "'Mustermann Erika' has no voxels", "'<volume 1>' has no voxels"),
        ("Mustermann Erika", "MUSTERMANN  ERIKA_seg", "<volume 1>_seg"),
        ("O'Brien \\ 1", repr("O'Brien \\ 1"), '"<volume 1>"'),
        ("12345678", "case 12345678 of 1234567890", "case <volume 1> of 1234567890"),
        ("Li", "Li: limit", "<volume 1>: limit"),
        ("Mustermann^Erika (2)", "left out: Mustermann_Erika_2: it is blank", "left out: <volume 1>: it is blank"),
        ("7", "7 windows", "7 windows"),
        ("12", "12 s", "12 s"),
        ("a+b (c)", "a+b (c): ab", "<volume 1>: ab"),
    ],
)
def test_a_name_becomes_a_number(scene, add, name, said, kept):
    names = NodeNames()
    add(name)
    names.collect(scene)
    assert names.hide(said) == kept


def test_names_are_known_after_a_node_was_renamed_or_removed_and_keep_their_numbers(scene, add):
    names = NodeNames()
    first = add("Smith")
    names.collect(scene)
    first.SetName("Smith after surgery")
    add("Smith segmentation", "Segmentation")
    add("Smith ROI", "MarkupsROI")
    names.collect(scene)
    scene.Clear(True)
    names.collect(scene)
    add("Jones")
    names.collect(scene)
    text = names.hide("Smith, Smith after surgery, Smith segmentation, Smith ROI, Jones")
    assert text == "<volume 1>, <volume 2>, <segmentation 1>, <region 1>, <volume 3>"


def test_words_of_the_program_stay_where_no_node_is_called_so(scene, add):
    names = NodeNames()
    assert names.hide("any text") == "any text"
    add("Smith", "LinearTransform")
    names.collect(scene)
    line = "Red, Green, View: Done in 1.2 s on cpu with torch 2.6.0"
    assert names.hide(line) == line


def test_only_the_log_of_a_support_file_is_changed_by_it(scene, add):
    names = NodeNames()
    add("overlap")
    names.collect(scene)
    report = support_report({}, Preferences(), "overlap lies bent", settings={"overlap": "0.75"}, hide=names.hide)
    assert "<volume 1> lies bent" in report
    assert "overlap  0.75" in report
