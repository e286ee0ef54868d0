"""The manifest of a model that tests need only to be valid; each test names what matters to it."""

from medseg.spec.manifest import ChannelSpec, IntensityRule, ModelManifest
from medseg.spec.measured import DatasetScores, Estimate, ScoreTable, SegmentScores


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


def dataset_scores(dataset="44 cases", segment="front", dice=0.91234, hd95_mm=1.5, **others):
    """Scores of one segment; ``others`` are fields of ``DatasetScores``."""
    row = SegmentScores(
        segment=segment,
        dice=Estimate(dice, 0.9, 0.92),
        surface_dice=Estimate(0.95),
        hd95_mm=Estimate(hd95_mm),
        volume_difference_percent=Estimate(),
    )
    table = ScoreTable(segments=(row,), mean_dice=Estimate(dice), mean_hd95_mm=hd95_mm)
    return DatasetScores(dataset=dataset, plain=table, **others)
