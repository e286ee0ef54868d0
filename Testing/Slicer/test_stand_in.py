"""The stand-in for Slicer's Qt side: where it were wrong, the tests of the panel would mean nothing."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials", exc_type=ImportError)
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

TINY_UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Tiny</class>
 <widget class="qMRMLWidget" name="Tiny">
  <layout class="QVBoxLayout" name="column">
   <item>
    <widget class="ctkCollapsibleButton" name="section">
     <property name="text"><string>Advanced</string></property>
     <property name="collapsed"><bool>true</bool></property>
     <layout class="QFormLayout" name="form">
      <item row="0" column="0">
       <widget class="QLabel" name="volumeLabel">
        <property name="text"><string>&amp;Volume:</string></property>
        <property name="buddy"><cstring>volume</cstring></property>
       </widget>
      </item>
      <item row="0" column="1">
       <widget class="qMRMLNodeComboBox" name="volume">
        <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
        <property name="noneEnabled"><bool>true</bool></property>
        <property name="toolTip"><string>What to segment</string></property>
       </widget>
      </item>
      <item row="1" column="1">
       <widget class="ctkSliderWidget" name="threshold">
        <property name="maximum"><double>1.0</double></property>
        <property name="singleStep"><double>0.01</double></property>
        <property name="value"><double>0.5</double></property>
       </widget>
      </item>
      <item row="2" column="1">
       <widget class="ctkPathLineEdit" name="path">
        <property name="filters"><set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable</set></property>
       </widget>
      </item>
     </layout>
    </widget>
   </item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
   <container>1</container></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header>
   <container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header>
  </customwidget>
  <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends><header>ctkSliderWidget.h</header>
  </customwidget>
  <customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends><header>ctkPathLineEdit.h</header>
  </customwidget>
 </customwidgets>
</ui>
"""


@pytest.fixture
def ui(slicer_app):
    import slicer

    path = Path(slicer_app.temporaryPath) / "Tiny.ui"
    path.write_text(TINY_UI, encoding="utf-8")
    widget = slicer.util.loadUI(str(path))
    return widget, slicer.util.childWidgetVariables(widget)


def test_a_ui_file_gives_widgets_that_behave_as_in_slicer(ui, slicer_scene):
    widget, names = ui
    assert widget.className() == "qMRMLWidget"
    assert (names.section.text, names.section.collapsed) == ("Advanced", True)
    assert names.volume.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert names.volume.toolTip == "What to segment"
    assert names.volumeLabel.buddy() is names.volume
    assert (names.threshold.maximum, names.threshold.value) == (1.0, 0.5)
    assert names.path.filters == names.path.Dirs | names.path.Readable
    names.volume.setMRMLScene(slicer_scene)
    assert names.volume.enabled


def test_properties_are_values_and_hide_their_getters(qt_app):
    label = qt_app.QLabel("one")
    assert label.text == "one"
    label.text = "two"
    assert (label.text, label.className(), label.name) == ("two", "QLabel", "")
    box = qt_app.QComboBox()
    box.addItem("a", None)
    box.addItem("b", {"any": "thing"})
    box.currentIndex = 1
    assert (box.currentText, box.itemData(1), box.count) == ("b", {"any": "thing"}, 2)


def test_what_qt_made_itself_behaves_the_same(qt_app):
    text = qt_app.QPlainTextEdit("\n" * 500)
    bar = text.verticalScrollBar()
    heard = []
    bar.connect("valueChanged(int)", heard.append)
    bar.value = bar.maximum
    assert bar.value == bar.maximum > 0
    assert heard == [bar.maximum]


def test_what_slicer_would_refuse_is_refused(qt_app):
    button = qt_app.QPushButton("Apply")
    with pytest.raises(AttributeError, match="'note' does not exist on QPushButton"):
        button.note = "mine"
    with pytest.raises(ValueError, match=r"QPushButton has no signal 'cliked\(\)'"):
        button.connect("cliked()", print)
    with pytest.raises(AttributeError, match="width"):
        button.width = 30
    with pytest.raises(AttributeError, match="Qt has no QRegExp"):
        _ = qt_app.QRegExp

    class Mine(qt_app.QWidget):
        pass

    mine = Mine()
    mine.note = "mine"
    assert (mine.note, mine.className()) == ("mine", "QWidget")


def test_a_getter_written_in_python_is_used_by_qt_and_still_a_value(qt_app):
    class Wide(qt_app.QWidget):
        def sizeHint(self):  # noqa: N802 - Qt's name
            return qt_app.QSize(123, 45)

    around, wide = qt_app.QWidget(), Wide()
    column = qt_app.QVBoxLayout(around)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(wide)
    assert around.sizeHint == wide.sizeHint == qt_app.QSize(123, 45)


def test_a_slot_gets_as_many_arguments_as_it_takes(qt_app):
    button, heard = qt_app.QPushButton(), []

    class Listener:
        def none(self):
            heard.append("none")

        def one(self, is_checked):
            heard.append(("one", is_checked))

        def __call__(self, *arguments):
            heard.append(arguments)

    listener = Listener()
    button.checkable = True
    for slot in (listener.none, listener.one, listener, lambda: heard.append("lambda")):
        button.connect("toggled(bool)", slot)
    button.click()
    assert heard == ["none", ("one", True), (True,), "lambda"]


def test_a_slot_that_was_disconnected_is_not_called(qt_app):
    button, heard = qt_app.QPushButton(), []

    class Listener:
        def hear(self):
            heard.append("method")

    listener, other = Listener(), lambda: heard.append("other")
    button.connect("clicked()", listener.hear)
    button.connect("clicked()", other)
    assert button.disconnect("clicked()", listener.hear)
    assert not button.disconnect("clicked()", listener.hear)
    button.click()
    assert heard == ["other"]


def test_what_a_slot_raises_is_printed_by_qt_and_fails_the_test_afterwards(qt_app, qt_errors):
    button = qt_app.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    assert ["ZeroDivisionError" in each for each in qt_errors] == [True]
    qt_errors.clear()


def test_what_qt_warns_of_fails_the_test_afterwards(qt_app, qt_errors):
    widget = qt_app.QWidget()
    qt_app.QVBoxLayout(widget)
    qt_app.QVBoxLayout(widget)
    assert ["already has a layout" in each for each in qt_errors] == [True]
    qt_errors.clear()


@pytest.mark.usefixtures("slicer_app")
def test_a_fold_hides_its_children_and_shows_those_that_were_shown():
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton("Advanced")
    column = qt.QVBoxLayout(section)
    shown, hidden, later = (qt.QLabel(text) for text in ("shown", "hidden", "later"))
    column.addWidget(shown)
    column.addWidget(hidden)
    hidden.hide()
    heard = []
    section.connect("contentsCollapsed(bool)", heard.append)
    section.show()
    assert (shown.visible, hidden.visible) == (True, False)
    high = section.sizeHint.height()
    section.collapsed = True
    column.addWidget(later)
    later.show()
    assert not any(each.visible for each in (shown, hidden, later))
    assert section.sizeHint.height() < high
    section.click()
    assert heard == [True, False]
    assert [each.visible for each in (shown, hidden, later)] == [True, False, True]


@pytest.mark.usefixtures("slicer_app")
def test_a_fold_draws_its_title(grab, tmp_path):
    import ctk

    def picture(text):
        section = ctk.ctkCollapsibleButton(text)
        section.collapsed = True
        return grab(section, tmp_path / f"{len(text)}.png", 200, 30)

    assert picture("Advanced") != picture("")


def test_folds_within_folds_from_a_ui_file_begin_hidden(ui):
    widget, names = ui
    widget.show()
    assert not names.threshold.visible
    names.section.collapsed = False
    assert names.threshold.visible


@pytest.mark.usefixtures("slicer_app")
def test_a_ui_file_with_what_nobody_has_is_refused(tmp_path):
    import slicer

    path = tmp_path / "Wrong.ui"
    wrong = TINY_UI.replace('"noneEnabled"', '"nonEnabled"').replace("ctkSliderWidget", "ctkSlidingWidget")
    path.write_text(wrong.replace('"text"><string>&amp;', '"test"><string>&amp;'))
    with pytest.raises(LookupError) as caught:
        slicer.util.loadUI(str(path))
    assert "qMRMLNodeComboBox has no property 'nonEnabled'" in str(caught.value)
    assert "QLabel has no property 'test'" in str(caught.value)
    assert "no widget class 'ctkSlidingWidget'" in str(caught.value)


@pytest.fixture
def combo(slicer_app):
    import slicer

    assert slicer.mrmlScene is slicer_app.scene
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.addEnabled = box.removeEnabled = False
    return box


def test_a_node_selector_follows_its_scene(combo, slicer_scene):
    first = slicer_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
    heard = []
    combo.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    assert (combo.enabled, combo.currentNode()) == (False, None)
    combo.setMRMLScene(slicer_scene)
    assert (combo.enabled, combo.currentNode(), heard) == (True, first, [first])
    second = slicer_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second")
    slicer_scene.AddNewNodeByClass("vtkMRMLModelNode", "model")
    assert combo.nodes() == (first, second)
    combo.setCurrentNode(second)
    second.SetName("renamed")
    assert combo.lines() == ["first", "renamed"]
    assert combo.comboBox().currentText == "renamed"
    slicer_scene.RemoveNode(second)
    assert combo.currentNode() is first
    assert combo.nodeCount() == 1
    slicer_scene.Clear(False)
    assert (combo.currentNode(), combo.currentNodeID) == (None, "")
    assert heard == [first, second, second, first, None]


def test_a_node_selector_that_may_choose_none_begins_with_none(combo, slicer_scene):
    combo.noneEnabled, combo.noneDisplay = True, "New segmentation"
    node = slicer_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
    combo.setMRMLScene(slicer_scene)
    assert combo.currentNode() is None
    assert combo.lines() == ["New segmentation", "first"]
    combo.setCurrentNodeID(node.GetID())
    assert combo.currentNode() is node
    combo.setCurrentNode(None)
    assert combo.currentNode() is None


def test_labelmaps_are_no_scans_when_derived_classes_are_left_out(combo, slicer_scene):
    slicer_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    combo.setMRMLScene(slicer_scene)
    assert combo.nodeCount() == 1
    combo.showChildNodeTypes = False
    assert combo.nodeCount() == 0
    assert combo.currentNode() is None


def test_a_user_makes_and_deletes_a_node_in_the_selector(combo, slicer_scene):
    combo.addEnabled = combo.removeEnabled = True
    combo.baseName = "scan"
    combo.setMRMLScene(slicer_scene)
    heard = []
    combo.connect("nodeAddedByUser(vtkMRMLNode*)", heard.append)
    box = combo.comboBox()
    create, delete = combo.lines()
    assert create.startswith("Create new")
    assert delete.startswith("Delete current")
    box.activated.emit(0)
    assert heard == [combo.currentNode()]
    assert heard[0].GetName() == "scan"
    box.activated.emit(combo.lines().index(delete))
    assert slicer_scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_segments_table_follows_its_segmentation(slicer_scene):
    import slicer

    node = slicer_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    segmentation = node.GetSegmentation()
    for name in ("liver", "spleen"):
        segmentation.AddEmptySegment(name, name.title())
    table, heard = slicer.qMRMLSegmentsTableView(), []
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda: heard.append(table.selectedSegmentIDs()))
    table.setSegmentationNode(node)
    assert (table.segmentCount, table.displayedSegmentIDs()) == (2, ("liver", "spleen"))
    table.setSelectedSegmentIDs(["spleen"])
    assert heard == [("spleen",)]
    segmentation.GetSegment("liver").SetName("Whole liver")
    assert table.tableWidget().item(0, 2).text() == "Whole liver"
    assert table.selectedSegmentIDs() == ("spleen",)
    table.tableWidget().item(1, 2).setText("Milt")
    assert segmentation.GetSegment("spleen").GetName() == "Milt"
    segmentation.RemoveSegment("spleen")
    assert (table.segmentCount, table.selectedSegmentIDs()) == (1, ())


@pytest.mark.usefixtures("slicer_app")
def test_numbers_stay_in_their_range():
    import ctk

    slider, heard = ctk.ctkSliderWidget(), []
    slider.maximum = 1.0
    slider.connect("valueChanged(double)", heard.append)
    slider.value = 0.25
    slider.value = 7
    assert (slider.value, heard) == (1.0, [0.25, 1.0])
    slider.setRange(0.0, 0.5)
    assert (slider.value, heard[-1]) == (0.5, 0.5)


@pytest.mark.usefixtures("slicer_app")
def test_an_emptied_path_is_told_as_not_valid_and_not_as_a_path(answers):
    import ctk

    line, heard = ctk.ctkPathLineEdit(), []
    line.connect("currentPathChanged(QString)", heard.append)
    line.connect("validInputChanged(bool)", heard.append)
    answers.queue("/opt/venv")
    line.browse()
    line.currentPath = ""
    assert heard == ["/opt/venv", True, False]


@pytest.mark.usefixtures("slicer_app")
def test_a_dialog_takes_the_answer_that_was_queued_and_never_waits(answers):
    import qt
    import slicer

    with pytest.raises(AssertionError, match="a dialog nobody expected: 'Install torch"):
        slicer.util.confirmOkCancelDisplay("Install torch?")
    answers.queue("Ok", "Cancel", "No", "report.csv", "")
    assert slicer.util.confirmOkCancelDisplay("Install torch?")
    assert not slicer.util.confirmOkCancelDisplay("Install torch?")
    assert qt.QMessageBox.question(None, "Sure", "Really?") == qt.QMessageBox.No
    assert qt.QFileDialog.getSaveFileName(None, "Save as", "", "*.csv") == "report.csv"
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
    assert answers.asked[-3:] == ["Sure: Really?", "Save as", "Folder"]
    assert qt.QDesktopServices.openUrl(qt.QUrl("https://example.org/"))
    assert answers.opened == ["https://example.org/"]


def test_time_passes_in_qts_event_loop(qt_app, spin):
    heard = []
    qt_app.QTimer.singleShot(0, lambda: heard.append("soon"))
    timer = qt_app.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", lambda: heard.append("tick"))
    timer.start()
    assert timer.active
    spin(lambda: heard.count("tick") == 2)
    assert heard[0] == "soon"
    timer.stop()
    with pytest.raises(AssertionError, match="in vain"):
        spin(lambda: False, seconds=0.05)


def test_the_slice_views_are_real_nodes_that_survive_closing_the_scene(slicer_app, slicer_scene):
    red = slicer_app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    red.JumpSliceByCentering(10, 20, 30)
    assert red.GetSliceOffset() == pytest.approx(30)
    slicer_scene.Clear(False)
    for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
        assert slicer_scene.GetNumberOfNodesByClass(kind) == 3


def test_the_settings_of_slicer_are_not_the_users(slicer_app, tmp_path_factory):
    slicer_app.settings().setValue("MedSegAttention/Python", "/usr/bin/python3")
    assert slicer_app.userSettings().value("MedSegAttention/Python") == "/usr/bin/python3"
    assert str(tmp_path_factory.getbasetemp()) in slicer_app.settings().fileName()


def test_the_clipboard_holds_what_was_copied(qt_app):
    qt_app.QApplication.clipboard().setText("log")
    assert qt_app.QApplication.clipboard().text() == "log"


def test_slicers_own_tools_work_on_the_application(slicer_app, slicer_scene):
    import numpy as np
    import slicer

    node = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.uint8), name="scan")
    assert slicer.util.getNode("scan") is node
    slicer.util.setSliceViewerLayers(background=node)
    logic = slicer_app.layoutManager().sliceWidget("Green").sliceLogic()
    assert logic.GetSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()
    assert slicer.modules.segmentations.logic().GetMRMLScene() is slicer_scene
    assert slicer.util.mainWindow().className() == "QMainWindow"


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_a_scene_is_saved_and_loaded_again(slicer_app, slicer_scene, tmp_path, ending):
    import numpy as np
    import slicer

    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    slicer.util.addVolumeFromArray(voxels, name="scan")
    if ending == "mrml":  # saves the nodes' places only
        assert slicer.util.saveNode(slicer.util.getNode("scan"), str(tmp_path / "scan.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / f"scene.{ending}"))
    slicer_scene.Clear(False)
    slicer.util.loadScene(str(tmp_path / f"scene.{ending}"))
    np.testing.assert_array_equal(slicer.util.array("scan"), voxels)
    assert slicer_app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetScene() is slicer_scene


def test_the_modules_widget_is_built_by_its_own_setup(slicer_app, door):
    widget = door.MedSegAttentionWidget()
    widget.setup()
    assert widget.layout.count() == 1
    slicer_app.scene.Clear(False)
    widget.cleanup()


def test_the_base_classes_keep_one_parameter_node(slicer_app, door):
    logic = door.MedSegAttentionLogic()
    node = logic.getParameterNode()
    assert node.GetModuleName() == "MedSegAttention"
    slicer_app.processEvents()
    assert logic.getParameterNode() is node


def test_without_the_fixture_there_is_no_qt():
    import slicer

    assert "qt" not in sys.modules
    assert "ctk" not in sys.modules
    assert not any(hasattr(slicer, name) for name in ("app", "mrmlScene", "qMRMLNodeComboBox"))
    assert "medseg.desktop.worker.qt_process" not in sys.modules


@pytest.mark.usefixtures("qt_app")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None cannot end there")
def test_none_outlives_what_qt_takes_of_it():
    from stand_in.install import RESERVE

    assert sys.getrefcount(None) > RESERVE // 2
