"""qMRMLNodeComboBox: a choice among the nodes of a real scene, which it follows."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from PySide6 import QtCore, QtWidgets

from stand_in.pythonqt import adapted, wrapped
from stand_in.watching import Watching
from stand_in.widgets import properties

_ID = QtCore.Qt.ItemDataRole.UserRole
_NONE, _ACTION = "", "\n"  # what stands behind the lines that are no nodes


@properties(
    nodeTypes=[],
    hideChildNodeTypes=[],
    showChildNodeTypes=True,
    showHidden=False,
    noneEnabled=False,
    noneDisplay="None",
    addEnabled=True,
    removeEnabled=True,
    editEnabled=False,
    renameEnabled=False,
    selectNodeUponCreation=True,
    interactionNodeSingletonTag="Singleton",
)
class qMRMLNodeComboBox(wrapped(QtWidgets.QWidget)):
    """As the original: disabled without a scene; a line for None where asked; then nodes; then what can be done.

    When the chosen node is removed the next one is chosen, or the last, or None. A node that comes into the scene is
    not chosen by itself, unless the list was empty to the last line.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAddedByUserAction = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    currentNodeRenamed = QtCore.Signal(str)
    _valid_changed = QtCore.Signal(bool)
    _cpp_signals = {  # noqa: RUF012
        "currentNodeChanged(bool)": "_valid_changed",
        **{
            f"{name}(vtkMRMLNode*)": name
            for name in (
                "currentNodeChanged",
                "nodeActivated",
                "nodeAdded",
                "nodeAddedByUser",
                "nodeAddedByUserAction",
                "nodeAboutToBeRemoved",
                "nodeAboutToBeEdited",
            )
        },
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        box = QtWidgets.QComboBox(self)
        row.addWidget(box)
        box.setFocusProxy(self)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Fixed)
        self.__dict__.update(_box=box, _scene=None, _requested="", _told=("", ""), _attributes=[], _base="", _labels={})
        self.__dict__.update(_on_scene=Watching(self), _on_nodes=Watching(self), _going=None)
        box.currentIndexChanged.connect(self._tell)
        box.activated.connect(self._activated)
        self.setEnabled(False)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        wanted = self.currentNodeID if self._scene is not None and self.nodeCount() else self._requested
        self._on_scene.stop()
        self.__dict__.update(_scene=scene, _requested="")
        self._fill(wanted)
        if scene is not None:
            self._on_scene.watch_nodes(scene, scene.NodeAddedEvent, "_added_node")
            self._on_scene.watch_nodes(scene, scene.NodeAboutToBeRemovedEvent, "_removed_node")
            if not wanted and not self.noneEnabled and self.nodeCount():
                self.setCurrentNodeIndex(0)
        self.setEnabled(scene is not None)

    def currentNode(self):
        return self._node(self._box.currentData(_ID))

    def _current_id(self):
        node = self.currentNode()
        return "" if node is None else node.GetID()

    def setCurrentNodeID(self, node_id):
        if self._scene is None:
            self.__dict__["_requested"] = node_id or ""
        row = self._box.findData(node_id, _ID) if node_id else -1
        self._box.setCurrentIndex(row if row >= 0 else 0 if self.noneEnabled else -1)

    def setCurrentNode(self, node):
        self.setCurrentNodeID("" if node is None else node.GetID())

    currentNodeID = QtCore.Property(str, _current_id, setCurrentNodeID)

    def setCurrentNodeIndex(self, number):
        number = number if number < self.nodeCount() else -1
        self._box.setCurrentIndex(number + self.noneEnabled)

    def nodes(self):
        scene = self._scene
        every = [] if scene is None else [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
        return tuple(node for node in every if self._accepts(node) and node is not self._going)

    def nodeCount(self):
        return len(self.nodes())

    def nodeFromIndex(self, number):
        return self.nodes()[number]

    def addNode(self, kind=None):
        scene, kind = self._scene, kind or self.nodeTypes[0]
        if kind not in self.nodeTypes:
            return None
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        for wanted, name, value in self._attributes:
            if wanted == kind:
                node.SetAttribute(name, value or "")
        node.SetName(scene.GenerateUniqueName(self._base or scene.GetTypeDisplayNameByClassName(kind) or "Node"))
        scene.AddNode(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        self._scene.RemoveNode(self.currentNode())

    def addAttribute(self, kind, name, value=None):
        self._attributes.append((kind, name, value))
        self._refill()

    def removeAttribute(self, kind, name):
        self._attributes[:] = [each for each in self._attributes if each[:2] != (kind, name)]
        self._refill()

    def _set_base(self, name, _kind=""):
        self.__dict__["_base"] = name

    setBaseName = _set_base
    baseName = QtCore.Property(str, lambda self: self._base, _set_base)

    def setNodeTypeLabel(self, label, kind):
        self._labels[kind] = label
        self._refill()

    def nodeTypeLabel(self, kind):
        shown = self._scene.GetTypeDisplayNameByClassName(kind) if self._scene is not None else ""
        return self._labels.get(kind) or shown or "node"

    def comboBox(self):
        """Of the tests only: the combo box inside, which the original does not give away."""
        return adapted(self._box)

    def lines(self):
        """Of the tests only: every line that the list shows."""
        return [self._box.itemText(row) for row in range(self._box.count())]

    def _accepts(self, node):
        fits = any(
            node.IsA(each) if self.showChildNodeTypes else node.GetClassName() == each for each in self.nodeTypes
        )
        if not fits or any(node.IsA(each) for each in self.hideChildNodeTypes):
            return False
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
            for kind, name, value in self._attributes
            if node.IsA(kind)
        )

    def _node(self, node_id):
        return (
            self._scene.GetNodeByID(node_id)
            if self._scene is not None and node_id not in (None, _NONE, _ACTION)
            else None
        )

    def _refill(self):
        self._fill(self.currentNodeID)

    _after_nodeTypes = _after_hideChildNodeTypes = _after_showChildNodeTypes = _after_showHidden = _refill
    _after_noneEnabled = _after_noneDisplay = _after_addEnabled = _after_removeEnabled = _refill
    _after_editEnabled = _after_renameEnabled = _refill

    def _fill(self, wanted):
        """Write every line anew and choose the wanted node."""
        box, nodes = self._box, self.nodes()
        self._on_nodes.stop()
        box.blockSignals(True)
        box.clear()
        if self.noneEnabled and self._scene is not None:
            box.addItem(self.noneDisplay, _NONE)
        for node in nodes:
            box.addItem(node.GetName() or "", node.GetID())
            self._on_nodes.watch(node, ["ModifiedEvent"], "_refill")
        for line in self._actions():
            box.addItem(line, _ACTION)
        row = box.findData(wanted, _ID) if wanted else -1
        box.setCurrentIndex(row if row >= 0 else 0 if self.noneEnabled else -1)
        box.blockSignals(False)
        self._tell()

    def _actions(self):
        if self._scene is None or not self.nodeTypes:
            return
        label = self.nodeTypeLabel(self.nodeTypes[0] if len(self.nodeTypes) == 1 else "")
        if self.renameEnabled:
            yield f"Rename current {label}"
        if self.editEnabled:
            yield f"Edit current {label}"
        if self.addEnabled:
            yield from (f"Create new {self.nodeTypeLabel(kind)}" for kind in self.nodeTypes)
        if self.removeEnabled:
            yield f"Delete current {label}"

    def _tell(self, _row=None):
        """Emit what changed: another node, or the name of this one."""
        node = self.currentNode()
        now = ("", "") if node is None else (node.GetID(), node.GetName())
        if now != self._told:
            self.__dict__["_told"] = now
            self.currentNodeChanged.emit(node)
            self._valid_changed.emit(node is not None)
            self.currentNodeIDChanged.emit(now[0])

    def _activated(self, row):
        behind, line = self._box.itemData(row, _ID), self._box.itemText(row)
        if behind != _ACTION:
            self.nodeActivated.emit(self._node(behind))
        elif line.startswith("Create new"):
            kind = next(each for each in self.nodeTypes if line == f"Create new {self.nodeTypeLabel(each)}")
            self.nodeAddedByUserAction.emit(self.addNode(kind))
        elif line.startswith("Delete"):
            self.setCurrentNodeID(self._told[0])
            self.removeCurrentNode()

    def _added_node(self, node):
        if self._accepts(node):
            was_empty = self._box.count() == 0
            self._refill()
            self.nodeAdded.emit(node)
            if was_empty:
                self.setCurrentNode(node)

    def _removed_node(self, node):
        if not self._accepts(node):
            return
        self.nodeAboutToBeRemoved.emit(node)
        place = self.nodes().index(node)
        was_current, kept = node is self.currentNode(), self.currentNodeID
        self.__dict__["_going"] = node
        left = self.nodes()
        if was_current:
            has_next = left and (place > 0 or self.noneEnabled)
            kept = left[min(place, len(left) - 1)].GetID() if has_next else ""
        self._fill(kept)
        self.__dict__["_going"] = None
