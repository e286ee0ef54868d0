"""A real MRML scene, without the desktop application; every test file here skips itself where there is no MRML."""

import os
import sys
import time
import traceback
from itertools import permutations, product

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
_NO_QT = "needs Qt: pip install PySide6-Essentials, on Linux with libegl1, libgl1, libxkbcommon0 and libfontconfig1"


@pytest.fixture(autouse=True)
def _one_rule_of_each_kind():
    """Leave one conversion rule of each kind, as an application with its one scene has.

    Every logic that gets a scene registers them once more, and copying a segmentation takes time with their square:
    after 500 scenes of one process it took 20 s.
    """
    yield
    factory_class = getattr(sys.modules.get("slicer"), "vtkSegmentationConverterFactory", None)
    if factory_class is None:
        return
    factory, kept = factory_class.GetInstance(), set()
    for rule in factory.GetConverterRules():
        if rule.GetClassName() in kept:
            factory.UnregisterConverterRule(rule)
        kept.add(rule.GetClassName())


@pytest.fixture
def scene():
    """An empty scene that knows volumes, transforms and segmentations."""
    import slicer

    whole = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(whole)
    yield whole
    whole.Clear(True)


@pytest.fixture
def load(scene):
    """Read a volume file as Slicer does."""
    import slicer

    logic = slicer.vtkSlicerVolumesLogic()
    logic.SetMRMLScene(scene)

    def read(path):
        node = logic.AddArchetypeVolume(str(path), "volume", 0)
        assert node is not None, f"Slicer cannot read {path}"
        return node

    yield read
    logic.SetMRMLScene(None)


@pytest.fixture
def load_segmentation(scene):
    """Read a .seg.nrrd file as Slicer does."""
    import slicer

    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    yield lambda path: logic.LoadSegmentationFromFile(str(path), True, "again")
    logic.SetMRMLScene(None)


@pytest.fixture
def hang(scene):
    """Hang a node under a linear transform, a 4x4 in RAS mm; returns the transform node."""
    from medseg.mrml.grids import matrix_from_affine

    def under(node, matrix, parent=None):
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix_from_affine(np.asarray(matrix, dtype=float)))
        if parent is not None:
            transform.SetAndObserveTransformNodeID(parent.GetID())
        node.SetAndObserveTransformNodeID(transform.GetID())
        return transform

    return under


@pytest.fixture
def warp(scene):
    """Hang a node under a transform that is not linear."""
    import vtk

    def under(node):
        spline = vtk.vtkThinPlateSplineTransform()
        source, target = vtk.vtkPoints(), vtk.vtkPoints()
        for point in ((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 9)):
            source.InsertNextPoint(point)
            target.InsertNextPoint([value * value / 9 for value in point])
        target.SetPoint(4, 5, 9, 7)
        spline.SetSourceLandmarks(source)
        spline.SetTargetLandmarks(target)
        spline.SetBasisToR()
        transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
        transform.SetAndObserveTransformToParent(spline)
        node.SetAndObserveTransformNodeID(transform.GetID())

    return under


def rotation(x, y, z):
    """Turns about the three axes, in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def affine_from(axes, spacing=(0.7, 1.25, 3.0), origin=(-12.5, 40.25, 7.75)):
    """Voxel -> RAS mm from unit columns."""
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(spacing)
    affine[:3, 3] = origin
    return affine


@pytest.fixture(scope="session")
def affines():
    """All 48 ways in which three axes can lie along the body's, and two oblique ones, one of them left-handed."""
    straight = [
        affine_from(np.eye(3)[:, list(order)] * np.array(signs))
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]
    oblique = rotation(0.3, -0.5, 0.8)
    return [*straight, affine_from(oblique), affine_from(oblique * np.array([1, -1, 1]))]


@pytest.fixture(scope="session")
def motion():
    """A patient turned and moved: rotation and translation, RAS mm."""
    return affine_from(rotation(-0.2, 0.4, 0.1), spacing=(1, 1, 1), origin=(5, -30, 12.5))


@pytest.fixture(scope="session")
def specs():
    """Three coded labels; the third is never drawn."""
    from medseg.spec.manifest import Code, LabelSpec

    structure = Code("SCT", "123037004", "Anatomical Structure")
    return (
        LabelSpec(
            value=1,
            name="Left hippocampus",
            color=(216, 101, 79),
            category=structure,
            type=Code("SCT", "5366008", "Hippocampus"),
            type_modifier=Code("SCT", "7771000", "Left"),
        ),
        LabelSpec(
            value=2, name="Liver", color=(221, 130, 101), category=structure, type=Code("SCT", "10200004", "Liver")
        ),
        LabelSpec(
            value=3, name="Spleen", color=(157, 108, 162), category=structure, type=Code("SCT", "78961009", "Spleen")
        ),
    )


@pytest.fixture(scope="session")
def array():
    """Labels 0, 1, 2 on ``(1, 7, 6, 5)``, in no symmetric order."""
    labels = np.zeros((1, 7, 6, 5), dtype=np.uint8)
    labels[0, 1:4, 1:3, 0:2] = 1
    labels[0, 5, 2:6, 3] = 2
    labels[0, 0, 5, 4] = 2
    return labels


@pytest.fixture
def door(monkeypatch, checkout):
    """The module file, imported as Slicer does; with ``slicer_app`` its widget can be made, too."""
    pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
    from stand_in.scripted_module import import_door

    return import_door(monkeypatch, checkout / "MedSegAttention" / "MedSegAttention.py")


# PySide6 6.12 gives back a reference to None too often, here and there; with none left Python 3.11 ends the process.
_SPARE_REFERENCES = [None] * 2_000_000


@pytest.fixture(scope="session")
def q_application():
    """Qt's one application object, drawn offscreen."""
    pytest.importorskip("PySide6.QtWidgets", reason=_NO_QT, exc_type=ImportError)
    from stand_in.install import application

    return application()


@pytest.fixture
def answers():
    """What the user answers to modal dialogs: ``answers.queue("Ok")`` before, ``answers.asked`` after."""
    pytest.importorskip("PySide6.QtWidgets", reason=_NO_QT, exc_type=ImportError)
    from stand_in.dialogs import Answers

    return Answers()


@pytest.fixture
def qt_parts(q_application, answers, monkeypatch):
    """The stand-in for PythonQt: ``import qt`` and ``import ctk`` work while the test runs."""
    from stand_in.events import turn
    from stand_in.install import install_qt, warnings_of_qt

    wrong = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: wrong.append("".join(traceback.format_exception(*error))))
    qt, classes, forget = install_qt(monkeypatch, answers)
    with warnings_of_qt(wrong):
        yield qt, classes, wrong
    q_application.closeAllWindows()
    turn()
    forget()
    assert not wrong, "what Qt and VTK only print went wrong:\n" + "\n".join(wrong)
    assert not answers.left, f"nobody asked for the answers {answers.left}"


@pytest.fixture
def qt_app(qt_parts):
    """The module ``qt``; after the test it is gone."""
    return qt_parts[0]


@pytest.fixture
def qt_errors(qt_parts):
    """What went wrong in slots and observers; a test that expects something there clears it."""
    return qt_parts[2]


@pytest.fixture
def slicer_app(qt_parts, monkeypatch, tmp_path_factory):
    """slicer.app on a scene of its own; also slicer.mrmlScene, .modules, .i18n, .ScriptedLoadableModule, .qMRML*."""
    pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
    from stand_in.install import install_slicer

    app = install_slicer(monkeypatch, qt_parts[0], qt_parts[1], tmp_path_factory.mktemp("slicer"))
    yield app
    app.close()


@pytest.fixture
def spin(q_application):  # noqa: ARG001 - must be there
    """Run Qt's event loop until something holds; fails after some seconds. Returns how long it took."""
    from stand_in.events import turn

    def until(holds, seconds=10.0):
        begun = time.monotonic()
        while not holds():
            assert time.monotonic() - begun < seconds, f"waited {seconds} s in vain"
            turn()
            time.sleep(0.002)
        return time.monotonic() - begun

    return until


@pytest.fixture
def grab(q_application):  # noqa: ARG001 - must be there
    """Save a picture of a widget: ``grab(widget, path, width, height=None)``."""
    from stand_in.events import turn
    from stand_in.screenshot import grab as save

    def drawn(widget, path, width, height=None):
        turn()
        return save(widget, path, width, height)

    return drawn


@pytest.fixture
def slicer_scene(slicer_app):
    """The scene of slicer_app."""
    return slicer_app.scene
