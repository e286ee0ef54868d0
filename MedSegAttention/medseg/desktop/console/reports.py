"""What a call on a folder prints after each case, and the versions that a call writes down."""

import sys
from typing import Any

import medseg


def print_case(number: int, total: int, row: Any) -> None:
    """Print the row of a report on a folder, for which standard output is Slicer's console."""
    sys.stdout.write(f"{number}/{total} {row.case}: {row.status} {row.error}\n")


def program_versions(slicer: Any) -> dict[str, str]:
    """Versions of the programs that take part.

    Args:
        slicer: the module, which has no application where MRML alone is used.
    """
    application = getattr(slicer, "app", None)
    slicers = {} if application is None else {"Slicer": str(application.applicationVersion)}
    return slicers | {"medseg": medseg.__version__}
