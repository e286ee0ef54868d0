"""The manifest of a model that tests need only to be valid; each test names what matters to it."""

from medseg.spec.manifest import ChannelSpec, IntensityRule, ModelManifest


def small_manifest(*, labels, **fields):
    """A manifest with these labels; ``fields`` are those of ``ModelManifest`` that are otherwise than here."""
    given = {
        "model_id": "small",
        "title": "Small",
        "version": "1.0.0",
        "description": "",
        "network": "ultralight_unet",
        "channels": (ChannelSpec(name="T1", modality="MR"),),
        "intensity": IntensityRule(kind="zscore"),
        "window_shape": (16, 16, 16),
        "anatomy": "anything",
        "intended_use": "tests",
        "licence": "Apache-2.0",
        "authors": "nobody",
        "training_data": "none",
    }
    return ModelManifest(labels=labels, **(given | fields))
