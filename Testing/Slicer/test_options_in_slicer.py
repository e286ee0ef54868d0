"""Every option can be chosen in the panel and in the console, and the panel says of it what the option says itself."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from doors import NOT_OFFERED, VALUES_OFFERED
from medseg.bundles.catalogue import find_bundle
from medseg.desktop.console import calls
from medseg.desktop.panel.controls import UI_FOLDER
from medseg.desktop.queue.orders import make_orders, prepare
from medseg.imaging.image import Image
from medseg.spec.job import QUICK, QUICK_HELP, Options
from medseg.spec.option import keywords_of, options_of
from medseg.spec.postprocess import PostprocessRule

MODEL = "hippocampus-ultralight3d"
RULE = PostprocessRule(keep_largest=False, min_island_mm3=12.5, fill_holes_mm3=3.0)
VOXELS = (3, 7, 4, 7, 5, 7)  # what the region below touches of the volume below


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture
def volume(scene):
    pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
    from mrml_nodes import volume_node_from_image

    return volume_node_from_image(
        scene, Image(np.zeros((1, 10, 9, 8), np.uint8), np.diag([1.0, 2.0, 3.0, 1.0])), "scan"
    )


@pytest.fixture
def roi(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    node.SetCenter(4.5, 10.0, 16.5)
    node.SetSize(4.0, 6.0, 6.0)
    return node


def job_options(scene, order):
    """The options in the job that is written for an order."""
    with TemporaryDirectory() as folder:
        return prepare(scene, order, Path(folder)).request.job.options


@pytest.fixture
def called(door, monkeypatch, volume):
    """The options in the job that a call of the console writes; the worker itself is not started."""
    heard = []
    monkeypatch.setattr(calls, "_call", lambda make, *_, **__: heard.append(make.args[0]))

    def call(**options):
        door.MedSegAttentionLogic().segment(volume, MODEL, python=sys.executable, **options)
        (order,) = heard.pop().orders
        return job_options(volume.GetScene(), order)

    return call


IN_CONSOLE = {
    "device": ({"device": "cpu"}, "cpu"),
    "overlap": ({"overlap": 0.25}, 0.25),
    "mirror": ({"mirror": False}, False),
    "precision": ({"precision": "float16"}, "float16"),
    "engine": ({"engine": "torch"}, "torch"),
    "window_batch": ({"window_batch": 3}, 3),
    "spacing_factor": ({"spacing_factor": 1.5}, 1.5),
    "roi_ras_mm": ({"roi": [0, 4, 1, 5, 2, 6]}, (0.0, 4.0, 1.0, 5.0, 2.0, 6.0)),
    "roi_voxels": ({"roi": "node"}, VOXELS),
    "postprocess": ({"postprocess": RULE}, RULE),
}


def test_every_option_reaches_the_job_of_a_call_in_the_console(called, roi):
    assert called() == Options()
    assert set(IN_CONSOLE) == set(options_of(Options))
    for name, (keywords, value) in IN_CONSOLE.items():
        given = {keyword: roi if each == "node" else each for keyword, each in keywords.items()}
        assert called(**given) == Options(**{name: value})


def test_the_keywords_of_the_console_are_those_of_python():
    python = keywords_of(Options)
    offered = {keyword for keywords, _ in IN_CONSOLE.values() for keyword in keywords}
    assert set(python) - offered == set(NOT_OFFERED["console"])
    assert offered <= set(python)


# The panel


@pytest.fixture
def panel(scene, volume):
    """The three sections that hold options, on one set of parameters, and the options of the job of Apply."""
    from medseg.desktop.panel.sections.performance import PerformanceSection
    from medseg.desktop.panel.sections.postprocessing import PostprocessingSection
    from medseg.desktop.panel.sections.region import RegionSection
    from medseg.desktop.state.parameters import Parameters

    parameters, bundle = Parameters(scene), find_bundle(MODEL)
    sections = [
        PerformanceSection(parameters, lambda: bundle, lambda: None),
        PostprocessingSection(parameters, lambda: bundle),
        RegionSection(parameters, lambda: volume, lambda: None),
    ]
    parameters.listen(lambda: [section.refresh() for section in sections])
    parameters.set_inputs([volume])

    def control(name):
        (found,) = [found for each in sections if (found := each.widget.findChild("QWidget", name)) is not None]
        return found

    def options():
        (order,) = make_orders(parameters, bundle)
        return job_options(scene, order)

    yield control, options
    sections[-1].close()


def choose(box, value):
    (index,) = [index for index in range(box.count) if box.itemData(index) == value]
    box.setCurrentIndex(index)


def clean(control):
    choose(control("rule"), True)
    control("keepLargest").setChecked(RULE.keep_largest)
    control("minIsland").setValue(RULE.min_island_mm3)
    control("fillHoles").setValue(RULE.fill_holes_mm3)


IN_PANEL = {
    "device": (lambda control, _: choose(control("device"), "cpu"), "cpu"),
    "overlap": (lambda control, _: choose(control("overlap"), 0.25), 0.25),
    "mirror": (lambda control, _: choose(control("mirror"), False), False),
    "precision": (lambda control, _: choose(control("precision"), "float16"), "float16"),
    "engine": (lambda control, _: choose(control("engine"), "torch"), "torch"),
    "window_batch": (lambda control, _: control("windowBatch").setValue(3), 3),
    "spacing_factor": (lambda control, _: control("quick").click(), 2.0),
    "roi_voxels": (lambda control, roi: control("roi").setCurrentNode(roi), VOXELS),
    "postprocess": (lambda control, _: clean(control), RULE),
}


@pytest.mark.parametrize("name", IN_PANEL)
def test_every_option_reaches_the_job_of_the_panel(panel, roi, name):
    control, options = panel
    assert options() == Options()
    change, value = IN_PANEL[name]
    change(control, roi)
    assert options() == Options(**{name: value})


def test_the_panel_offers_every_other_option():
    known = options_of(Options)
    assert {known[name].keyword for name in known if name not in IN_PANEL} == set(NOT_OFFERED["panel"])
    assert set(IN_PANEL) <= set(known)


def test_the_panel_offers_a_quick_preview_and_no_other_spacing_factor(panel):
    control, options = panel
    factors = {options().spacing_factor}
    for _ in range(2):
        control("quick").click()
        factors.add(options().spacing_factor)
    assert tuple(sorted(factors)) == VALUES_OFFERED["panel", "spacing_factor"] == (Options().spacing_factor, QUICK)


@pytest.mark.parametrize(
    ("file", "name", "record", "field"),
    [
        *(("Performance", name, Options, name) for name in ("device", "overlap", "mirror", "precision", "engine")),
        ("Performance", "windowBatch", Options, "window_batch"),
        ("Postprocessing", "rule", Options, "postprocess"),
        ("Postprocessing", "keepLargest", PostprocessRule, "keep_largest"),
        ("Postprocessing", "minIsland", PostprocessRule, "min_island_mm3"),
        ("Postprocessing", "fillHoles", PostprocessRule, "fill_holes_mm3"),
    ],
)
def test_a_control_says_what_its_option_says(file, name, record, field):
    """The texts stand in the .ui file, where translators find them; they and the limits are the option's."""
    about, said = options_of(record)[field], control_in_file(file, name)
    assert (said["toolTip"], said["accessibleName"]) == (about.help, about.title)
    if about.low is not None and "maximum" in said:
        assert float(said.get("minimum", 0)) == about.low
    if about.unit == "mm3":
        assert said["suffix"] == "mm³"


def test_the_region_and_the_preview_say_it_too():
    region = options_of(Options)["roi_ras_mm"]
    assert control_in_file("Region", "roi")["toolTip"].startswith(f"{region.help};")
    assert control_in_file("Region", "roi")["accessibleName"] == region.title
    assert control_in_file("Region", "quick")["toolTip"] == QUICK_HELP


def control_in_file(file, name):
    root = ET.parse(UI_FOLDER / f"{file}.ui").getroot()  # noqa: S314 - our own file
    (widget,) = [each for each in root.iter("widget") if each.get("name") == name]
    return {entry.get("name"): "".join(entry.itertext()).strip() for entry in widget.findall("property")}
