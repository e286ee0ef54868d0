"""Cells of a ``QTableWidget``, made by the table itself."""

from typing import Any

import qt


def set_cell(table: Any, line: int, column: int, text: str) -> Any:
    """Write a cell, and make it where there is none.

    An item that Python makes belongs, in some versions of Slicer's Qt binding, to Python still after it was handed to
    the table, and is gone from there when Python forgets it.

    Args:
        table: the ``QTableWidget``.
        line: counted from 0.
        column: counted from 0.
        text: what it says.

    Returns:
        The ``QTableWidgetItem``.
    """
    model = table.model()
    model.setData(model.index(line, column), text, qt.Qt.EditRole)
    return table.item(line, column)
