"""The volume to try the extension with; it lies beside the module, and nothing is downloaded for it."""

from pathlib import Path
from typing import Any

from medseg.mrml.grids import Node

SAMPLE_MODEL = "hippocampus-ultralight3d"  # seconds on any computer
SAMPLE_NAME = "Colin27 left T1"
_FILE = Path("Resources", "SampleData", "colin27_left_t1.nii.gz")


def sample_path() -> Path:
    """The file: installed with the extension, or in the source tree; it need not exist."""
    module = Path(__file__).resolve().parents[3]
    found = [home / _FILE for home in (module, module.parent) if (home / _FILE).is_file()]
    return found[0] if found else module / _FILE


def load_sample() -> Node:
    """Load the sample into Slicer's scene, as a volume that no file belongs to: saving asks where it is to go.

    Raises:
        RuntimeError: if Slicer cannot read it.
    """
    import slicer

    node = slicer.util.loadVolume(str(sample_path()), {"name": SAMPLE_NAME})
    slicer.mrmlScene.RemoveNode(node.GetStorageNode())
    return node


def register_sample(sources: Any, icon: Path) -> None:
    """Offer the sample in Slicer's module Sample Data, whose logic copies the file into its cache.

    Args:
        sources: the class ``SampleData.SampleDataLogic``.
        icon: of the button.
    """
    path = sample_path()
    if path.is_file():
        sources.registerCustomSampleDataSource(
            category="MedSegAttention",
            sampleName=SAMPLE_NAME,
            uris=path.as_uri(),
            fileNames=path.name,
            nodeNames=SAMPLE_NAME,
            thumbnailFileName=str(icon),
        )
