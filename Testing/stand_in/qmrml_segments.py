"""qMRMLSegmentsTableView: the segments of a segmentation node, one a row, which it follows."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from PySide6 import QtCore, QtGui, QtWidgets

from stand_in.pythonqt import adapted, wrapped
from stand_in.watching import Watching
from stand_in.widgets import properties

_ID = QtCore.Qt.ItemDataRole.UserRole
_EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")


@properties(
    headerVisible=True,
    visibilityColumnVisible=True,
    colorColumnVisible=True,
    opacityColumnVisible=True,
    statusColumnVisible=False,
    layerColumnVisible=False,
    readOnly=False,
    filterBarVisible=False,
    textFilter="",
    jumpToSelectedSegmentEnabled=False,
    selectionMode=3,
)
class qMRMLSegmentsTableView(wrapped(QtWidgets.QWidget)):
    """Columns: shown or hidden (a tick), colour, name. Opacity, status and terminology are not drawn."""

    selectionChanged = QtCore.Signal(QtCore.QItemSelection, QtCore.QItemSelection)
    segmentAboutToBeModified = QtCore.Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        table = QtWidgets.QTableWidget(0, 3, self)
        table.setHorizontalHeaderLabels(["", "", "Name"])
        table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        table.verticalHeader().hide()
        table.horizontalHeader().setStretchLastSection(True)
        table.setColumnWidth(0, 30)
        table.setColumnWidth(1, 30)
        column.addWidget(table)
        self.setFocusProxy(table)
        self.__dict__.update(_table=table, _node=None, _hidden=(), _on_node=Watching(self))
        table.selectionModel().selectionChanged.connect(lambda *both: self.selectionChanged.emit(*both))
        table.itemChanged.connect(self._edited)

    segmentCount = QtCore.Property(int, lambda self: self._table.rowCount())

    def setMRMLScene(self, scene):
        self.__dict__["_scene"] = scene

    def mrmlScene(self):
        return self.__dict__.get("_scene")

    def tableWidget(self):
        return adapted(self._table)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        self._on_node.stop()
        self.__dict__["_node"] = node
        if node is not None:
            segmentation = node.GetSegmentation()
            self._on_node.watch(segmentation, [getattr(segmentation, each) for each in _EVENTS], "_fill")
            self._on_node.watch(node, ["ModifiedEvent"], "_fill")
        self._fill()

    def selectedSegmentIDs(self):
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return tuple(self.segmentIDForRow(row) for row in rows)

    def setSelectedSegmentIDs(self, ids):
        ids = (ids,) if isinstance(ids, str) else tuple(ids)
        model, rows = self._table.selectionModel(), QtCore.QItemSelection()
        for row in (self.rowForSegmentID(each) for each in ids):
            if row >= 0:
                first, last = self._table.model().index(row, 0), self._table.model().index(row, 2)
                rows.select(first, last)
        model.select(rows, QtCore.QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def clearSelection(self):
        self._table.clearSelection()

    def displayedSegmentIDs(self):
        return tuple(self.segmentIDForRow(row) for row in range(self._table.rowCount()))

    def hideSegments(self):
        return tuple(self._hidden)

    def setHideSegments(self, ids):
        self.__dict__["_hidden"] = tuple(ids)
        self._fill()

    def rowForSegmentID(self, segment_id):
        shown = self.displayedSegmentIDs()
        return shown.index(segment_id) if segment_id in shown else -1

    def segmentIDForRow(self, row):
        return self._table.item(row, 2).data(_ID)

    def _after_textFilter(self):
        self._fill()

    def _after_headerVisible(self):
        self._table.horizontalHeader().setVisible(self.headerVisible)

    def _after_visibilityColumnVisible(self):
        self._table.setColumnHidden(0, not self.visibilityColumnVisible)

    def _after_colorColumnVisible(self):
        self._table.setColumnHidden(1, not self.colorColumnVisible)

    def _after_selectionMode(self):
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(self.selectionMode))

    def _after_readOnly(self):
        self._fill()

    def _segments(self):
        if self._node is None:
            return
        segmentation = self._node.GetSegmentation()
        for number in range(segmentation.GetNumberOfSegments()):
            segment_id, segment = segmentation.GetNthSegmentID(number), segmentation.GetNthSegment(number)
            if segment_id not in self._hidden and self.textFilter.lower() in (segment.GetName() or "").lower():
                yield segment_id, segment

    def _fill(self):
        """Write every row anew; what was selected stays selected."""
        table, selected = self._table, self.selectedSegmentIDs()
        rows = list(self._segments())
        display = None if self._node is None else self._node.GetDisplayNode()
        table.blockSignals(True)
        table.selectionModel().blockSignals(True)
        table.setRowCount(len(rows))
        for row, (segment_id, segment) in enumerate(rows):
            is_shown = display is None or display.GetSegmentVisibility(segment_id)
            for column, item in enumerate(self._items(segment_id, segment, is_shown)):
                table.setItem(row, column, item)
        self.setSelectedSegmentIDs(selected)
        table.selectionModel().blockSignals(False)
        table.blockSignals(False)
        if self.selectedSegmentIDs() != selected:
            self.selectionChanged.emit(QtCore.QItemSelection(), QtCore.QItemSelection())

    def _items(self, segment_id, segment, is_shown):
        eye, color, name = QtWidgets.QTableWidgetItem(), QtWidgets.QTableWidgetItem(), QtWidgets.QTableWidgetItem()
        eye.setCheckState(QtCore.Qt.CheckState.Checked if is_shown else QtCore.Qt.CheckState.Unchecked)
        color.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
        name.setText(segment.GetName())
        name.setData(_ID, segment_id)
        for item in (eye, color) if not self.readOnly else (eye, color, name):
            item.setFlags(item.flags() & ~QtCore.Qt.ItemFlag.ItemIsEditable)
        return eye, color, name

    def _edited(self, item):
        segment_id = self.segmentIDForRow(item.row())
        if item.column() == 2:
            self.segmentAboutToBeModified.emit(segment_id)
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())
        elif item.column() == 0 and self._node.GetDisplayNode() is not None:
            is_shown = item.checkState() == QtCore.Qt.CheckState.Checked
            self._node.GetDisplayNode().SetSegmentVisibility(segment_id, is_shown)
