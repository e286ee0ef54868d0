"""Region, performance and postprocessing: what is chosen there is in the job, and what the scene holds is shown."""

import json

import numpy as np
import pytest

from medseg.bundles.catalogue import Bundle
from medseg.desktop.state.settings import PanelSettings
from medseg.imaging.image import Image
from medseg.spec.events import Device
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec
from medseg.spec.postprocess import PostprocessRule
from small_manifest import small_manifest

CARD = Device(name="cuda:0", title="NVIDIA RTX A5000", free_mb=20582, total_mb=24576)
PROCESSOR = Device(name="cpu", title="AMD EPYC", free_mb=8192, total_mb=None)


@pytest.fixture
def scene(slicer_scene):
    """The one that the widgets are in."""
    return slicer_scene


@pytest.fixture
def parameters(scene):
    from medseg.desktop.state.parameters import Parameters

    return Parameters(scene)


@pytest.fixture
def bundle(tmp_path):
    code = Code("SCT", "10200004", "Liver")
    return Bundle(
        tmp_path,
        small_manifest(
            model_id="liver",
            title="Liver",
            labels=(LabelSpec(value=1, name="Liver", color=(1, 2, 3), category=code, type=code),),
            channels=(ChannelSpec(name="CT", modality="CT"),),
            overlap=0.5,
            mirror_axes=(0,),
            postprocess=PostprocessRule(keep_largest=True, min_island_mm3=30.0),
            anatomy="liver",
            intended_use="research",
        ),
    )


@pytest.fixture
def volume(scene):
    """40 x 30 x 20 voxels of 1 x 2 x 3 mm, oblique to nothing."""
    from mrml_nodes import volume_node_from_image

    image = Image(np.zeros((1, 40, 30, 20), np.uint8), np.diag([1.0, 2.0, 3.0, 1.0]))
    return volume_node_from_image(scene, image, "scan")


@pytest.fixture
def performance(parameters, bundle):
    from medseg.desktop.panel.sections.performance import PerformanceSection

    section = PerformanceSection(parameters, lambda: bundle, lambda: None)
    parameters.listen(section.refresh)
    return section


@pytest.fixture
def postprocessing(parameters, bundle):
    from medseg.desktop.panel.sections.postprocessing import PostprocessingSection

    section = PostprocessingSection(parameters, lambda: bundle)
    parameters.listen(section.refresh)
    return section


def scene_result(scene):
    """The only segmentation of a scene, None where there is none."""
    return scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


@pytest.fixture
def region(parameters, volume):
    from medseg.desktop.panel.sections.region import RegionSection

    section = RegionSection(parameters, lambda: volume, lambda: scene_result(parameters.scene))
    parameters.listen(section.refresh)
    yield section
    section.close()


@pytest.fixture
def roi(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    node.SetCenter(10.0, 20.0, 30.0)
    node.SetSize(10.0, 10.0, 9.0)
    return node


def child(section, name):
    found = section.widget.findChild("QWidget", name)
    assert found is not None, name
    return found


def texts(box):
    return [box.itemText(index) for index in range(box.count)]


def choose(box, text):
    box.setCurrentIndex(texts(box).index(text))


# Performance


@pytest.mark.parametrize(
    ("control", "text", "field", "expected"),
    [
        ("device", "Processor (CPU)", "device", "cpu"),
        ("overlap", "25%", "overlap", 0.25),
        ("overlap", "0%", "overlap", 0.0),
        ("mirror", "Off", "mirror", False),
        ("mirror", "On", "mirror", True),
        ("precision", "16 bits, float16", "precision", "float16"),
        ("engine", "PyTorch", "engine", "torch"),
        ("engine", "OpenVINO", "engine", "openvino"),
    ],
)
def test_what_is_chosen_for_performance_is_in_the_job(performance, parameters, control, text, field, expected):
    choose(child(performance, control), text)
    assert getattr(parameters.settings.options(), field) == expected
    assert performance.differences() == [child(performance, control).accessibleName]


def test_windows_at_once_are_in_the_job(performance, parameters):
    child(performance, "windowBatch").setValue(4)
    assert parameters.settings.options().window_batch == 4
    assert performance.differences() == ["Windows at once"]


def test_nothing_differs_at_first_and_all_goes_back_to_what_the_model_says(performance, parameters):
    assert performance.differences() == []
    assert child(performance, "overlap").currentText == "As the model says (50%)"
    assert child(performance, "mirror").currentText == "As the model says (on)"
    choose(child(performance, "overlap"), "75%")
    choose(child(performance, "overlap"), "As the model says (50%)")
    assert parameters.settings.options().overlap is None
    assert performance.differences() == []


def test_performance_changed_elsewhere_is_shown_and_not_written_back(performance, parameters):
    heard = []
    parameters.listen(lambda: heard.append(1))
    parameters.change(device="cuda:1", overlap=1 / 3, mirror=False, precision="bfloat16", window_batch=100)
    assert len(heard) == 1
    assert child(performance, "device").currentText == "cuda:1 (not looked for yet)"
    assert child(performance, "overlap").currentText == "33%"
    assert child(performance, "mirror").currentText == "Off"
    assert child(performance, "precision").currentText == "16 bits, bfloat16"
    assert child(performance, "windowBatch").value == 64  # the most the box can show
    settings = parameters.settings
    assert (settings.overlap, settings.window_batch) == (1 / 3, 100)
    assert performance.differences() == ["Device", "Overlap", "Mirroring", "Precision", "Windows at once"]


def test_devices_are_listed_with_their_free_memory_and_can_be_chosen(performance, parameters):
    performance.show_devices((CARD, PROCESSOR))
    box = child(performance, "device")
    assert texts(box) == [
        "Best available",
        "NVIDIA RTX A5000 (cuda:0), 20.1 of 24 GiB free",
        "AMD EPYC (cpu), 8 GiB free",
    ]
    box.setCurrentIndex(1)
    assert parameters.settings.options().device == "cuda:0"
    box.setCurrentIndex(2)
    assert parameters.settings.options().device == "cpu"


def test_a_chosen_device_that_is_gone_stays_chosen_and_says_so(performance, parameters):
    performance.show_devices((CARD, PROCESSOR))
    child(performance, "device").setCurrentIndex(1)
    performance.show_devices((PROCESSOR,))
    assert parameters.settings.device == "cuda:0"
    assert child(performance, "device").currentText == "cuda:0 (not found on this computer)"
    assert "cuda:0 was chosen and is not there now" in child(performance, "deviceNote").text
    performance.show_devices((CARD, PROCESSOR))
    assert child(performance, "device").currentText.startswith("NVIDIA")
    assert child(performance, "deviceNote").text == ""


def test_the_first_card_of_any_number_is_a_device_too(performance, parameters):
    parameters.change(device="cuda")
    performance.show_devices((CARD, PROCESSOR))
    assert child(performance, "device").currentText == "First NVIDIA graphics card"
    performance.show_devices((PROCESSOR,))
    assert child(performance, "device").currentText == "cuda (not found on this computer)"


def test_refresh_asks_once_for_the_devices_and_waits_for_the_answer(parameters, bundle):
    from medseg.desktop.panel.sections.performance import PerformanceSection

    asked = []
    section = PerformanceSection(parameters, lambda: bundle, lambda: asked.append(1))
    button = child(section, "look")
    button.click()
    button.click()
    assert asked == [1]
    assert child(section, "deviceNote").text == "Looking for devices..."
    section.show_devices((PROCESSOR,))
    assert button.enabled
    assert "No graphics card" in child(section, "deviceNote").text


def test_opening_a_section_for_the_first_time_is_told_once(performance, region):
    from medseg.desktop.panel.section_stack import SectionStack

    heard = []
    stack = SectionStack([region, performance])
    region.close()  # the stack takes the widgets with it
    stack.when_first_opened(performance, lambda: heard.append(True))
    stack.buttons[0].collapsed = False
    assert heard == []
    for is_collapsed in (False, True, False):
        stack.buttons[1].collapsed = is_collapsed
    assert heard == [True]


def test_where_nobody_answers_it_is_said_and_refresh_asks_again(parameters, bundle):
    from medseg.desktop.panel.sections.performance import PerformanceSection

    asked = []
    section = PerformanceSection(parameters, lambda: bundle, lambda: asked.append(True))
    section.look()
    section.show_devices(())
    assert "could not be listed" in child(section, "deviceNote").text
    assert texts(child(section, "device")) == ["Best available", "Processor (CPU)"]
    child(section, "look").click()
    assert child(section, "deviceNote").text == "Looking for devices..."
    section.show_devices((CARD, PROCESSOR))
    assert child(section, "deviceNote").isHidden()
    section.look()
    section.show_devices(())
    assert len(texts(child(section, "device"))) == 3  # what was known stays
    assert len(asked) == 3


class Offer:
    """What ``EngineOffer`` is to the section."""

    def __init__(self):
        self.can_install = True

    def line(self, settings):
        return "" if settings.engine == "torch" else "installed" if not self.can_install else "not installed"

    def install(self):
        self.can_install = False


def test_a_faster_engine_is_offered_beside_the_choice_and_installed_when_the_button_is_pressed(parameters, bundle):
    from medseg.desktop.panel.sections.performance import PerformanceSection

    section = PerformanceSection(parameters, lambda: bundle, lambda: None, Offer())
    parameters.listen(section.refresh)
    note, button = child(section, "engineNote"), child(section, "addEngine")
    assert (note.text, note.isHidden(), button.isHidden()) == ("not installed", False, False)
    choose(child(section, "engine"), "PyTorch")
    assert note.isHidden()
    assert button.isHidden()
    choose(child(section, "engine"), "Automatic")
    button.click()
    assert (note.text, note.isHidden(), button.isHidden()) == ("installed", False, True)


def test_where_nothing_is_offered_there_is_no_note_beside_the_engine(performance):
    assert child(performance, "engineNote").isHidden()
    assert child(performance, "addEngine").isHidden()


def test_the_engine_is_saved_with_the_scene_and_an_old_scene_has_none(performance, parameters, scene):
    choose(child(performance, "engine"), "OpenVINO")
    node = scene.GetSingletonNode("MedSegAttention", "vtkMRMLScriptedModuleNode")
    assert node.GetParameter("engine") == '"openvino"'
    node.UnsetParameter("engine")
    assert parameters.settings.engine == "auto"
    assert child(performance, "engine").currentText == "Automatic"
    node.SetParameter("engine", '"onnx"')
    assert parameters.settings.engine == "auto"


def test_a_scene_of_an_older_version_opens_with_what_still_means_something(performance, parameters, scene):
    node = scene.GetSingletonNode("MedSegAttention", "vtkMRMLScriptedModuleNode")
    for name, text in {"mirror": '"on"', "quick": "true", "coarser": "2.0", "overlap": "0.25"}.items():
        node.SetParameter(name, text)
    assert parameters.settings == PanelSettings(overlap=0.25)
    assert child(performance, "mirror").currentText.startswith("As the model says")
    parameters.change(mirror=False)
    assert child(performance, "mirror").currentText == "Off"


def test_without_a_model_performance_can_still_be_chosen(parameters):
    from medseg.desktop.panel.sections.performance import PerformanceSection

    section = PerformanceSection(parameters, lambda: None, lambda: None)
    assert child(section, "overlap").currentText == "As the model says"
    choose(child(section, "overlap"), "50%")
    assert parameters.settings.overlap == 0.5


# Postprocessing


def test_the_models_cleaning_is_said_in_words(postprocessing):
    assert child(postprocessing, "words").text == (
        "Afterwards: only the largest piece of each segment is kept; pieces below 30 mm³ are removed."
    )
    assert child(postprocessing, "own").isHidden()
    assert postprocessing.differences() == []


def test_values_of_ones_own_begin_with_the_models(postprocessing, parameters, bundle):
    choose(child(postprocessing, "rule"), "With values of my own")
    assert not child(postprocessing, "own").isHidden()
    assert parameters.settings.options().postprocess == bundle.manifest.postprocess


def test_values_of_ones_own_are_in_the_job_and_kept_while_the_models_are_used(postprocessing, parameters):
    choose(child(postprocessing, "rule"), "With values of my own")
    child(postprocessing, "keepLargest").setChecked(False)
    child(postprocessing, "minIsland").setValue(12.5)
    child(postprocessing, "fillHoles").setValue(3)
    own = PostprocessRule(keep_largest=False, min_island_mm3=12.5, fill_holes_mm3=3.0)
    assert parameters.settings.options().postprocess == own
    assert child(postprocessing, "words").text.startswith("Afterwards: pieces below 12.5")
    assert postprocessing.differences() == ["Clean-up", "Remove pieces below", "Fill holes up to"]
    choose(child(postprocessing, "rule"), "As the model says")
    assert parameters.settings.options().postprocess is None
    assert postprocessing.differences() == []
    choose(child(postprocessing, "rule"), "With values of my own")
    assert parameters.settings.options().postprocess == own


def test_postprocessing_changed_elsewhere_is_shown(postprocessing, parameters):
    parameters.change(own_postprocess=True, keep_largest=True, min_island_mm3=7.0, fill_holes_mm3=0.25)
    assert child(postprocessing, "rule").currentText == "With values of my own"
    assert child(postprocessing, "keepLargest").checked
    assert child(postprocessing, "minIsland").value == 7.0
    assert parameters.settings.fill_holes_mm3 == 0.25  # the box rounds to 0.1, the scene keeps what it had


# Region


def test_without_a_region_the_whole_volume_is_segmented(region):
    assert region.differences() == []
    assert child(region, "extent").text == "The whole volume is segmented."
    assert not child(region, "fit").enabled
    assert not child(region, "snap").enabled


def test_the_boxes_of_a_located_result_are_shown_and_hidden_by_one_button(region, scene):
    from medseg.desktop.scene.results import PROVENANCE
    from medseg.mrml.grids import nodes_of

    button = child(region, "boxes")
    assert not button.enabled
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "result")
    box = {"name": "left", "centre_mm": [1, 2, 3], "size_mm": [4, 5, 6]}
    box |= {"axis_i": [1, 0, 0], "axis_j": [0, 1, 0], "axis_k": [0, 0, 1]}
    node.SetAttribute(PROVENANCE, json.dumps([{"model": "m", "boxes": [box]}]))
    region.refresh()
    assert button.enabled
    button.click()
    assert button.text == "Hide where the model looked"
    (roi,) = nodes_of(scene, "vtkMRMLMarkupsROINode")
    assert tuple(roi.GetCenter()) == (1, 2, 3)
    button.click()
    assert button.text == "Show where the model looked"
    assert nodes_of(scene, "vtkMRMLMarkupsROINode") == []


def test_a_chosen_region_is_kept_shown_in_the_views_and_measured(region, parameters, roi):
    child(region, "roi").setCurrentNode(roi)
    assert parameters.node("roi") is roi
    assert roi.GetDisplayNode().GetVisibility()
    assert region.differences() == ["Region"]
    # 5..15, 15..25 and 25.5..34.5 mm: voxels 5..15 of 1 mm, 8..12 of 2 mm (7.5 to 12.5), 9..11 of 3 mm (8.5 to 11.5)
    assert child(region, "extent").text == "10.0 × 10.0 × 9.0 mm; 11 × 5 × 3 voxels (I, J, K)"


def test_a_chosen_region_hides_no_anatomy_and_one_that_is_no_longer_chosen_leaves_the_views(region, roi, scene):
    other = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "another")
    other.CreateDefaultDisplayNodes()
    assert other.GetDisplayNode().GetFillVisibility(), "Slicer fills a region, which the eye has to see through"
    child(region, "roi").setCurrentNode(other)
    assert not other.GetDisplayNode().GetFillVisibility()
    child(region, "roi").setCurrentNode(roi)
    assert not other.GetDisplayNode().GetVisibility()
    assert roi.GetDisplayNode().GetVisibility()
    child(region, "roi").setCurrentNode(None)
    assert not roi.GetDisplayNode().GetVisibility()
    assert roi.GetScene() is scene


def test_where_the_region_is_deleted_no_other_one_takes_its_place(region, parameters, roi, scene):
    scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "another")
    child(region, "roi").setCurrentNode(roi)
    scene.RemoveNode(roi)
    assert parameters.node("roi") is None
    assert child(region, "roi").currentNode() is None


@pytest.mark.parametrize("seed", range(8))
def test_the_voxels_said_are_those_that_a_run_cuts_out(scene, roi, affines, seed):
    from medseg.desktop.panel.sections.region import extent_text
    from medseg.imaging.steps import Crop
    from medseg.mrml.rois import roi_voxels
    from mrml_nodes import volume_node_from_image

    chance = np.random.default_rng(seed)
    image = Image(np.zeros((1, 20, 30, 25), np.uint8), affines[[-1, -2, *range(0, 48, 8)][seed]])
    volume = volume_node_from_image(scene, image, "scan")
    middle = (image.affine @ [*chance.uniform(0, 20, 3), 1])[:3]
    roi.SetCenter(*middle)
    roi.SetSize(*chance.uniform(1, 30, 3))
    cut = Crop.to_voxels(image, roi_voxels(roi, volume)).shape
    assert extent_text(roi, volume).endswith("; " + " × ".join(map(str, cut)) + " voxels (I, J, K)")


def test_a_region_chosen_elsewhere_is_shown_and_followed_while_it_is_dragged(region, parameters, roi):
    parameters.set_node("roi", roi)
    assert child(region, "roi").currentNode() is roi
    roi.SetSize(20.0, 10.0, 9.0)
    assert child(region, "extent").text.startswith("20.0 × 10.0 × 9.0 mm")


def test_the_size_said_is_that_in_the_world(region, parameters, roi, scene):
    import slicer

    transform = scene.AddNode(slicer.vtkMRMLLinearTransformNode())
    matrix = transform.GetMatrixTransformToParent().__class__()
    matrix.SetElement(0, 0, 2.0)
    transform.SetMatrixTransformToParent(matrix)
    roi.SetAndObserveTransformNodeID(transform.GetID())
    parameters.set_node("roi", roi)
    assert child(region, "extent").text.startswith("20.0 × 10.0 × 9.0 mm; ")


def test_fit_makes_the_region_the_volume(region, parameters, roi):
    from medseg.mrml.rois import roi_bounds

    parameters.set_node("roi", roi)
    child(region, "fit").click()
    np.testing.assert_allclose(roi_bounds(roi), (-0.5, 39.5, -1, 59, -1.5, 58.5), atol=1e-6)
    assert child(region, "extent").text == "40.0 × 60.0 × 60.0 mm; 40 × 30 × 20 voxels (I, J, K)"


def test_snap_moves_the_faces_onto_the_edges_of_voxels_and_the_count_stays(region, parameters, roi):
    parameters.set_node("roi", roi)
    before = child(region, "extent").text.partition("; ")[2]
    child(region, "snap").click()
    assert child(region, "extent").text == f"11.0 × 10.0 × 9.0 mm; {before}"


def test_where_the_mouse_lets_go_of_a_region_its_faces_go_onto_the_edges_of_voxels(region, parameters, roi, spin):
    parameters.set_node("roi", roi)
    roi.SetSize(20.3, 10.0, 9.0)
    assert child(region, "extent").text.startswith("20.3 × 10.0")  # not while it is dragged
    roi.InvokeEvent(roi.PointEndInteractionEvent)
    spin(lambda: child(region, "extent").text.startswith("21.0 × 10.0 × 9.0 mm"))


def test_a_region_that_nobody_chooses_any_more_is_left_where_it_is_dropped(region, roi, spin):
    child(region, "roi").setCurrentNode(roi)
    child(region, "roi").setCurrentNode(None)
    roi.SetSize(20.3, 10.0, 9.0)
    roi.InvokeEvent(roi.PointEndInteractionEvent)
    done = []
    from medseg.desktop.state.steps import later

    later(lambda: done.append(1))
    spin(lambda: done)
    assert roi.GetSize() == (20.3, 10.0, 9.0)


def test_a_new_region_lies_inside_the_volume_around_its_middle(region, parameters):
    from medseg.mrml.rois import roi_bounds

    child(region, "roi").addNode()
    low, high = np.array(roi_bounds(parameters.node("roi"))).reshape(3, 2).T
    edges = np.array([40, 60, 60])
    np.testing.assert_array_less([-0.5, -1, -1.5], low)
    np.testing.assert_array_less(high, [39.5, 59, 58.5])
    np.testing.assert_allclose((low + high) / 2, [19.5, 29, 28.5], atol=3)
    np.testing.assert_allclose(high - low, edges / 2, atol=6.1)


def test_a_region_beside_the_volume_is_said_to_be_there(region, parameters, roi):
    roi.SetCenter(500, 500, 500)
    parameters.set_node("roi", roi)
    assert "beside the volume" in child(region, "extent").text
    child(region, "snap").click()
    assert "beside the volume" in child(region, "extent").text


def test_a_deleted_region_is_no_region(region, parameters, roi, scene):
    parameters.set_node("roi", roi)
    scene.RemoveNode(roi)
    assert parameters.node("roi") is None
    assert child(region, "roi").currentNode() is None
    assert child(region, "extent").text == "The whole volume is segmented."


def test_a_quick_preview_makes_voxels_twice_as_large(region, parameters):
    child(region, "quick").click()
    assert parameters.settings.options().spacing_factor == 2.0
    assert region.differences() == ["Quick preview"]
    parameters.change(spacing_factor=1.0)
    assert not child(region, "quick").checked


# Scenes


def test_a_saved_scene_brings_every_choice_back(region, performance, postprocessing, parameters, roi, scene, tmp_path):
    parameters.change(
        spacing_factor=2.0, device="cpu", overlap=0.75, own_postprocess=True, min_island_mm3=5.0, window_batch=3
    )
    parameters.set_node("roi", roi)
    sections = (region, performance, postprocessing)
    before = [section.differences() for section in sections]
    path = tmp_path / "scene.mrml"
    assert scene.Commit(str(path))
    parameters.detach()
    scene.Clear(0)
    parameters.attach(scene)
    assert [section.differences() for section in sections] == [[], [], []]
    parameters.detach()
    scene.SetURL(str(path))
    assert scene.Import()
    parameters.attach(scene)
    assert [section.differences() for section in sections] == before
    assert child(region, "quick").checked
    assert child(region, "roi").currentNode().GetName() == "Box"
    assert child(performance, "device").currentText == "Processor (CPU)"
    assert child(performance, "overlap").currentText == "75%"
    assert child(performance, "windowBatch").value == 3
    assert child(postprocessing, "minIsland").value == 5.0


@pytest.mark.parametrize("kind", ["region", "performance", "postprocessing"])
def test_the_tab_key_reaches_every_control_in_the_order_of_the_form(kind, request):
    section = request.getfixturevalue(kind)
    names = {
        "region": ["roi", "fit", "snap", "quick"],
        "performance": ["device", "look", "overlap", "mirror", "precision", "windowBatch"],
        "postprocessing": ["rule", "keepLargest", "minIsland", "fillHoles"],
    }[kind]
    reached, widget = [], section.widget
    for _ in range(200):
        widget = widget.nextInFocusChain()
        reached.append(widget.objectName)
    assert [name for name in dict.fromkeys(reached) if name in names] == names
