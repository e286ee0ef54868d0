"""Slicer's Qt side for tests: PySide6 made to behave as PythonQt does, and the few ctk, qMRML and slicer things we use.

What is real: Qt (PySide6, drawn offscreen), MRML (slicer-core), the file ``slicer/util.py`` and our own ``.ui`` files.
What is ours: how Python meets Qt (``pythonqt``), and every class whose name begins with ctk, qMRML or qSlicer. Those
hold only the properties, signals and methods that this project uses; they were written from what is documented of the
originals. So a test that passes here shows that our panel asks for the right things, not that Slicer gives them.
Names that the originals do not have are refused where that is known: unknown signals, new attributes on C++ objects,
properties in ``.ui`` files. Look, layout, timing and memory of the originals are not imitated. Nothing here replaces
the test that runs inside Slicer.
"""
