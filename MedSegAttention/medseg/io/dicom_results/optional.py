"""highdicom and pydicom, which only those need who read or write DICOM's segmentations and reports."""

from importlib.util import find_spec

from medseg.spec.errors import MissingDependency

INSTALL = "pip install highdicom"
LIBRARY_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the two libraries raise about a file that they do not understand."""


def require_highdicom(what: str) -> None:
    """Refuse what needs highdicom where it is not installed; raises ``MissingDependency`` with the command to type."""
    if find_spec("highdicom") is None or find_spec("pydicom") is None:
        msg = f"{what} needs the package highdicom, which is not installed; type: {INSTALL}"
        raise MissingDependency(msg)
