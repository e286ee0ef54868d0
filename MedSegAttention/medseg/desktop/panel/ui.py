"""Loads the ``.ui`` files of the panel."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

UI_FOLDER = Path(__file__).resolve().parents[3] / "Resources" / "UI"


def load_ui(name: str) -> tuple[Any, SimpleNamespace]:
    """Load a widget that a ``.ui`` file describes.

    Args:
        name: of the file in ``Resources/UI``, without its ending.

    Returns:
        The widget, and its named children as attributes.
    """
    import slicer

    widget = slicer.util.loadUI(str(UI_FOLDER / f"{name}.ui"))
    return widget, slicer.util.childWidgetVariables(widget)
