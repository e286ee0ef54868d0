"""What is said before Apply is pressed: whether the volume suits the model, how long it takes, also in a region."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from fake_process import FakeProcess
from medseg.bundles.catalogue import Bundle
from medseg.desktop.state.preferences import Preferences
from medseg.imaging.image import Image
from medseg.spec.manifest import ChannelSpec
from mrml_nodes import volume_node_from_image
from small_manifest import small_manifest


@pytest.fixture
def panel(slicer_scene, specs, spin):
    from medseg.desktop.panel.panel import Panel

    channels = (ChannelSpec(name="T1", modality="MR"),)
    manifest = small_manifest(model_id="one", labels=specs, channels=channels, window_shape=(16, 16, 16))
    preferences = Preferences()
    preferences.remember_window("one", "auto", 20.0)
    process = FakeProcess()
    made = Panel(
        slicer_scene,
        process.made_for,
        preferences=preferences,
        find_models=lambda: {"one": Bundle(Path(), manifest)},
    )
    made.process, made.spin = process, spin
    made.widget.show()
    yield made
    made.close()


def choose(panel, array, name="scan"):
    volume = volume_node_from_image(panel.parameters.scene, Image(array.astype(np.int16)), name)
    panel.parameters.set_inputs([volume])
    return volume


def noise(size=48):
    return np.random.default_rng(0).normal(300, 80, (1, size, size, size))


def test_a_ct_for_a_model_of_mr_is_told_before_apply_with_what_to_do(panel):
    ct = np.full((1, 48, 48, 48), -1000.0)
    ct[:, 10:38, 10:38, 10:38] = 40
    volume = choose(panel, ct)
    remark = panel.names.remark
    assert remark.visible
    assert remark.text.startswith("This looks like a CT")
    assert remark.text.endswith("choose a CT model.")
    assert panel.names.apply.enabled  # it is said, and the user decides
    pixels = volume.GetImageData()
    pixels.GetPointData().GetScalars().Fill(7)
    pixels.Modified()
    panel.refresh()
    assert not remark.visible  # other voxels, another answer


def test_what_suits_the_model_gets_no_remark(panel):
    choose(panel, noise())
    assert not panel.names.remark.visible
    assert panel.names.forecast.text.startswith("Takes about ")


def test_a_single_slice_for_a_model_of_volumes_is_told(panel):
    choose(panel, noise()[..., :1])
    assert panel.names.remark.text.startswith("There is only 1 voxel along k")


def test_the_voxels_are_looked_at_once_a_volume_and_model(panel, monkeypatch):
    looked = []
    from medseg.desktop.queue import suitability

    real = suitability.check_scan
    monkeypatch.setattr(suitability, "check_scan", lambda *args: looked.append(1) or real(*args))
    choose(panel, noise())
    for overlap in (0.25, 0.75):
        panel.parameters.change(overlap=overlap)
    assert len(looked) == 1


def test_the_line_below_apply_follows_a_region_that_is_drawn_fitted_and_dragged(panel):
    choose(panel, noise())
    whole = panel.names.forecast.text
    selector = panel.widget.findChild("QWidget", "roi")
    selector.addNode()  # as "Create new region" does
    region = panel.parameters.node("roi")
    selector.nodeAddedByUser.emit(region)
    panel.spin(lambda: panel.names.forecast.text.startswith("Takes about "))
    half = panel.names.forecast.text
    assert half != whole
    region.SetSize(0, 0, 0)
    panel.spin(lambda: "has no size" in panel.names.forecast.text)
    panel.widget.findChild("QWidget", "fit").click()
    panel.spin(lambda: panel.names.forecast.text == whole)
    region.SetSize(5, 5, 5)
    panel.spin(lambda: panel.names.forecast.text not in (whole, half))


def test_memory_is_named_only_where_it_is_a_problem(panel, monkeypatch):
    from medseg.desktop.panel import status_view

    monkeypatch.setattr(status_view, "main_memory_mb", lambda: (100_000, 100_000))
    choose(panel, noise())
    assert "memory" not in panel.names.forecast.text
    monkeypatch.setattr(status_view, "main_memory_mb", lambda: (100, 100_000))
    panel.refresh()
    assert "of memory, and 100 MiB are free" in panel.names.forecast.text
    monkeypatch.setattr(status_view, "main_memory_mb", lambda: (None, None))
    panel.refresh()
    assert "memory" not in panel.names.forecast.text


def test_a_first_run_is_told_with_the_start_of_a_worker_and_the_next_without(panel):
    panel.preferences.remember_window("one", "auto", 0.4)
    choose(panel, noise(16))
    panel.refresh()
    cold = panel.names.forecast.text
    panel.process.pid = 1
    panel.preferences.remember_window("one", "auto", 9.0)
    panel.refresh()
    assert cold == "Takes a few seconds."
    assert panel.names.forecast.text == "Takes a few seconds."  # 9 s of network alone
    panel.process.pid = None
    panel.refresh()
    assert panel.names.forecast.text == "Takes about 10 seconds."
