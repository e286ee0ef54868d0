"""The version of this program."""

from importlib import metadata


def program_version() -> str:
    """As it was installed; run from a source tree or inside the Slicer extension, that of the source."""
    try:
        return metadata.version("medsegattention")
    except metadata.PackageNotFoundError:
        return "0.1.0"
