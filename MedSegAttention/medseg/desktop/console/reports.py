"""What a call from the console says in Slicer's log while it is under way, and the versions it writes down."""

import logging
import sys
from typing import Any

from medseg.desktop.state.texts import describe_event


def log_event(event: Any) -> None:
    """Say an event of the worker."""
    logging.info(describe_event(event))


def log_case(number: int, total: int, row: Any) -> None:
    """Say the row of a report on a folder."""
    logging.info("%d/%d %s: %s %s", number, total, row.case, row.status, row.error)


def program_versions(slicer: Any) -> dict[str, str]:
    """Versions of the programs that take part.

    Args:
        slicer: the module, which has no application where MRML alone is used.
    """
    application = getattr(slicer, "app", None)
    slicers = {} if application is None else {"Slicer": str(application.applicationVersion)}
    package = sys.modules["medseg"]  # its own; imported by name it would seem to need all that it can give
    return slicers | {"medseg": str(package.__version__)}
