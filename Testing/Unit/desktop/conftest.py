"""A model's description, without weights."""

import pytest

from medseg.spec.manifest import ChannelSpec, Code, LabelSpec, ModelManifest
from small_manifest import small_manifest


@pytest.fixture
def manifest() -> ModelManifest:
    """Two channels, found by their names."""
    code = Code("SCT", "123037004", "Anatomical Structure")
    return small_manifest(
        model_id="pair",
        title="Pair",
        description="A model of two channels",
        labels=(LabelSpec(value=1, name="Liver", color=(1, 2, 3), category=code, type=code),),
        channels=(
            ChannelSpec(name="T1", modality="MR", pattern="(?i)t1"),
            ChannelSpec(name="FLAIR", modality="MR", pattern="(?i)flair"),
        ),
        intended_use="Research on livers",
    )
