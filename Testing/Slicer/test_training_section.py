"""The section that trains, in the whole panel on a real scene; what computes is told by the test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_process import FakeProcess

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import write_manifest
from medseg.imaging.image import Image
from medseg.io.dataset import describe_dataset
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.errors import MissingDependency
from medseg.spec.events import Finished, Learning, Noted, Stopped, Warned
from medseg.spec.manifest import ChannelSpec
from medseg.spec.training_job import TrainingJob
from mrml_nodes import volume_node_from_image
from small_manifest import small_manifest


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture
def bundles(specs, tmp_path, monkeypatch):
    """Two installed models; new ones go beside them."""
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    one = ChannelSpec(name="T1", modality="MR")
    two = ChannelSpec(name="FLAIR", modality="MR")
    turned = tuple(replace(spec, value=value) for value, spec in enumerate(specs[1::-1], start=1))
    made = {"one": small_manifest(model_id="one", title="One", labels=turned, channels=(one,))}
    made["two"] = small_manifest(model_id="two", title="Two", labels=specs, channels=(one, two))
    return {key: Bundle(tmp_path / "models" / key, manifest) for key, manifest in made.items()}


class DependencyInstaller:
    """Says no when it is told to."""

    def __init__(self):
        self.refusal, self.opened, self.meanwhile = "", 0, lambda: None

    def ensure(self):
        self.opened += 1
        self.meanwhile()
        if self.refusal:
            raise MissingDependency(self.refusal)


class Driver:
    """What a user does with the section."""

    def __init__(self, panel, process, installer, spin):
        self.panel, self.process, self.installer, self.spin = panel, process, installer, spin
        self.section = panel.sections.training

    def child(self, name):
        return self.section.widget.findChild("QWidget", name)

    def click(self, name):
        assert self.child(name).enabled, "a user cannot click what is disabled"
        self.child(name).click()

    def open(self):
        self.panel.sections.advanced.collapsed = False
        button = next(each for each in self.panel.sections.buttons if each.text.startswith(self.section.title))
        button.collapsed = False

    def lines(self):
        table = self.child("pairs")
        return [tuple(table.item(line, column).text() for column in range(2)) for line in range(table.rowCount)]

    @property
    def note(self):
        return self.child("note").text if self.child("note").visible else ""

    def train(self):
        self.click("train")
        self.spin(lambda: not self.section._task.kind and not self.is_preparing())

    def is_preparing(self):
        current = self.panel.queue.current
        return self.panel.queue.is_busy if current is None else current.run is None


@pytest.fixture
def driver(scene, bundles, spin):
    from medseg.desktop.panel.panel import Panel

    process, installer = FakeProcess(), DependencyInstaller()
    panel = Panel(scene, process.made_for, training_installer=installer, versions={}, find_models=lambda: dict(bundles))
    panel.widget.show()
    yield Driver(panel, process, installer, spin)
    panel.close()


@pytest.fixture
def add(scene, array, affines, specs):
    """Add a volume with a segmentation."""

    def case(name, *, segmentation="", labels=array, beside=True):
        volume = volume_node_from_image(scene, Image(array.astype(np.float32), affines[0]), name)
        reference = volume if beside else None
        image = Image(labels, affines[0])
        return volume, add_segmentation(
            scene, image, specs[:2], name=segmentation or f"{name} seg", reference_node=reference
        )

    return case


@pytest.fixture
def ready(driver, add):
    """Three cases in the list, and a name."""
    for name in ("a", "b", "c"):
        add(f"head {name}")
    driver.open()
    driver.child("name").setText("My model")
    return driver


def test_opening_the_section_lists_what_surely_belongs_together(driver, add, scene, array, affines):
    add("one", segmentation="S1")
    add("brain T1", segmentation="Segmentation of brain-T1", beside=False)
    add("alone", segmentation="something else", beside=False)
    volume, _node = add("twice", segmentation="first")
    add_segmentation(
        scene,
        Image(array, affines[0]),
        driver.section._bundles()["two"].manifest.labels,
        name="second",
        reference_node=volume,
    )
    driver.open()
    assert driver.lines() == [("one", "S1"), ("brain T1", "Segmentation of brain-T1")]
    assert "1 of 2 cases are learnt from, 1 held out" in driver.child("words").text
    assert "With so few" in driver.child("words").text


def test_train_sends_a_job_with_the_names_colours_and_codes_of_the_segments(ready, specs, bundles, tmp_path):
    ready.child("minutes").setValue(7)
    ready.train()
    (job,) = ready.process.jobs
    assert isinstance(job, TrainingJob)
    assert (job.title, job.output) == ("My model", str(tmp_path / "models" / "my-model"))
    assert (job.start, job.network, job.seconds) == (str(bundles["one"].folder), None, 420.0)
    by_name = {spec.name: (spec.color, spec.type) for spec in specs}
    assert [spec.name for spec in job.labels] == ["Liver", "Left hippocampus"], (
        "in the order of the model it begins with"
    )
    assert {spec.name: (spec.color, spec.type) for spec in job.labels}.items() <= by_name.items()
    dataset = describe_dataset(Path(job.dataset))
    assert list(dataset.cases) == ["head_a", "head_b", "head_c"]
    assert dataset.label_names == {1: "Liver", 2: "Left hippocampus"}
    assert ready.installer.opened == 1
    assert "in the queue" in ready.note


def test_progress_dice_and_notes_are_shown_and_cancel_stops(ready):
    ready.train()
    ready.process.tell(Learning(0, 0, 0.0, None, None, None))
    assert ready.panel.names.status.text == "Reading the cases"
    ready.process.tell(Noted("12 of 14 tensors start with the weights of one"))
    ready.process.tell(Warned("left out: head_a: it is blank"))
    ready.process.tell(Learning(50, 100, 0.5, 0.7, 0.81, 0.83, 95.0))
    assert ready.panel.names.status.text == "Training, Dice 0.810 (best 0.830), loss 0.700, about 2 minutes left"
    assert ready.panel.names.progress.value == 49
    assert "12 of 14 tensors" in ready.panel.log.text()
    (row,) = ready.panel.queue.rows
    assert row.warnings == ["left out: head_a: it is blank"]
    folder = Path(ready.process.jobs[0].dataset)
    ready.panel.names.cancel.click()
    assert ready.process.cancels == 1
    ready.process.tell(Stopped())
    assert row.state == "cancelled"
    assert "goes on where it was" in row.message
    assert not folder.exists(), "the cases on disk go with the job"


def test_what_is_in_the_queue_is_not_queued_again_until_it_is_cancelled(ready):
    ready.train()
    ready.train()
    assert "A training with this name is in the queue" in ready.note
    assert len(ready.panel.queue.rows) == 1
    ready.panel.names.cancel.click()
    ready.train()
    ready.process.tell(Stopped())
    ready.spin(lambda: len(ready.process.jobs) == 2)
    assert [row.state for row in ready.panel.queue.rows] == ["cancelled", "running"]


def test_a_new_model_that_sorts_before_the_others_is_not_chosen_by_itself(ready, bundles, specs):
    assert ready.panel.parameters.settings.model == ""
    ready.train()
    output = Path(ready.process.jobs[0].output)
    manifest = small_manifest(model_id="a", title="A", labels=specs)
    installed = {"a": Bundle(output, manifest), **bundles}
    bundles.clear()
    bundles.update(installed)
    ready.process.tell(Stopped())  # it came the moment the model was there
    box = ready.panel.choices.picker.widget.findChild("QComboBox", "model")
    assert [box.itemText(n) for n in range(box.count)] == ["A", "One", "Two"]
    assert ready.panel.current_model().manifest.model_id == "one"
    assert ready.child("start").currentText == "One"


def test_cases_are_written_one_at_a_turn_of_the_event_loop_and_the_queue_says_which(ready):
    said = []

    def written():
        current = ready.panel.queue.current
        said.append("" if current is None else current.message)
        return bool(ready.process.jobs)

    ready.click("train")
    ready.spin(written)
    sentences = [f"Writing case {number} of 3: head {letter}" for number, letter in enumerate("abc", start=1)]
    assert [text for text in dict.fromkeys(said) if "case" in text] == sentences


def test_a_list_that_changes_while_packages_are_installed_is_looked_at_anew(ready):
    ready.installer.meanwhile = lambda: ready.section.clear()
    ready.train()
    assert "at least 2 volumes" in ready.note
    assert ready.panel.queue.rows == ()


def test_the_new_model_appears_in_the_picker_and_the_one_chosen_stays(ready, bundles, specs):
    ready.train()
    output = Path(ready.process.jobs[0].output)
    manifest = small_manifest(
        model_id="my-model", title="My model", labels=specs, channels=(ChannelSpec(name="T1", modality="MR"),)
    )
    (output / "configs").mkdir(parents=True)
    write_manifest(manifest, metadata_path(output))
    (output / "docs" / "training").mkdir(parents=True)
    log = "step,epoch,loss,learning_rate,seconds,dice\n1,0,1,0.1,1,0.5\n2,0,1,0.1,1,0.75\n3,0,1,0.1,1,0.7\n"
    (output / "docs" / "training" / "log.csv").write_text(log)
    bundles["my-model"] = Bundle(output, manifest)
    ready.process.tell(Finished((str(output),), "cpu", 61.0))
    (row,) = ready.panel.queue.rows
    assert row.state == "done"
    assert "The model My model is in the list of models; Dice of the cases that were held out: 0.750" in row.message
    box = ready.panel.choices.picker.widget.findChild("QComboBox", "model")
    assert "My model" in [box.itemText(n) for n in range(box.count)]
    assert ready.panel.current_model().manifest.model_id == "one"
    start = ready.child("start")
    assert [start.itemText(n) for n in range(4)] == ["One", "Two", "My model", "from nothing: UltraLightUNet3D"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda it: it.child("name").setText(""), "needs a name with Latin letters"),
        (lambda it: it.child("name").setText("Two"), "There is a model two already"),
        (lambda it: it.section._show_pairs(it.section._pairs[:1]), "at least 2 volumes"),
        (lambda it: it.child("start").setCurrentIndex(1), "Two takes 2 channels"),
        (
            lambda it: it.section._pairs[1].segmentation.GetSegmentation().GetSegment("Segment_2").SetName("x"),
            "'head b seg' lacks Liver and has also x",
        ),
        (lambda it: setattr(it.installer, "refusal", "Nothing was installed."), "Nothing was installed."),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_queued(ready, spoil, words):
    spoil(ready)
    ready.train()
    assert words in ready.note
    assert ready.panel.queue.rows == ()
    assert ready.child("train").enabled


def test_an_empty_segmentation_is_found_while_the_window_lives_and_nothing_is_queued(ready, add, array):
    add("void", labels=np.zeros_like(array))
    ready.click("propose")
    ready.click("train")
    assert not ready.child("train").enabled, "while the cases are looked at"
    ready.spin(lambda: not ready.section._task.kind)
    assert "'void seg' has no voxels in 'void'" in ready.note
    assert ready.panel.queue.rows == ()


def test_cases_are_added_and_removed_by_hand_and_leave_with_their_nodes(driver, add, scene):
    volume, node = add("one", segmentation="x", beside=False)
    other, second = add("two", segmentation="y", beside=False)
    driver.open()
    assert driver.lines() == []
    assert "choose both and press Add case" in driver.note
    driver.child("volume").setCurrentNode(volume)
    driver.child("segmentation").setCurrentNode(second)
    driver.click("add")
    driver.child("segmentation").setCurrentNode(node)
    driver.click("add")
    assert driver.lines() == [("one", "x")], "a volume has one truth"
    driver.child("volume").setCurrentNode(other)
    driver.child("segmentation").setCurrentNode(second)
    driver.click("add")
    assert not driver.child("remove").enabled
    driver.child("pairs").selectRow(0)
    driver.click("remove")
    assert driver.lines() == [("two", "y")]
    scene.RemoveNode(other)
    driver.panel.refresh()
    assert driver.lines() == []


def test_a_folder_of_cases_is_taken_instead_of_the_scene(ready, tmp_path):
    ready.child("source").setCurrentIndex(1)
    assert not ready.child("sceneCases").visible
    ready.child("folder").currentPath = ""
    ready.train()
    assert ready.note == "Choose the folder of the cases."
    ready.child("folder").currentPath = str(tmp_path / "nothing")
    ready.train()
    assert "there is no such file or folder" in ready.note
    folder = tmp_path / "cases"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
        for name in ("a", "b"):
            (folder / part / f"{name}.nii").write_bytes(b"")
    ready.child("folder").currentPath = str(folder)
    ready.child("start").setCurrentIndex(2)
    ready.train()
    (job,) = ready.process.jobs
    assert (job.dataset, job.network, job.start, job.labels) == (str(folder), "ultralight_unet", None, ())


def test_a_closed_scene_takes_the_list_with_it_and_stops_the_training(ready, scene):
    ready.train()
    ready.panel.leave_scene()
    scene.Clear(False)
    ready.process.tell(Stopped())
    ready.panel.set_scene(scene)
    assert ready.lines() == []
    assert ready.panel.queue.rows[0].state == "cancelled"


def test_the_section_makes_the_calm_panel_taller_by_its_title_only(driver, grab, tmp_path):
    buttons = driver.panel.sections.buttons
    assert all(button.collapsed for button in buttons)
    before = grab(driver.panel.widget, tmp_path / "with.png", 420).height()
    button = next(each for each in buttons if each.text.startswith(driver.section.title))
    tall = button.height
    button.setVisible(False)
    assert before - grab(driver.panel.widget, tmp_path / "without.png", 420).height() <= tall + 3
