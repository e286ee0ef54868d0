"""What Slicer is told of this extension when it has started, whether or not the panel is ever opened."""

from pathlib import Path

from medseg.desktop.scene.sample import register_sample
from medseg.io.terminology import OWN_LIST


def at_start(resources: Path) -> None:
    """Load the list of codes that Slicer's own lack, and offer the sample volume.

    Args:
        resources: the module's folder of that name.
    """
    import slicer

    slicer.modules.terminologies.logic().LoadTerminologyFromFile(str(OWN_LIST))
    try:
        from SampleData import SampleDataLogic
    except ImportError:  # Slicer was built without that module
        return
    register_sample(SampleDataLogic, resources / "Icons" / "MedSegAttention.png")
