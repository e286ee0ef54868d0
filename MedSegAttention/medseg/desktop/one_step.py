"""One change of a segmentation that can be taken back and made again, as long as nobody worked on it after."""

from typing import Any

from medseg.desktop.texts import _
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import BINARY_LABELMAP
from medseg.spec.errors import JobError


class OneStep:
    """The state before and after a change; made just before it.

    Args:
        node: the segmentation that is about to change.
        attribute: of the node; goes back and forth with the change.
    """

    def __init__(self, node: Node, attribute: str) -> None:
        import slicer

        self._node = node
        self._attribute = attribute
        self._other_text = node.GetAttribute(attribute)  # what it says in the state we are not in
        self._history = slicer.vtkSegmentationHistory()
        self._history.SetSegmentation(node.GetSegmentation())
        self._history.SaveState()
        self._stamp: tuple[Any, ...] = ()
        self.is_undone = False

    def done(self) -> None:
        """Call when the change is complete; what happens to the segmentation later is somebody's work."""
        self._stamp = _stamp(self._node)

    def restore(self) -> None:
        """Go back whatever is there: for a change that failed half-way."""
        self._history.RestorePreviousState()

    def turn(self) -> str:
        """Take the change back; when it has been taken back, make it again.

        Returns:
            What happened, for the user.

        Raises:
            JobError: if the segmentation is gone, or was worked on since: that work would be lost.
        """
        self._check()
        if self.is_undone:
            self._history.RestoreNextState()
        else:
            self._history.RestorePreviousState()
        text, self._other_text = self._other_text, self._node.GetAttribute(self._attribute)
        self._node.SetAttribute(self._attribute, text)  # None takes it away
        self.is_undone = not self.is_undone
        self.done()
        return _("The segmentation is as it was before.") if self.is_undone else _("The segments are there again.")

    def _check(self) -> None:
        if self._node.GetScene() is None:
            msg = "the segmentation is no longer in the scene; there is nothing to take back"
            raise JobError(msg)
        if _stamp(self._node) != self._stamp:
            msg = (
                f"{self._node.GetName()!r} was changed by hand since, and that work would be lost; "
                "remove segments you do not want in the Segment Editor"
            )
            raise JobError(msg)


def _stamp(node: Node) -> tuple[Any, ...]:
    """What a user can change by hand; surfaces made to be shown are no such change."""
    segmentation = node.GetSegmentation()
    segments = [(each, segmentation.GetSegment(each)) for each in segmentation.GetSegmentIDs()]
    return tuple(
        (each, segment.GetName(), segment.GetColor(), segment.GetLabelValue(), _drawn(segment))
        for each, segment in segments
    )


def _drawn(segment: Any) -> tuple[str, int] | None:
    """Which labelmap a segment has, and when that was last changed."""
    labelmap = segment.GetRepresentation(BINARY_LABELMAP)
    return None if labelmap is None else (labelmap.GetAddressAsString("vtkObject"), int(labelmap.GetMTime()))
