"""The module without its panel: a volume node in, a segmentation node out, computed by a real child process."""

import sys
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

import medseg
from medseg.bundles.write import write_bundle
from medseg.desktop.scene.results import read_provenance
from medseg.desktop.state.preferences import MemoryStore, Preferences
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.mrml.volumes import image_from_volume_node
from medseg.networks import build_network
from medseg.spec.errors import Cancelled, ImageError, JobError, MissingDependency, ModelNotFound
from medseg.spec.events import Finished, Progress
from medseg.spec.manifest import ChannelSpec
from mrml_nodes import volume_node_from_image
from small_manifest import small_manifest


@pytest.fixture
def model(tmp_path, monkeypatch, specs):
    """A tiny model with random weights, under which no label wins everywhere."""
    import torch

    arguments = {"in_channels": 1, "label_count": 4, "widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]}
    manifest = small_manifest(
        model_id="tiny",
        title="Tiny",
        description="Random weights",
        arguments=arguments,
        labels=specs,
        channels=(ChannelSpec(name="C0", modality="MR"),),
    )
    torch.manual_seed(0)
    network = build_network(manifest.network, **arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    write_bundle(tmp_path / "models" / "tiny", manifest, network, licence_text="Apache License 2.0\n")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    return "tiny"


@pytest.fixture
def volume(scene, affines):
    voxels = np.random.default_rng(0).normal(size=(1, 18, 17, 16)).astype(np.float32)
    return volume_node_from_image(scene, Image(voxels, affines[-1]), "brain")


def in_memory(volume, model):
    """The same segmentation without MRML, files or a child process."""
    from medseg.bundles.catalogue import find_bundle
    from medseg.jobs.run.segment import segment_case
    from medseg.spec.job import Options

    return segment_case([image_from_volume_node(volume)], find_bundle(model), Options(device="cpu")).labels


def test_the_console_gives_the_segments_the_library_gives_on_the_volumes_grid(door, volume, model, hang, motion):
    hang(volume, motion)
    truth = in_memory(volume, model)
    heard = []
    node = door.MedSegAttentionLogic().segment(volume, model, device="cpu", python=sys.executable, onEvent=heard.append)
    labels, names = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, truth.array)
    assert truth.array.any()
    np.testing.assert_allclose(labels.affine, truth.affine, atol=1e-9)
    assert names == ("Left hippocampus", "Liver", "Spleen")
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    assert any(isinstance(event, Progress) for event in heard)
    assert isinstance(heard[-1], Finished)
    (entry,) = read_provenance(node)
    assert (entry["model"], entry["options"]["device"]) == ("tiny", "cpu")
    assert entry["versions"] == {"medseg": medseg.__version__}
    assert len(entry["weights_sha256"]) == 64


def test_segmenting_into_an_existing_segmentation_keeps_what_is_there(door, volume, model):
    logic = door.MedSegAttentionLogic()
    first = logic.segment(volume, model, device="cpu", python=sys.executable)
    again = logic.segment(volume, model, first, device="cpu", python=sys.executable)
    assert again is first
    assert first.GetSegmentation().GetNumberOfSegments() == 6
    logic.segment(volume, model, first, mode="replace", device="cpu", python=sys.executable)
    assert first.GetSegmentation().GetNumberOfSegments() == 6
    assert len(read_provenance(first)) == 3


def test_an_unknown_model_is_refused_before_anything_starts(door, volume):
    with pytest.raises(ModelNotFound, match="no model is called 'liver'"):
        door.MedSegAttentionLogic().segment(volume, "liver")


def test_a_python_that_is_not_there_is_named(door, volume, model):
    with pytest.raises(MissingDependency, match="/nowhere/python does not exist"):
        door.MedSegAttentionLogic().segment(volume, model, python="/nowhere/python")


def test_the_models_are_listed_by_id_and_title(door, model):
    assert door.MedSegAttentionLogic().models()[model] == "Tiny"


def test_a_target_made_of_surfaces_is_refused_before_anything_starts(door, volume, model, scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().AddEmptySegment("a", "a")
    node.CreateClosedSurfaceRepresentation()
    node.SetSourceRepresentationToClosedSurface()
    with pytest.raises(ImageError, match="Closed surface"):
        door.MedSegAttentionLogic().segment(volume, model, node, python="/nowhere/python")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "join"}, "mode is one of add, .*'join'"),
        ({"mirror": "maybe"}, "mirroring is 'on', 'off'"),
        ({"overlapp": 0.5}, "overlapp"),
        ({"overlap": 2}, "overlap must lie in"),
        ({"allTimePoints": True}, "takes one volume that shows a sequence.*'brain'"),
    ],
)
def test_an_option_that_means_nothing_is_refused_before_anything_starts(door, volume, model, options, words):
    with pytest.raises(JobError, match=words):
        door.MedSegAttentionLogic().segment(volume, model, python="/nowhere/python", **options)


def test_a_node_of_no_scene_is_refused(door, model):
    import slicer

    for nodes in (None, slicer.vtkMRMLScalarVolumeNode(), []):
        with pytest.raises(JobError, match="a volume in the scene is needed"):
            door.MedSegAttentionLogic().segment(nodes, model)


def test_what_a_callback_raises_ends_the_run_and_its_worker(door, volume, model, scene):
    class Enough(Exception):
        pass

    def stop(event):
        if isinstance(event, Progress):
            raise Enough

    with pytest.raises(Enough):
        door.MedSegAttentionLogic().segment(volume, model, device="cpu", python=sys.executable, onEvent=stop)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not psutil.Process().children(recursive=True)


@pytest.fixture
def cine(scene, affines):
    """The browser of three time points."""
    import slicer

    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    rng = np.random.default_rng(1)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beats")
    for number in range(3):
        frame = volume_node_from_image(
            scene, Image(rng.normal(size=(1, 18, 17, 16)).astype(np.float32), affines[0]), "frame"
        )
        sequence.SetDataNodeAtValue(frame, str(number))
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic.UpdateAllProxyNodes()
    yield browser
    logic.SetMRMLScene(None)


def test_every_time_point_of_a_sequence_gets_its_own_segments_from_one_worker(door, cine, model):
    sequence = cine.GetMasterSequenceNode()
    pids = []
    node = door.MedSegAttentionLogic().segment(
        cine.GetProxyNode(sequence),
        model,
        allTimePoints=True,
        device="cpu",
        python=sys.executable,
        onEvent=lambda event: pids.append(worker_pids()) if isinstance(event, Finished) else None,
    )
    assert len(pids) == 3
    assert pids[0] == pids[1] == pids[2] != ()
    output = cine.GetSequenceNode(node)
    assert output.GetNumberOfDataNodes() == 3
    for number in range(3):
        item = sequence.GetNthDataNode(number)
        labels, _names = labels_from_segmentation(output.GetNthDataNode(number), item)
        np.testing.assert_array_equal(labels.array, in_memory(item, model).array)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"python": "/nowhere/python"}, MissingDependency),
        ({"python": sys.executable, "probabilities": True}, JobError),
        ({"python": sys.executable, "entropy": True}, JobError),
        ({"python": sys.executable, "device": "cuda:99"}, JobError),  # this one fails in the worker
    ],
)
def test_time_points_that_did_not_come_leave_no_empty_sequence(door, scene, cine, model, options, error):
    def nodes():
        return [scene.GetNumberOfNodesByClass(f"vtkMRML{name}Node") for name in ("Sequence", "Segmentation", "Display")]

    before, volume = nodes(), cine.GetProxyNode(cine.GetMasterSequenceNode())
    with pytest.raises(error):
        door.MedSegAttentionLogic().segment(volume, model, allTimePoints=True, **options)
    assert nodes() == before
    assert cine.GetNumberOfSynchronizedSequenceNodes(True) == 1


def test_what_a_callback_raises_leaves_no_empty_sequence(door, scene, cine, model):
    def stop(_event):
        raise ZeroDivisionError

    volume = cine.GetProxyNode(cine.GetMasterSequenceNode())
    with pytest.raises(ZeroDivisionError):
        door.MedSegAttentionLogic().segment(volume, model, allTimePoints=True, python=sys.executable, onEvent=stop)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1


@pytest.fixture
def chosen(qt_app, monkeypatch):
    """Choose an interpreter in the panel's preferences."""
    store = MemoryStore()
    monkeypatch.setattr(qt_app, "QSettings", lambda: store)

    def choose(python):
        Preferences(store).python = str(python)

    return choose


@pytest.mark.skipif(sys.platform == "win32", reason="the interpreter is a shell script")
def test_the_console_computes_in_the_python_that_was_chosen_in_the_panel(door, volume, scans, model, tmp_path, chosen):
    python, used = tmp_path / "python", tmp_path / "used"
    python.write_text(f'#!/bin/sh\necho "$@" >> "{used}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    chosen(python)
    logic = door.MedSegAttentionLogic()
    assert logic.segment(volume, model, device="cpu").GetSegmentation().GetNumberOfSegments() == 3
    assert "medseg" in used.read_text().splitlines()[-1]
    used.unlink()
    assert logic.segmentFolder(scans, model, tmp_path / "out", device="cpu").is_complete
    assert used.exists()
    used.unlink()
    logic.segment(volume, model, device="cpu", python=sys.executable)
    assert not used.exists()


def test_a_python_chosen_in_the_panel_that_is_gone_is_named(door, volume, scans, model, tmp_path, chosen):
    chosen("/nowhere/python")
    for call in (
        lambda: door.MedSegAttentionLogic().segment(volume, model),
        lambda: door.MedSegAttentionLogic().segmentFolder(scans, model, tmp_path / "out"),
    ):
        with pytest.raises(MissingDependency, match="/nowhere/python does not exist; choose"):
            call()


def test_packages_that_are_missing_are_named_with_the_next_step(door, volume, scans, model, tmp_path, monkeypatch):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("not-there-at-all>=1.0\n")
    monkeypatch.setattr(door, "REQUIREMENTS", requirements)
    logic = door.MedSegAttentionLogic()
    for call in (lambda: logic.segment(volume, model), lambda: logic.segmentFolder(scans, model, tmp_path / "out")):
        with pytest.raises(MissingDependency, match=r"not-there-at-all>=1.0; call ensurePackages\(\)"):
            call()
    with pytest.raises(MissingDependency, match=r"the worker needs: not-there-at-all; run .* -m pip install"):
        logic.segment(volume, model, python=sys.executable)


def worker_pids():
    return tuple(sorted(child.pid for child in psutil.Process().children()))


@pytest.fixture
def scans(tmp_path):
    """A folder of four small images."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(4):
        voxels = np.random.default_rng(number).normal(size=(1, 18, 17, 16)).astype(np.float32)
        write_image(folder / f"{number}.nii.gz", Image(voxels, np.eye(4)))
    return folder


def test_a_folder_is_done_by_a_worker_and_a_crash_costs_one_case(door, scans, model, tmp_path):
    """The worker is killed in the second case; the third finds a new one."""
    killed = []

    def kill_once(event):
        if isinstance(event, Progress) and event.stage == "windows" and len(told) == 3 and not killed:
            killed.extend(worker_pids())
            for pid in killed:
                psutil.Process(pid).kill()

    told = []
    logic, out = door.MedSegAttentionLogic(), tmp_path / "out"
    options = {"device": "cpu", "python": sys.executable, "onCase": lambda *case: told.append(case)}
    report = logic.segmentFolder(scans, model, str(out), onEvent=kill_once, **options)
    assert [row.status for row in report.rows] == ["done", "failed", "done", "done"]
    assert "SIGKILL" in report.rows[1].error
    assert not (out / "1.seg.nrrd").exists()
    told.clear()
    again = logic.segmentFolder(scans, model, out, **options)
    assert (again.is_complete, again.skipped) == (True, 3)
    assert [(number, total, row.status) for number, total, row in told] == [(2, 4, "running"), (2, 4, "done")]
    assert not psutil.Process().children()


def test_a_folder_can_be_stopped_in_the_middle_of_a_case(door, scans, model, tmp_path):
    heard = []
    report = door.MedSegAttentionLogic().segmentFolder(
        scans,
        model,
        tmp_path / "out",
        device="cpu",
        python=sys.executable,
        onEvent=heard.append,
        cancelled=lambda: any(isinstance(event, Progress) for event in heard),
    )
    assert [row.status for row in report.rows] == ["cancelled"]
    assert not report.is_complete


def test_a_folder_gets_no_probabilities(door, scans, model, tmp_path):
    with pytest.raises(JobError, match="segmentations only"):
        door.MedSegAttentionLogic().segmentFolder(scans, model, tmp_path / "out", probabilities=True)


class Background:
    """What a call that is not waited for said at the end."""

    def __init__(self):
        self.node, self.error, self.calls, self.events = None, None, 0, []

    def finished(self, node, error):
        self.node, self.error, self.calls = node, error, self.calls + 1

    @property
    def is_computing(self):
        return any(isinstance(event, Progress) and event.stage == "windows" and event.done for event in self.events)


@pytest.fixture
def background(qt_app, spin, monkeypatch):
    assert qt_app
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield Background()
    under_way = sys.modules["medseg.desktop.console.waiting"]._under_way  # of this test: each has a qt of its own
    spin(lambda: not under_way, seconds=10)
    spin(lambda: not worker_pids(), seconds=10)


def start(door, background, volume, model, **options):
    return door.MedSegAttentionLogic().segment(
        volume,
        model,
        wait=False,
        onFinished=background.finished,
        onEvent=background.events.append,
        python=sys.executable,
        device="cpu",
        **options,
    )


def test_a_call_that_is_not_waited_for_comes_back_at_once_and_tells_its_end(door, background, volume, model, spin):
    begun = time.monotonic()
    run = start(door, background, volume, model)
    assert time.monotonic() - begun < 1.0
    assert not run.is_done
    assert background.calls == 0
    del run  # nobody has to keep it
    spin(lambda: background.calls, seconds=60)
    assert background.error is None
    labels, _names = labels_from_segmentation(background.node, volume)
    np.testing.assert_array_equal(labels.array, in_memory(volume, model).array)
    assert read_provenance(background.node)[0]["model"] == "tiny"
    turns = []
    spin(lambda: turns.append("turn") or not worker_pids(), seconds=10)
    assert len(turns) > 10  # the window lives while the worker goes home; to wait for it is one long turn
    assert background.calls == 1


def test_cancel_ends_a_background_run_in_two_seconds(door, background, scene, model, spin):
    large = volume_node_from_image(scene, Image(np.random.default_rng(0).random((1, 48, 48, 48)), np.eye(4)), "large")
    run = start(door, background, large, model, overlap=0.9)
    spin(lambda: background.is_computing, seconds=60)
    run.cancel()
    begun = time.monotonic()
    spin(lambda: run.is_done, seconds=10)
    assert time.monotonic() - begun < 6  # two, and time for a computer that does other things too
    assert isinstance(background.error, Cancelled)
    assert background.node is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_crash_in_the_background_is_an_exception_with_what_the_worker_said(door, background, scene, model, spin):
    large = volume_node_from_image(scene, Image(np.random.default_rng(0).random((1, 48, 48, 48)), np.eye(4)), "large")
    start(door, background, large, model, overlap=0.9)
    spin(lambda: background.is_computing, seconds=60)
    for pid in worker_pids():
        psutil.Process(pid).kill()
    spin(lambda: background.calls, seconds=30)
    assert isinstance(background.error, RuntimeError)
    assert "SIGKILL" in str(background.error)


def test_closing_the_scene_stops_a_background_run_and_shows_nothing(door, background, scene, model, spin):
    large = volume_node_from_image(scene, Image(np.random.default_rng(0).random((1, 48, 48, 48)), np.eye(4)), "large")
    start(door, background, large, model, overlap=0.9)
    spin(lambda: background.is_computing, seconds=60)
    scene.Clear(False)
    spin(lambda: background.calls, seconds=10)
    assert isinstance(background.error, Cancelled)
    assert "scene was closed" in str(background.error)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_the_panel_hears_that_the_scene_is_closed_before_and_after(door, scene, monkeypatch):
    import slicer

    heard = []

    def is_there():
        return scene.GetFirstNodeByName("brain") is not None

    from medseg.desktop.panel.scene_watch import SceneWatch

    panel = SimpleNamespace(
        widget=None,
        leave_scene=lambda: heard.append(("leave", is_there())),
        set_scene=lambda _scene: heard.append(("enter", is_there())),
        close=lambda: heard.append("close"),
    )
    start = SimpleNamespace(start_panel=lambda scene, *_arguments: (panel, SceneWatch(scene, panel)))
    monkeypatch.setitem(sys.modules, "medseg.desktop.panel.start", start)
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    base = door.ScriptedLoadableModuleWidget
    monkeypatch.setattr(base, "__init__", lambda *_: None)
    monkeypatch.setattr(base, "setup", lambda _: None, raising=False)
    widget = door.MedSegAttentionWidget()
    widget.layout = SimpleNamespace(addWidget=lambda _: None)
    widget.setup()
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "brain")
    scene.Clear(False)
    assert heard == [("leave", True), ("enter", False)]
    widget.cleanup()
    scene.Clear(False)
    assert heard[2:] == ["close"]
