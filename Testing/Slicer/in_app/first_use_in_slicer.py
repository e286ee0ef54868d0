"""Runs inside Slicer: what a clinician meets on a fresh profile, with several volumes; exit code 0 is success.

Slicer --additional-module-paths MedSegAttention --python-script first_use_in_slicer.py <sample volume>
"""

import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
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


def open_panel():
    from MedSegAttention import ensurePackages

    slicer.mrmlScene.Clear(0)
    ensurePackages()
    slicer.util.selectModule("MedSegAttention")
    return slicer.util.getModuleWidget("MedSegAttention").panel


def child(panel, name):
    return slicer.util.findChild(panel.widget, name)


def backgrounds():
    """Names of the volumes that lie behind the segments."""
    views = [each for each in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if each.GetBackgroundVolumeID()]
    return {slicer.mrmlScene.GetNodeByID(each.GetBackgroundVolumeID()).GetName() for each in views}


def visible_segmentations():
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [each.GetName() for each in nodes if each.GetDisplayNode().GetVisibility()]


def each_of_several_volumes_is_seen_with_its_own_segments(sample):
    panel = open_panel()
    volumes = [slicer.util.loadVolume(sample) for _ in range(2)]
    for volume, name in zip(volumes, ("Anna", "Bert"), strict=True):
        volume.SetName(name)
    panel.parameters.change(model=MODEL, device="cpu", overlap=0.25)
    panel.parameters.set_inputs([volumes[0]])
    panel.apply_to_all()
    wait(lambda: panel.queue.rows and not panel.queue.is_busy, "both runs to end")
    check([str(row.state) for row in panel.queue.rows] == ["done", "done"], [row.details for row in panel.queue.rows])
    check(backgrounds() == {"Bert"}, f"behind Bert's result lies {backgrounds()}")
    check(visible_segmentations() == ["Bert segmentation"], f"seen are {visible_segmentations()}")
    owner = child(panel, "ownerLabel").text
    check(owner == "On Bert, not on the volume chosen above", f"the panel says {owner!r}")
    panel.results.show(slicer.util.getNode("Anna segmentation"))
    child(panel, "segmentsTable").setSelectedSegmentIDs(["Segment_1"])
    panel.results.go()
    check(backgrounds() == {"Anna"}, f"after a jump behind Anna's result lies {backgrounds()}")
    check(visible_segmentations() == ["Anna segmentation"], f"seen are {visible_segmentations()}")


def an_unsuitable_volume_is_told_before_apply(sample):
    panel = open_panel()
    volume = slicer.util.loadVolume(sample)
    array = np.full(slicer.util.arrayFromVolume(volume).shape, -1000, np.int16)
    array[10:-10, 10:-10, 10:-10] = 40
    slicer.util.updateVolumeFromArray(volume, array)
    panel.parameters.change(model=MODEL)
    panel.parameters.set_inputs([volume])
    panel.refresh()
    check(panel.names.remark.text.startswith("This looks like a CT"), f"the remark is {panel.names.remark.text!r}")


def the_forecast_follows_a_new_region(sample):
    panel = open_panel()
    panel.parameters.change(model=MODEL, device="cpu")
    panel.parameters.set_inputs([slicer.util.loadVolume(sample)])
    selector = child(panel, "roi")
    region = selector.addNode()
    wait(lambda: panel.parameters.node("roi") is not None, "the new region to be chosen")
    region = panel.parameters.node("roi")
    region.SetSize(20, 20, 20)
    wait(lambda: "has no size" not in panel.names.forecast.text, "the line below Apply to follow the region")
    check(not region.GetDisplayNode().GetFillVisibility(), "the region hides the anatomy")
    selector.setCurrentNode(None)
    check(not region.GetDisplayNode().GetVisibility(), "the region stays in the views")


def a_wheel_folder_is_kept_and_what_it_lacks_is_said(_sample):
    from medseg.desktop.install.dependencies import DependencyInstaller
    from medseg.spec.errors import MissingDependency

    panel = open_panel()
    settings = slicer.app.userSettings() if hasattr(slicer.app, "userSettings") else None
    for name in ("MedSegAttention/python", "MedSegAttention/wheelFolder"):  # a profile on which nothing was chosen
        if settings is not None:
            settings.remove(name)
    panel.refresh()
    asked = []
    with tempfile.TemporaryDirectory() as folder:
        child(panel, "wheelFolder").currentPath = folder
        check(panel.preferences.wheel_folder == folder, f"kept is {panel.preferences.wheel_folder!r}")
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("no-such-package-of-medseg>=1\n", encoding="utf-8")
        installer = DependencyInstaller(wanted, lambda text: bool(asked.append(text)), panel.preferences)
        try:
            installer.ensure()
        except MissingDependency as error:
            check("no-such-package-of-medseg" in str(error), str(error))
        else:
            check(False, "a package that nobody has was not missed")
        check(asked == [], "it was asked for an installation that cannot be")
        child(panel, "wheelFolder").currentPath = ""
    check(panel.preferences.wheel_folder is None, "an emptied folder is none")


def the_editor_of_terminology_knows_every_segment(sample):
    panel = open_panel()
    panel.parameters.change(model=MODEL, device="cpu", overlap=0.25)
    panel.parameters.set_inputs([slicer.util.loadVolume(sample)])
    panel.names.apply.click()
    wait(lambda: panel.queue.rows and panel.queue.rows[-1].has_ended, "the run to end")
    inside = panel.queue.rows[-1].result.node.GetSegmentation()
    logic = slicer.modules.terminologies.logic()
    for segment_id in inside.GetSegmentIDs():
        text = inside.GetSegment(segment_id).GetTerminology()
        context = text.split("~")[0]
        check(logic.IsTerminologyContextLoaded(context), f"Slicer has no list {context!r}")
        entry = slicer.vtkSlicerTerminologyEntry()
        check(logic.DeserializeTerminologyEntry(text, entry), f"Slicer does not understand {text!r}")
        category, kind = entry.GetCategoryObject(), entry.GetTypeObject()
        names = logic.FindTerminologyNames(
            category.GetCodingSchemeDesignator(),
            category.GetCodeValue(),
            kind.GetCodingSchemeDesignator(),
            kind.GetCodeValue(),
            "",
            "",
            [],
        )
        check(context in names, f"{kind.GetCodeMeaning()} is not in {context!r} but in {names}")


TESTS = (
    each_of_several_volumes_is_seen_with_its_own_segments,
    an_unsuitable_volume_is_told_before_apply,
    the_forecast_follows_a_new_region,
    a_wheel_folder_is_kept_and_what_it_lacks_is_said,
)
ONLY_IN_SLICER = (the_editor_of_terminology_knows_every_segment,)  # which alone has the lists of codes

if __name__ == "__main__":
    # Whatever happens Slicer has to end, and with a code that tells ctest.
    status = 1
    try:
        for test in (*TESTS, *ONLY_IN_SLICER):
            logging.info(test.__name__)
            test(sys.argv[1])
        status = 0
    finally:
        slicer.util.exit(status)
