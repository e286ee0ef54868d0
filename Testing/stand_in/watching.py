"""Observers of VTK objects that end with the widget they belong to."""

import weakref

import shiboken6


class Watching:
    """The observations of one widget."""

    def __init__(self, widget):
        self._widget = weakref.ref(widget)
        self._tags = []

    def watch(self, subject, events, method_name):
        """Call ``widget.<method_name>()`` at each event."""

        def call(_subject, _event):
            self._tell(method_name)

        self._observe(subject, events, call)

    def watch_nodes(self, scene, event, method_name):
        """Call ``widget.<method_name>(node)`` when a node comes or goes."""
        import vtk

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def call(_subject, _event, node):
            self._tell(method_name, node)

        self._observe(scene, [event], call)

    def _tell(self, method_name, *arguments):
        widget = self._widget()
        if widget is not None and shiboken6.isValid(widget):
            getattr(widget, method_name)(*arguments)

    def _observe(self, subject, events, call):
        self._tags += [(subject, subject.AddObserver(event, call)) for event in events]

    def stop(self):
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags = []

    __del__ = stop
