"""A model's description, without weights."""

import pytest

from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest


@pytest.fixture
def manifest() -> ModelManifest:
    """Two channels, found by their names."""
    code = Code("SCT", "123037004", "Anatomical Structure")
    return ModelManifest(
        model_id="pair",
        title="Pair",
        version="1.0.0",
        description="A model of two channels",
        network="ultralight_unet",
        labels=(LabelSpec(value=1, name="Liver", color=(1, 2, 3), category=code, type=code),),
        channels=(
            ChannelSpec(name="T1", modality="MR", pattern="(?i)t1"),
            ChannelSpec(name="FLAIR", modality="MR", pattern="(?i)flair"),
        ),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(16, 16, 16),
        anatomy="anything",
        intended_use="Research on livers",
        licence="Apache-2.0",
        authors="nobody",
        training_data="none",
    )
