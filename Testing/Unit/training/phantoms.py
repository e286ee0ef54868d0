"""Bright balls in noise, on disk in the layouts that training takes, and plans small enough to train in seconds."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest, SliceRule
from medseg.training.planning.config import TrainingConfig
from medseg.training.planning.plan import Plan, Recipe

CATEGORY = Code("SCT", "123037004", "Anatomical Structure")
SIZE = 16


def a_manifest(label_names=("ball",), **changes: Any) -> ModelManifest:
    fields: dict[str, Any] = {
        "model_id": "phantom",
        "title": "Phantom",
        "version": "0.0.1",
        "description": "A bright ball.",
        "network": "ultralight_unet",
        "arguments": {"label_count": len(label_names) + 1, "widths": "T", "pooling": [1, 2, 2, 1, 1]},
        "labels": tuple(
            LabelSpec(value=value, name=name, color=(200, 30, 30), category=CATEGORY, type=CATEGORY)
            for value, name in enumerate(label_names, start=1)
        ),
        "channels": (ChannelSpec(name="T1", modality="MR"),),
        "intensity": IntensityRule(kind="zscore"),
        "window_shape": (SIZE, SIZE, SIZE),
        "anatomy": "none",
        "intended_use": "A test.",
        "licence": "CC0-1.0",
        "authors": "The tests",
        "training_data": "Phantoms made here",
    }
    return ModelManifest(**fields | changes)


def a_slice_manifest(axis=2, context=1) -> ModelManifest:
    window = [SIZE, SIZE, SIZE]
    window[axis] = 1
    arguments = {
        "label_count": 2,
        "widths": "T",
        "pooling": [1, 2, 2, 1, 1],
        "spatial_dims": 2,
        "in_channels": 2 * context + 1,
    }
    return a_manifest(arguments=arguments, window_shape=tuple(window), slices=SliceRule(axis=axis, context=context))


def a_plan(model=None, **recipe: Any) -> Plan:
    numbers: dict[str, Any] = {"steps": 6, "ema_decay": 0.9, "learning_rate": 2e-2, "validations": 2}
    return Plan(model=model or a_manifest(), training=Recipe(**numbers | recipe))


def a_config(output: Path, **choices: Any) -> TrainingConfig:
    """Of a run whose plan and cases are given beside it."""
    return TrainingConfig(**{"dataset": Path("unused"), "output": output, "workers": 0, "device": "cpu"} | choices)


def write_phantoms(folder: Path, count: int = 6) -> Path:
    """A Decathlon folder; image_4 and image_5 are the validation cases of its only fold."""
    rng = np.random.default_rng(0)
    entries = []
    for number in range(count):
        image, labels = a_ball(rng)
        for kind, array in (("image", image), ("label", labels)):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{kind}_{number}.nii.gz")
        entries.append({"image": f"./image_{number}.nii.gz", "label": f"./label_{number}.nii.gz"})
    document = {"name": "Balls", "labels": {"0": "background", "1": "ball"}, "modality": {"0": "MRI"}}
    (folder / "dataset.json").write_text(json.dumps({**document, "training": entries}))
    folds = [{"train": [f"image_{n}" for n in range(4)], "val": ["image_4", "image_5"]}]
    (folder / "folds.json").write_text(json.dumps(folds))
    return folder


def a_ball(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    centre = rng.uniform(6, 10, size=3)
    distance = np.linalg.norm(np.indices((SIZE,) * 3) - centre[:, None, None, None], axis=0)
    labels = (distance < 4.5).astype(np.uint8)
    image = (labels * 3 + rng.normal(scale=0.3, size=labels.shape)).astype(np.float32)
    return image, labels
