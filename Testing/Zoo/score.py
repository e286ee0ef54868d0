"""Score a bundle on the held-out cases of a fold: one JSON file with every case and label, and what a case costs."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from medseg.bundles.build import build_any
from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.bundles.weights import load_network
from medseg.io.dataset import CaseFiles, choose_cases, read_case, read_dataset, read_fold
from medseg.jobs.run.segment import segment_case
from medseg.jobs.scoring.evaluate import evaluate_pair
from medseg.networks.cost import count_cost
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest


def held_out(dataset: Path, fold: int, most: int | None = None) -> list[CaseFiles]:
    """The validation cases of a given fold."""
    names = read_fold(dataset / "splits_final.json", fold)[1]
    return choose_cases(read_dataset(dataset), names)[:most]


def score(folder: Path, cases: Sequence[CaseFiles]) -> dict[str, object]:
    """Segment every case as the product does and compare it with the expert.

    ``cpu_seconds`` is the processor time of this process a case, from the image in memory to labels on its grid: the
    median over the cases, the first left out, because it prepares the engine.
    """
    bundle = Bundle(folder, read_manifest(metadata_path(folder)))
    network, values = load_network(bundle), [label.value for label in bundle.manifest.labels]
    rows, seconds = [], []
    for files in cases:
        image, truth = read_case(files)
        begun = time.process_time()
        found = segment_case([image], bundle, Options(device="cpu"), load=lambda _: network)
        seconds.append(time.process_time() - begun)
        rows += [{"case": files.name, **asdict(one)} for one in evaluate_pair(found.labels, truth, values)]
    parameters, macs = cost(bundle.manifest)
    return {
        "labels": {label.value: label.name for label in bundle.manifest.labels},
        "rows": rows,
        "cpu_seconds": statistics.median(seconds[1:] or seconds),
        "parameters": parameters,
        "macs": macs,
        "window": list(bundle.manifest.window_shape),
        "slices": None if bundle.manifest.slices is None else "ijk"[bundle.manifest.slices.axis],
    }


def cost(manifest: ModelManifest) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of convolutions and matrix products for one window."""
    sides = list(manifest.window_shape)
    channels = len(manifest.channels)
    if manifest.slices is not None:
        del sides[manifest.slices.axis]
        channels *= 2 * manifest.slices.context + 1
    parameters, kinds = count_cost(lambda: build_any(manifest.network, **manifest.arguments), (1, channels, *sides))
    return parameters, kinds["convolution"] + kinds["product"]


def write_score(folder: Path, dataset: Path, fold: int, target: Path, most: int | None = None) -> None:
    """Score and save; on as many threads as OMP_NUM_THREADS says."""
    found = score(folder, held_out(dataset, fold, most)) | {"threads": torch.get_num_threads()}
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
