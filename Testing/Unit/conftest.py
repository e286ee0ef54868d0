"""A small model for the tests of several folders."""

import pytest

from medseg.spec.manifest import Code, LabelSpec, ModelManifest
from small_manifest import small_manifest


@pytest.fixture
def manifest() -> ModelManifest:
    """One channel, two labels, a window of 8 x 6 x 4 voxels; symmetric sizes catch no swapped axis."""
    organ = Code("SCT", "113343008", "Organ")
    return small_manifest(
        model_id="tiny",
        title="Tiny",
        version="1.0",
        description="A model for tests",
        labels=tuple(
            LabelSpec(value=value, name=f"part {value}", color=(value, 0, 0), category=organ, type=organ)
            for value in (1, 2)
        ),
        window_shape=(8, 6, 4),
        overlap=0.5,
        anatomy="nothing",
    )
