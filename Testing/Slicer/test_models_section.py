"""The section about models, in the whole panel on a real scene; where it matters with the real worker."""

import os
import shutil
import sys
import threading
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest

from fake_process import FakeProcess

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

from Integration.tiny import MODEL, write_tiny_bundle
from medseg.bundles import catalogue as catalogue_module
from medseg.bundles.catalogue import metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.desktop.install.requirements import NNUNET
from medseg.spec.events import Finished, Progress, Stopped
from medseg.spec.import_job import ImportJob

PATIENCE_SECONDS = 240


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """A folder with one model of the user's own, and no other but those that ship."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("MEDSEG_SHARED_MODELS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(catalogue_module, "user_folder", lambda: tmp_path / "nobody")
    write_tiny_bundle(tmp_path / "models")
    return tmp_path


@pytest.fixture
def nnunet(checkout):
    """The genuine model of nnU-Net that every clone has."""
    pytest.importorskip("dynamic_network_architectures", reason="needs nnU-Net's networks")
    return checkout / "Testing" / "Data" / "nnunet"


class Installer:
    """Remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def ensure(self):
        self.asked.append("all")

    def add(self, package):
        self.asked.append(package)

    def state(self):
        return ""

    def is_ready(self):
        return True

    def may_add(self, _package):
        return False


class Driver:
    """What a user does with the section."""

    def __init__(self, panel, spin):
        self.panel, self.spin = panel, spin
        self.section = panel.sections.models

    def child(self, name):
        found = self.section.widget.findChild("QWidget", name)
        assert found is not None, name
        return found

    def click(self, name):
        assert self.child(name).enabled, f"a user cannot click {name}, which is disabled"
        self.child(name).click()

    def seen(self, name):
        return not self.child(name).isHidden()

    def text(self, name):
        return self.child(name).text if self.seen(name) else ""

    def take(self, path):
        """Type a path and leave the line."""
        self.child("source").setText(str(path))
        self.section.importing.look()
        self.spin(lambda: not self.text("kind").startswith("Looking"))

    def titles(self):
        box = self.panel.choices.picker.widget.findChild("QComboBox", "model")
        return [box.itemText(n) for n in range(box.count)]

    def cell(self, line, column):
        return self.child("labels").item(line, column)


@pytest.fixture
def drive(scene, spin):
    """Make a panel with a process, and drive its section."""
    from medseg.desktop.panel.panel import Panel

    made = []

    def start(make_process, **more):
        panel = Panel(scene, make_process, versions={}, **more)
        panel.widget.show()
        made.append(panel)
        panel.sections.advanced.collapsed = False
        next(each for each in panel.sections.buttons if each.text.startswith("Models")).collapsed = False
        return Driver(panel, spin)

    yield start
    for panel in made:
        panel.close()


@pytest.fixture
def process():
    return FakeProcess()


@pytest.fixture
def driver(drive, process):
    return drive(process.made_for)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_of_nnunet_is_imported_listed_run_and_removed_in_the_panel(drive, nnunet, folders, load, answers, spin):
    from medseg.desktop.worker.qt_process import QtJobProcess
    from medseg.mrml.segmentations import labels_from_segmentation

    driver = drive(partial(QtJobProcess, python=sys.executable))
    archive = shutil.make_archive(str(folders / "weights"), "zip", nnunet / "model")
    driver.take(archive)
    assert driver.text("kind") == "This is a model of nnU-Net v2."
    assert driver.child("name").text == "weights"
    assert not driver.seen("weightsFields")
    assert not driver.seen("configuration")
    driver.child("name").setText("Organs of nnU-Net")
    driver.click("importModel")
    (row,) = driver.panel.queue.rows
    said = []

    def has_ended():
        said.append((row.percent, row.message))
        return row.has_ended

    spin(has_ended, seconds=PATIENCE_SECONDS)
    assert row.state == "done", row.details
    assert any("Reading the model" in message or "Trying one window" in message for _percent, message in said)
    assert sorted(percent for percent, _message in said) == [percent for percent, _message in said]
    assert "Organs of nnU-Net" in driver.titles()
    folder = folders / "models" / "organs-of-nnu-net"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["organs-of-nnu-net", MODEL]
    manifest = read_manifest(metadata_path(folder))
    card = driver.child("card").toPlainText()
    assert driver.seen("card")
    assert "From weights.zip, a model of nnU-Net v2, SHA-256" in card
    assert f"Each of its {manifest.imported.tensors} weight tensors has the name and shape" in card
    assert all(note in card for note in manifest.imported.assumed)
    assert f"your own: {folder}" in card

    driver.click("use")
    assert driver.panel.current_model().folder == folder
    volume = load(nnunet / "input" / "smaller_0000.nii.gz")
    driver.panel.parameters.set_inputs([volume])
    driver.panel.parameters.change(device="cpu", engine="torch")
    driver.panel.apply()
    spin(lambda: len(driver.panel.queue.rows) == 2, seconds=20)
    run = driver.panel.queue.rows[-1]
    spin(lambda: run.has_ended, seconds=PATIENCE_SECONDS)
    assert run.state == "done", run.details
    wanted = np.asarray(nibabel.load(nnunet / "expected" / "smaller.nii.gz").dataobj)
    found, _names = labels_from_segmentation(run.result.node, volume, list(run.result.segment_ids))
    np.testing.assert_array_equal(found.array[0], wanted)

    before = contents(folder)
    answers.queue("Cancel")
    driver.click("remove")
    assert folder.is_dir()
    answers.queue("Ok")
    driver.click("remove")
    assert "is not deleted: it is moved to" in answers.asked[-1]
    assert "Organs of nnU-Net" not in driver.titles()
    assert contents(folders / "models" / ".removed" / folder.name) == before
    assert not folder.exists()
    assert "was removed; its folder is" in driver.text("places")

    answers.queue("Choose a model")  # as Qt answers for Cancel
    driver.click("restore")
    assert not folder.exists()
    answers.queue("organs-of-nnu-net")
    driver.click("restore")
    assert "Organs of nnU-Net is in the list again." in driver.text("places")
    assert "Organs of nnU-Net" in driver.titles()
    assert contents(folder) == before


def test_an_import_is_cancelled_in_moments_and_nothing_is_left(drive, nnunet, folders, spin):
    from medseg.desktop.worker.qt_process import QtJobProcess

    driver = drive(partial(QtJobProcess, python=sys.executable))
    driver.take(nnunet / "model")
    driver.child("name").setText("Stopped")
    driver.click("importModel")
    (row,) = driver.panel.queue.rows
    spin(lambda: row.state == "running", seconds=20)
    driver.panel.cancel()
    spin(lambda: row.has_ended, seconds=PATIENCE_SECONDS)
    assert row.state == "cancelled"
    assert [path.name for path in (folders / "models").iterdir()] == [MODEL]
    assert "Cancelled" in driver.text("kind")
    assert not driver.seen("card")


def test_what_a_killed_import_has_left_is_removed_with_its_row(driver, process, nnunet, folders):
    driver.take(nnunet / "model")
    driver.click("importModel")
    driver.spin(lambda: process.jobs)
    (job,) = process.jobs
    assert isinstance(job, ImportJob)
    scratch = Path(job.scratch)
    assert scratch.parent == folders / "models" / ".importing"
    (scratch / ".half.x").mkdir(parents=True)
    (scratch / ".half.x" / "model.safetensors").write_bytes(b"half")
    process.tell(Progress("open", 0, 1))
    (row,) = driver.panel.queue.rows
    assert row.percent == 20
    assert row.message == "Reading the model and comparing its weights"
    driver.panel.cancel()
    process.tell(Stopped())
    assert not scratch.parent.exists()


def test_an_import_asks_for_the_package_of_its_kind_and_for_no_other(drive, process, nnunet):
    installer = Installer()
    driver = drive(process.made_for, installer=installer)
    driver.take(nnunet / "model")
    driver.click("importModel")
    driver.spin(lambda: process.jobs)
    assert installer.asked == ["all", NNUNET]


def test_of_several_configurations_one_is_chosen(driver, process, nnunet, folders):
    (model,) = (nnunet / "model").glob("*/*")
    for name in ("2d", "3d_lowres"):
        shutil.copytree(model, folders / "several" / "Dataset1" / f"nnUNetTrainer__nnUNetPlans__{name}")
    driver.take(folders / "several")
    box = driver.child("configuration")
    assert [box.itemText(n) for n in range(box.count)] == ["2d", "3d_lowres"]
    box.setCurrentIndex(1)
    driver.click("importModel")
    driver.spin(lambda: process.jobs)
    assert process.jobs[0].configuration == "3d_lowres"


def test_of_several_tasks_of_totalsegmentator_one_is_chosen(driver, process, nnunet, folders):
    (model,) = (nnunet / "model").glob("*/*")
    weights = folders / "weights"
    shutil.copytree(model, weights / "Dataset298_TotalSegmentator_total_6mm_1559subj" / model.name)
    shutil.copytree(model, weights / "Dataset150_icb_v0" / model.name)
    driver.take(weights)
    box = driver.child("task")
    assert driver.seen("task")
    assert not driver.seen("configuration")
    assert [box.itemText(n) for n in range(box.count)] == ["total_fastest", "cerebral_bleed"]
    box.setCurrentIndex(1)
    driver.click("importModel")
    driver.spin(lambda: process.jobs)
    assert (process.jobs[0].task, process.jobs[0].configuration) == ("cerebral_bleed", None)
    driver.take(nnunet / "model")
    assert not driver.seen("task")


def test_weights_ask_for_what_they_do_not_say(driver, process, folders):
    (folders / "mine.pth").write_bytes(b"not looked into by the panel")
    driver.take(folders / "mine.pth")
    assert "a file of weights" in driver.text("kind")
    assert driver.seen("weightsFields")
    driver.click("importModel")
    assert "labels takes names" in driver.text("kind")
    assert not driver.panel.queue.rows
    driver.child("labelNames").setText("spleen, left kidney")
    driver.child("intensity").setText("clip_unit:-100,200")
    driver.child("window").setText("32,32,32")
    driver.click("importModel")
    driver.spin(lambda: process.jobs)
    (job,) = process.jobs
    assert [label.name for label in job.choices.labels] == ["spleen", "left kidney"]
    assert (job.choices.intensity.lower, job.choices.window_shape, job.network) == (-100, (32, 32, 32), "dlka_net")
    assert (job.choices.model_id, job.choices.title) == ("mine", "mine")


@pytest.mark.parametrize(
    ("path", "words"), [("nothing", "there is no such file or folder"), ("empty", "holds no model that is known")]
)
def test_what_is_no_model_is_said_and_cannot_be_imported(driver, folders, path, words):
    (folders / "empty").mkdir()
    driver.take(folders / path)
    assert words in driver.text("kind")
    assert not driver.child("importModel").enabled


def test_a_name_that_is_taken_or_waits_in_the_queue_is_refused(driver, process, nnunet):
    driver.take(nnunet / "model")
    driver.child("name").setText(MODEL)
    driver.click("importModel")
    assert f"There is a model {MODEL} already, and it is kept" in driver.text("kind")
    driver.child("name").setText("twice")
    driver.click("importModel")
    driver.click("importModel")
    assert "An import with this name is in the queue" in driver.text("kind")
    driver.spin(lambda: process.jobs)
    assert len(driver.panel.queue.rows) == 1


def test_folder_and_file_are_chosen_in_dialogs(driver, answers, nnunet):
    answers.queue(str(nnunet / "model"))
    driver.click("folder")
    assert driver.child("source").text == str(nnunet / "model")
    answers.queue("")
    driver.click("file")
    assert driver.child("source").text == str(nnunet / "model")
    driver.spin(lambda: driver.text("kind") == "This is a model of nnU-Net v2.")


def test_the_folder_of_models_opens_with_one_click_and_is_made_first(driver, answers, folders, monkeypatch):
    driver.click("open")
    assert answers.opened == [(folders / "models").as_uri()]
    monkeypatch.setenv("MEDSEG_MODELS", str(folders / "other"))
    driver.click("open")
    assert (folders / "other").is_dir()


def test_models_that_ship_cannot_be_removed_or_labelled(driver):
    driver.panel.parameters.change(model="hippocampus-ultralight3d")
    assert not driver.child("remove").enabled
    assert not driver.child("suggest").enabled
    assert "comes with the program" in driver.text("about")


def test_a_model_that_a_job_uses_is_not_removed(driver, process, load, nnunet, answers, folders):
    driver.panel.parameters.change(model=MODEL)
    driver.panel.parameters.set_inputs([load(nnunet / "input" / "smaller_0000.nii.gz")])
    driver.panel.apply()
    driver.spin(lambda: process.jobs)
    assert process.jobs[0].model_folder == str(folders / "models" / MODEL)
    driver.click("remove")
    assert "A job in the queue uses this model" in driver.text("places")
    assert answers.asked == []
    assert (folders / "models" / MODEL).is_dir()


def test_segments_get_suggested_terms_that_are_seen_before_they_are_saved(driver, folders):
    driver.panel.parameters.change(model=MODEL)
    path = metadata_path(folders / "models" / MODEL)
    before = path.read_bytes()
    assert not driver.child("save").enabled
    driver.cell(0, 1).setText("kidneys")
    driver.cell(0, 2).setText("#010203")
    assert "1: colour" in driver.text("changes")
    assert path.read_bytes() == before
    driver.click("save")
    label = read_manifest(path).labels[0]
    assert (label.name, label.color) == ("kidneys", (1, 2, 3))
    driver.click("suggest")
    assert driver.cell(0, 3).text() == "kidney"
    assert "-> SCT:64033007:Kidney" in driver.text("changes")
    assert read_manifest(path).labels[0] == label
    driver.click("discard")
    assert "kidney" not in driver.cell(0, 3).text()
    driver.click("suggest")
    driver.click("save")
    assert read_manifest(path).labels[0].type.value == "64033007"
    assert "Segments kidneys" in driver.panel.choices.picker.widget.findChild("QLabel", "summary").text


def test_a_term_that_is_not_understood_is_said_and_nothing_is_saved(driver):
    driver.panel.parameters.change(model=MODEL)
    driver.cell(0, 3).setText("livre")
    assert "no anatomical term is called 'livre'; like it: liver" in driver.text("changes")
    assert not driver.child("save").enabled
    assert driver.child("discard").enabled


@pytest.fixture
def department(folders, checkout):
    """A folder of models that others share, with one in it."""
    shutil.copytree(checkout / "Models" / "hippocampus-ultralight3d", folders / "department" / "theirs")
    path = metadata_path(folders / "department" / "theirs")
    text = path.read_text(encoding="utf-8").replace('"hippocampus-ultralight3d"', '"theirs"')
    path.write_text(text, encoding="utf-8")
    return folders / "department"


def test_a_shared_folder_comes_by_one_path_and_its_models_say_where_they_are_from(driver, department, answers, process):
    answers.queue(str(department))
    driver.click("add")
    driver.spin(lambda: any("(shared)" in title for title in driver.titles()))
    assert f"{department}: 1 models" in driver.text("places")
    assert driver.panel.preferences.model_folders == (department,)
    driver.panel.parameters.change(model="theirs")
    assert driver.panel.current_model().folder == department / "theirs"
    assert not driver.child("remove").enabled
    assert "lies in a shared folder, which is only read" in driver.text("about")
    details = driver.panel.choices.picker.widget.findChild("QWidget", "details").toPlainText()
    assert f"shared by others, only read: {department / 'theirs'}" in details
    assert process.jobs == []


def test_the_environment_names_a_shared_folder_too(drive, process, department, monkeypatch):
    monkeypatch.setenv("MEDSEG_SHARED_MODELS", str(department))
    driver = drive(process.made_for)
    driver.spin(lambda: any("(shared)" in title for title in driver.titles()))


def test_a_folder_that_is_away_is_a_sentence_and_the_list_stays(driver, folders):
    from medseg.desktop.state.preferences import Preferences

    assert isinstance(driver.panel.preferences, Preferences)
    before = driver.titles()
    driver.panel.preferences.model_folders = [folders / "away"]
    driver.spin(lambda: "away, a shared folder of models, is not there" in driver.text("places"))
    assert driver.titles() == before


def test_a_drive_that_does_not_answer_does_not_hold_up_the_window(driver, department, monkeypatch):
    import time

    from medseg.desktop.panel import models

    answer = threading.Event()
    real = models.scan_folder

    def slow(root, origin):
        if root == department:
            answer.wait(60)
        return real(root, origin)

    monkeypatch.setattr(models, "scan_folder", slow)
    monkeypatch.setattr(models, "PATIENCE_SECONDS", 0.3)
    before = driver.titles()
    begun = time.monotonic()
    driver.panel.preferences.model_folders = [department]
    assert time.monotonic() - begun < 5
    assert driver.titles() == before
    driver.spin(lambda: "has not answered yet; its models are missing" in driver.text("places"))
    answer.set()
    driver.spin(lambda: any("(shared)" in title for title in driver.titles()))
    assert f"{department}: 1 models" in driver.text("places")


def test_a_broken_model_of_ones_own_is_said_too(drive, process, folders):
    (folders / "models" / "broken" / "configs").mkdir(parents=True)
    driver = drive(process.made_for)
    assert "metadata.json cannot be read" in driver.text("places")
    assert len(driver.titles()) > 1


def test_a_finished_import_whose_model_went_away_shows_no_card(driver, process, nnunet, folders):
    driver.take(nnunet / "model")
    driver.click("importModel")
    driver.spin(lambda: process.jobs)
    process.tell(Finished((str(folders / "models" / "model"),), "CPU", 1.0))
    (row,) = driver.panel.queue.rows
    assert row.state == "failed"
    assert "cannot be read" in driver.text("kind")
    assert not driver.seen("card")
