"""Every .ui file: whoever cannot see the screen or hold a mouse finds, understands and reaches each control."""

import re
from collections import Counter
from xml.etree import ElementTree as ET

import pytest

from medseg.desktop.panel.controls import UI_FOLDER

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


CONTROLS_OF = [(path, widget) for path in FILES for widget in widgets(path) if widget.get("class") in CONTROLS]


def place(path, widget):
    return f"{path.name}: {widget.get('name')}"


def test_there_are_ui_files():
    assert {"ModelPicker", "Performance", "Postprocessing", "Region"} <= {path.stem for path in FILES}
    assert len(CONTROLS_OF) > 50


def test_only_classes_that_were_judged_for_their_accessibility_are_used():
    unknown = {
        place(path, widget): widget.get("class")
        for path in FILES
        for widget in widgets(path)
        if widget.get("class") not in CONTROLS | PASSIVE
    }
    assert unknown == {}, "add the class to one of the lists of this test"


def test_a_control_has_an_accessible_name_and_a_tool_tip():
    lacking = {
        place(path, widget): lacks
        for path, widget in CONTROLS_OF
        if (lacks := {"accessibleName", "toolTip"} - {name for name, text in texts(widget).items() if text})
    }
    assert lacking == {}


def test_an_accessible_name_is_read_aloud_and_has_no_mnemonic():
    names = {place(path, widget): texts(widget).get("accessibleName", "") for path, widget in CONTROLS_OF}
    assert {at: name for at, name in names.items() if name != re.sub("&(.)", r"\1", name)} == {}


def test_a_control_is_labelled_by_its_own_text_or_by_a_label_whose_buddy_it_is():
    wrong = []
    for path, widget in CONTROLS_OF:
        if widget.get("class") in WITH_TEXT:
            labelled = bool(texts(widget).get("text"))
        else:
            buddies = {texts(label).get("buddy") for label in widgets(path)}
            labelled = widget.get("class") in READ_ONLY or widget.get("name") in buddies
        if not labelled:
            wrong.append(place(path, widget))
    assert wrong == []


def test_a_control_can_be_reached_by_the_keyboard():
    policies = {place(path, widget): texts(widget).get("focusPolicy") for path, widget in CONTROLS_OF}
    reached = {None, "Qt::StrongFocus", "Qt::TabFocus", "Qt::WheelFocus"}
    assert {at: policy for at, policy in policies.items() if policy not in reached} == {}


def test_names_are_unique_in_a_file_and_buddies_exist():
    for path in FILES:
        every = list(widgets(path))
        names = Counter(widget.get("name") for widget in every)
        assert max(names.values()) == 1, (path.name, names.most_common(1))
        buddies = {texts(widget)["buddy"] for widget in every if "buddy" in texts(widget)}
        assert buddies <= set(names), (path.name, buddies - set(names))


def test_labels_of_buddies_have_a_mnemonic_and_each_is_unique_in_its_file():
    for path in FILES:
        said = [texts(widget) for widget in widgets(path)]
        without = [each["text"] for each in said if "buddy" in each and not re.search("&[^&]", each["text"])]
        assert without == [], path.name
        mnemonics = Counter(letter for each in said for letter in mnemonics_in(each))
        assert max(mnemonics.values(), default=1) == 1, (path.name, mnemonics.most_common(3))


def test_no_mnemonic_takes_a_letter_that_opens_a_menu_of_slicer():
    """File, Edit, View, Help: with two owners Alt and the letter opens neither."""
    taken = {
        place(path, widget): letters
        for path in FILES
        for widget in widgets(path)
        if (letters := set(mnemonics_in(texts(widget))) & set("fevh"))
    }
    assert taken == {}


def mnemonics_in(said):
    return [letter.lower() for letter in re.findall("&([^&])", said.get("text", ""))]


def test_a_label_that_says_something_is_not_hidden_from_screen_readers_by_a_name():
    """Qt reads a label's accessible name instead of its text; a label that wraps holds text later."""
    hidden = [
        place(path, widget)
        for path in FILES
        for widget in widgets(path)
        if widget.get("class") == "QLabel"
        and "accessibleName" in (said := texts(widget))
        and {"text", "wordWrap"} & set(said)
    ]
    assert hidden == []


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("styleSheet", "colours are the user's"),
        ("palette", "colours are the user's"),
        ("vtkMRMLScene", "the scene is given in Python"),
    ],
)
def test_no_file_sets_colours_or_a_scene(word, why):
    assert [path.name for path in FILES if word in path.read_text(encoding="utf-8")] == [], why
