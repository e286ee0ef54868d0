"""From a folder of images and labels to a bundle, by the book that its manifest is."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from torch import nn

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import save_weights
from medseg.bundles.write import write_bundle
from medseg.io.dataset import CaseFiles
from medseg.networks import build_network
from medseg.spec.errors import OutputExists
from medseg.spec.manifest import ModelManifest
from medseg.training.augment import augmentation
from medseg.training.cases import load_case
from medseg.training.fit import KeepAveraged, fit
from medseg.training.recipe import Recipe


def train(
    files: list[CaseFiles],
    manifest: ModelManifest,
    output: Path,
    recipe: Recipe,
    *,
    seconds: float,
    steps: int,
    licence_text: str,
    workers: int = 1,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Bundle:
    """Train the manifest's network from scratch and write the bundle.

    Args:
        files: the training cases.
        manifest: what to train; scores and times it holds are dropped, they belong to another run.
        output: folder of the bundle; it must not exist yet.
        recipe: the numbers of the run.
        seconds: time limit of the training loop; it ends with a finished schedule.
        steps: limit in optimiser steps; whichever is reached first counts.
        licence_text: becomes the bundle's LICENSE.
        workers: processes that prepare patches; 0 prepares them in this one.
        on_progress: hears the part of the run that is over, 0..1, now and then.

    Returns:
        The bundle, with the averaged weights.

    Raises:
        OutputExists: if the output folder exists.
    """
    if output.exists():
        msg = f"{output} exists and is kept; name another output folder or remove it first"
        raise OutputExists(msg)
    cases = [load_case(each, manifest) for each in files]
    network = build_network(manifest.network, **manifest.arguments)
    log_folder = output.parent / f"{output.name}-training"

    def on_part(averaged: nn.Module, elapsed: float) -> None:
        save_weights(averaged, log_folder / "averaged.safetensors")  # a long run is never lost
        on_progress(elapsed)

    averaged = fit(
        network,
        cases,
        augmentation(recipe.patch_shape or manifest.window_shape, manifest.mirror_axes),
        recipe,
        seconds=seconds,
        steps=steps,
        workers=workers,
        log_folder=log_folder,
        callbacks=[KeepAveraged(on_part, every=0.02)],
    )
    unscored = dataclasses.replace(manifest, scores={}, timings={})
    return write_bundle(output, unscored, averaged, licence_text=licence_text)
