"""Every .ui file: whoever cannot see the screen or hold a mouse finds, understands and reaches each control."""

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from medseg.desktop.panel.ui import UI_FOLDER

FILES = sorted(UI_FOLDER.glob("*.ui"))

# What says by itself what it is, by its text; all other controls need a label whose buddy they are.
WITH_TEXT = {"QPushButton", "QToolButton", "QCheckBox", "QRadioButton", "ctkCheckBox", "ctkPushButton"}
CONTROLS = WITH_TEXT | {
    "QComboBox",
    "QDoubleSpinBox",
    "QLineEdit",
    "QListView",
    "QListWidget",
    "QPlainTextEdit",
    "QSlider",
    "QSpinBox",
    "QTableView",
    "QTableWidget",
    "QTextBrowser",
    "QTextEdit",
    "QTreeView",
    "QTreeWidget",
    "ctkComboBox",
    "ctkDirectoryButton",
    "ctkDoubleSpinBox",
    "ctkPathLineEdit",
    "ctkRangeWidget",
    "ctkSliderWidget",
    "qMRMLCheckableNodeComboBox",
    "qMRMLNodeComboBox",
    "qMRMLSegmentSelectorWidget",
    "qMRMLSegmentsTableView",
    "qMRMLSliderWidget",
    "qMRMLSubjectHierarchyComboBox",
    "qMRMLTableView",
}
PASSIVE = {
    "QFrame",
    "QGroupBox",
    "QLabel",
    "QProgressBar",
    "QScrollArea",
    "QStackedWidget",
    "QTabWidget",
    "QWidget",
    "ctkCollapsibleButton",
    "ctkCollapsibleGroupBox",
    "qMRMLWidget",
}
# Read, not filled in: the accessible name is enough where the text below it says what it is.
READ_ONLY = {"QTextBrowser", "QPlainTextEdit", "QTableWidget", "QTableView", "qMRMLSegmentsTableView", "qMRMLTableView"}


def widgets(path):
    return ET.parse(path).getroot().iter("widget")  # noqa: S314 - our own files


def texts(widget):
    """Its own properties, as text."""
    return {entry.get("name"): "".join(entry.itertext()).strip() for entry in widget.findall("property")}


CASES = [
    pytest.param(path, widget, id=f"{path.stem}-{widget.get('name')}")
    for path in FILES
    for widget in widgets(path)
    if widget.get("class") in CONTROLS
]


def test_there_are_ui_files():
    assert {"ModelPicker", "Performance", "Postprocessing", "Region"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_classes_that_were_judged_for_their_accessibility_are_used(path):
    used = {widget.get("class") for widget in widgets(path)}
    assert used <= CONTROLS | PASSIVE, "add the class to one of the lists of this test"


@pytest.mark.parametrize(("path", "widget"), CASES)
def test_a_control_has_an_accessible_name_and_a_tool_tip(path, widget):
    said = texts(widget)
    assert said.get("accessibleName"), path.name
    assert said.get("toolTip"), path.name
    assert said["accessibleName"] == re.sub("&(.)", r"\1", said["accessibleName"]), "read aloud: no mnemonic in it"


@pytest.mark.parametrize(("path", "widget"), CASES)
def test_a_control_is_labelled(path, widget):
    if widget.get("class") in WITH_TEXT:
        assert texts(widget).get("text"), "a button says what it does"
    elif widget.get("class") not in READ_ONLY:
        assert widget.get("name") in {texts(label).get("buddy") for label in widgets(path)}, "no label has it as buddy"


@pytest.mark.parametrize(("path", "widget"), CASES)
def test_a_control_can_be_reached_by_the_keyboard(path, widget):
    policy = texts(widget).get("focusPolicy", "Qt::StrongFocus")
    assert policy in {"Qt::StrongFocus", "Qt::TabFocus", "Qt::WheelFocus"}, path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_buddies_exist_and_their_labels_have_a_mnemonic_that_is_unique_in_the_file(path):
    every = list(widgets(path))
    names = Counter(widget.get("name") for widget in every)
    assert max(names.values()) == 1, names.most_common(1)
    mnemonics = []
    for widget in every:
        said = texts(widget)
        if "buddy" in said:
            assert said["buddy"] in names, said["buddy"]
            assert re.search("&[^&]", said["text"]), f"{said['text']!r} has no mnemonic"
        mnemonics += [letter.lower() for letter in re.findall("&([^&])", said.get("text", ""))]
    assert max(Counter(mnemonics).values(), default=1) == 1, Counter(mnemonics).most_common(3)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_label_that_says_something_is_not_hidden_from_screen_readers_by_a_name(path):
    """Qt reads a label's accessible name instead of its text."""
    for widget in widgets(path):
        said = texts(widget)
        if widget.get("class") == "QLabel" and "accessibleName" in said:
            assert "text" not in said, f"{widget.get('name')}: its text would not be read"
            assert "wordWrap" not in said, f"{widget.get('name')}: it holds text, which would not be read"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_colours_are_set_and_every_text_wraps(path: Path):
    text = path.read_text(encoding="utf-8")
    assert "styleSheet" not in text
    assert "palette" not in text
    assert "vtkMRMLScene" not in text, "the scene is given in Python"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_mnemonic_takes_a_letter_that_opens_a_menu_of_slicer(path):
    letters = {
        letter.lower() for each in widgets(path) for letter in re.findall("&([^&])", texts(each).get("text", ""))
    }
    assert not letters & set("fevh"), "File, Edit, View, Help: with two owners Alt and the letter opens neither"
