"""The pictures of the documentation, made by a real run: the panel on the Qt stand-in, the views by Slicer's classes.

``MEDSEG_PICTURES=folder pytest Testing/Slicer/test_pictures.py`` keeps them.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from views import Views, why_not

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials", exc_type=ImportError)
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from PIL import Image as Picture

from medseg.io.read import read_image
from mrml_nodes import volume_node_from_image

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "colin27_left_t1.nii.gz"


@pytest.fixture
def folder(tmp_path):
    kept = os.environ.get("MEDSEG_PICTURES")
    return tmp_path if kept is None else Path(kept)


def share_of(picture, colour, tolerance=30):
    """How much of a picture has nearly one colour."""
    return float((np.abs(picture.astype(int) - colour).max(axis=-1) <= tolerance).mean())


def test_a_run_of_the_shipped_model_is_seen_in_panel_slices_and_space(slicer_scene, monkeypatch, spin, grab, folder):
    monkeypatch.setattr("medseg.desktop.worker.job_process.find_python", lambda: sys.executable)
    from medseg.desktop.panel.panel import Panel
    from medseg.desktop.worker.qt_process import QtJobProcess

    volume = volume_node_from_image(slicer_scene, read_image(SAMPLE).image, "colin27 left T1")
    panel = Panel(slicer_scene, QtJobProcess)
    panel.parameters.change(model="hippocampus-ultralight3d", device="cpu")
    panel.widget.show()
    panel.names.apply.click()
    spin(lambda: panel.queue.rows and panel.queue.rows[-1].has_ended, seconds=120)
    segmentation = panel.queue.rows[-1].result.node
    assert segmentation is not None, panel.queue.rows[-1].details
    segmentation.CreateClosedSurfaceRepresentation()
    grab(panel.widget, folder / "panel.png", 420)
    panel.close()
    colours = [np.multiply(segmentation.GetSegmentation().GetNthSegment(n).GetColor(), 255) for n in range(2)]
    drawn = np.asarray(Picture.open(folder / "panel.png").convert("RGB"))
    assert all(share_of(drawn, colour, tolerance=3) > 0.0005 for colour in colours)  # the squares in the table

    views = Views(slicer_scene)
    centre = segmentation.GetSegmentCenterRAS(segmentation.GetSegmentation().GetNthSegmentID(0))
    pictures = [
        views.slice(volume, centre, orientation=each, field_of_view_mm=42) for each in ("Axial", "Sagittal", "Coronal")
    ]
    pictures.append(views.space(azimuth=-60, elevation=20))
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert all(share_of(pictures[3], colour, tolerance=60) > 0.02 for colour in colours)
    Picture.fromarray(np.vstack([np.hstack(pictures[:2]), np.hstack(pictures[2:])])).save(folder / "slicer-views.png")
