"""What Slicer is told of this extension when it has started, whether or not the panel is ever opened."""

from pathlib import Path

from medseg.desktop.scene.sample import register_sample


def at_start(resources: Path) -> None:
    """Offer the sample volume.

    Args:
        resources: the module's folder of that name.
    """
    try:
        from SampleData import SampleDataLogic
    except ImportError:  # Slicer was built without that module
        return
    register_sample(SampleDataLogic, resources / "Icons" / "MedSegAttention.png")
