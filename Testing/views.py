"""Slicer's own slice and 3D views without its window: real displayable managers, drawn by EGL into a picture.

The picture of a slice is what a slice view of Slicer shows, and that of a segmentation in 3D what its 3D view shows;
toolbars, layouts and mouse are not here.
"""

import os

import numpy as np

SLICE_MANAGERS = ("vtkMRMLModelSliceDisplayableManager", "vtkMRMLSegmentationsDisplayableManager2D")
SPACE_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


def why_not():
    """What is missing for drawing; None where nothing is."""
    import ctypes.util

    if os.environ.get("DISPLAY") or os.name == "nt":
        return None
    return None if ctypes.util.find_library("EGL") else "no DISPLAY and no EGL: install libegl1 and libgl1-mesa-dri"


class Views:
    """The views of one scene; keep it as long as they are drawn."""

    def __init__(self, scene):
        import slicer

        self._scene = scene
        self._logic = slicer.vtkMRMLApplicationLogic()
        self._logic.SetMRMLScene(scene)
        self._colours = slicer.vtkMRMLColorLogic()  # grey is a node of the scene
        self._colours.SetMRMLScene(scene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        self._kept = []

    def slice(self, volume, position, *, orientation="Axial", size=(400, 400), field_of_view_mm=None):
        """Draw a slice view: ``(height, width, 3)`` uint8."""
        import slicer
        import vtk

        window, renderer = self._view(slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_MANAGERS, size)
        renderer.GetActiveCamera().ParallelProjectionOn()
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self._logic)
        logic.SetMRMLScene(self._scene)
        node = logic.AddSliceNode(f"{orientation}{len(self._kept)}")
        node.SetOrientation(orientation)
        self._kept[-1][-1].SetMRMLDisplayableNode(node)
        logic.ResizeSliceNode(*size)
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        logic.FitSliceToBackground()
        if field_of_view_mm is not None:
            node.SetFieldOfView(field_of_view_mm, field_of_view_mm * size[1] / size[0], node.GetFieldOfView()[2])
        node.JumpSliceByCentering(*position)
        mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(logic.GetImageDataConnection())
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        renderer.AddViewProp(actor)
        self._kept.append((logic, mapper, actor))
        return _picture(window)

    def space(self, *, size=(400, 400), azimuth=0.0, elevation=0.0):
        """Draw the 3D view, from the front unless turned by degrees: ``(height, width, 3)`` uint8."""
        import slicer

        window, renderer = self._view(slicer.vtkMRMLThreeDViewDisplayableManagerFactory, SPACE_MANAGERS, size)
        logic = slicer.vtkMRMLViewLogic()
        logic.SetMRMLApplicationLogic(self._logic)
        logic.SetMRMLScene(self._scene)
        node = logic.AddViewNode(f"View{len(self._kept)}")
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        self._kept[-1][-1].SetMRMLDisplayableNode(node)
        self._kept.append((logic, node))
        window.Render()
        camera = renderer.GetActiveCamera()
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        renderer.ResetCamera()
        camera.Zoom(1.2)
        return _picture(window)

    def _view(self, factory_class, managers, size):
        import slicer
        import vtk

        renderer, window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)
        window.AddRenderer(renderer)
        interactor = vtk.vtkRenderWindowInteractor()
        interactor.SetRenderWindow(window)
        interactor.Initialize()
        window.SetSize(*size)
        factory = factory_class.GetInstance()
        factory.SetMRMLApplicationLogic(self._logic)
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        group = slicer.vtkMRMLDisplayableManagerGroup()
        group.Initialize(factory, renderer)
        self._kept.append((window, interactor, renderer, group))
        return window, renderer


def _picture(window):
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.SetInputBufferTypeToRGB()
    grabber.Update()
    image = grabber.GetOutput()
    width, height, _ = image.GetDimensions()
    rows = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
    return np.ascontiguousarray(rows[::-1])
