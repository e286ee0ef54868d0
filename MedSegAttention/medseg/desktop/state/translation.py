"""Slicer's translation of what the panel says."""

from collections.abc import Callable

try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        """Outside Slicer texts stay English."""
        return text


# Slicer's own function and none of ours around it: it looks a text up by the file that it is called from.
_: Callable[[str], str] = tr
