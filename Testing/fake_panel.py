"""The widgets of the panel without Qt: what they hold can be set and read, and a click calls who is connected."""


class Widget:
    def __init__(self):
        self.text, self.lines, self.is_enabled, self.is_visible, self.number = "", [], None, None, None
        self.slots, self.painted = {}, None

    def connect(self, signal, slot):
        self.slots[signal] = slot

    def click(self):
        assert self.is_enabled, "a user cannot click what is disabled"
        self.slots["clicked()"]()

    def setText(self, text):  # noqa: N802 - Qt's names, here and below
        self.text = text

    def setEnabled(self, is_enabled):  # noqa: N802
        self.is_enabled = bool(is_enabled)

    def setVisible(self, is_visible):  # noqa: N802
        self.is_visible = bool(is_visible)

    def repaint(self):
        self.painted = self.text

    def setValue(self, number):  # noqa: N802
        self.number = number

    def appendPlainText(self, text):  # noqa: N802
        self.lines.append(text)


class Box(Widget):
    """A combo box."""

    def __init__(self, *items):
        super().__init__()
        self.items, self.currentIndex = list(items), 0

    def clear(self):
        self.items, self.currentIndex = [], -1

    def addItem(self, text, value):  # noqa: N802
        self.items.append((text, value))
        if self.currentIndex < 0:
            self.choose(value)

    def itemData(self, index):  # noqa: N802
        return self.items[index][1] if 0 <= index < len(self.items) else None

    def choose(self, value):
        self.currentIndex = [each for _, each in self.items].index(value)
        if "currentIndexChanged(int)" in self.slots:
            self.slots["currentIndexChanged(int)"](self.currentIndex)


class Selector(Widget):
    """A node selector."""

    node = None

    def setMRMLScene(self, scene):  # noqa: N802
        self.scene = scene

    def currentNode(self):  # noqa: N802
        return self.node

    def setCurrentNode(self, node):  # noqa: N802
        self.node = node
        if "currentNodeChanged(vtkMRMLNode*)" in self.slots:
            self.slots["currentNodeChanged(vtkMRMLNode*)"](node)


class FakeControls:
    widget = None

    def __init__(self):
        self.inputs = []
        self.model, self.card, self.output, self.roi = Box(), Widget(), Selector(), Selector()
        self.mode = Box(("Add", "add"), ("Replace", "replace"))
        self.device = Box(("Best", "auto"), ("CPU", "cpu"))
        self.overlap, self.mirror = Box(("Model", None), ("25 %", 0.25)), Box(("Model", ""), ("Off", "off"))
        self.apply, self.cancel, self.undo, self.show_3d = Widget(), Widget(), Widget(), Widget()
        self.progress, self.status, self.log = Widget(), Widget(), Widget()

    def set_channels(self, names, scene):
        del self.inputs[len(names) :]
        while len(self.inputs) < len(names):
            self.inputs.append(Selector())
            self.inputs[-1].setMRMLScene(scene)

    def set_scene(self, scene):
        for selector in (*self.inputs, self.output, self.roi):
            selector.setMRMLScene(scene)


class FakeProcess:
    """Remembers its job; the test says what happens to it."""

    def __init__(self):
        self.tell = self.log = None
        self.jobs, self.cancels, self.is_closed = [], 0, False

    def made_for(self, on_event, on_log):
        self.tell, self.log = on_event, on_log
        return self

    def start(self, job):
        self.jobs.append(job)

    def cancel(self):
        self.cancels += 1

    def close(self):
        self.is_closed = True
