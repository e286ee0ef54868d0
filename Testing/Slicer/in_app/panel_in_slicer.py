"""Runs inside Slicer: what a clinician does with the panel, beyond one Apply; exit code 0 is success.

Slicer --additional-module-paths MedSegAttention --python-script panel_in_slicer.py <sample volume>
"""

import logging
import sys
import tempfile
import time
from pathlib import Path

import slicer

MODEL = "hippocampus-ultralight3d"
PATIENCE_S = 300


def check(holds, what):
    if not holds:
        raise RuntimeError(what)


def wait(holds, what):
    """Let Slicer's window live until something holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        check(time.monotonic() < end, f"waited {PATIENCE_S} s in vain for: {what}")
        slicer.app.processEvents()
        time.sleep(0.01)


def open_panel(sample):
    from MedSegAttention import ensurePackages

    slicer.mrmlScene.Clear(0)
    ensurePackages()
    slicer.util.selectModule("MedSegAttention")
    panel = slicer.util.getModuleWidget("MedSegAttention").panel
    volume = slicer.util.loadVolume(sample)
    panel.parameters.change(model=MODEL, device="cpu", overlap=0.25)
    panel.parameters.set_inputs([volume])
    return panel, volume


def cancel_ends_a_run_within_two_seconds(sample):
    panel, _volume = open_panel(sample)
    panel.parameters.change(overlap=0.9)
    panel.names.apply.click()
    wait(lambda: panel.queue.current is not None, "the run to begin")
    row = panel.queue.current
    pressed = time.monotonic()
    panel.names.cancel.click()
    wait(lambda: row.has_ended, "the run to end")
    check(time.monotonic() - pressed < 2.5, "Cancel took longer than two seconds")
    check(str(row.state) == "cancelled", f"the row is {row.state}")
    check(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0, "a cancelled run left segments")


def a_result_joins_a_segmentation_and_undo_takes_it_back(sample):
    panel, volume = open_panel(sample)
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand")
    own.CreateDefaultDisplayNodes()
    own.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    own.GetSegmentation().AddEmptySegment("mine", "mine")
    panel.parameters.set_node("output", own)
    panel.names.apply.click()
    wait(lambda: panel.queue.rows and panel.queue.rows[-1].has_ended, "the run to end")
    row = panel.queue.rows[-1]
    check(str(row.state) == "done", row.details)
    check(own.GetSegmentation().GetNumberOfSegments() == 3, "two segments join one that was there")
    slicer.util.findChild(panel.results.widget, "undoButton").click()
    check(own.GetSegmentation().GetNumberOfSegments() == 1, "Undo leaves what was there")
    check(own.GetSegmentation().GetSegment("mine") is not None, "Undo leaves the segment drawn by hand")


def a_saved_scene_brings_choices_and_segments_back(sample):
    panel, _volume = open_panel(sample)
    panel.names.apply.click()
    wait(lambda: panel.queue.rows and panel.queue.rows[-1].has_ended, "the run to end")
    check(panel.queue.rows[-1].result is not None, panel.queue.rows[-1].details)
    node = panel.queue.rows[-1].result.node
    codes = [node.GetSegmentation().GetNthSegment(n).GetTerminology() for n in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "scene.mrb")
        check(slicer.util.saveScene(path), "the scene was saved")
        slicer.mrmlScene.Clear(0)
        check(panel.parameters.settings.overlap is None, "an empty scene has the default choices")
        slicer.util.loadScene(path)
        check(panel.parameters.settings.overlap == 0.25, "the choices came back with the scene")
        again = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        found = [again.GetSegmentation().GetNthSegment(n).GetTerminology() for n in range(2)]
        check(found == codes, f"terminology {codes} came back as {found}")


TESTS = (
    cancel_ends_a_run_within_two_seconds,
    a_result_joins_a_segmentation_and_undo_takes_it_back,
    a_saved_scene_brings_choices_and_segments_back,
)

if __name__ == "__main__":
    # Whatever happens Slicer has to end, and with a code that tells ctest.
    status = 1
    try:
        for test in TESTS:
            logging.info(test.__name__)
            test(sys.argv[1])
        status = 0
    finally:
        slicer.util.exit(status)
