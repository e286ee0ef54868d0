"""How well the forecast holds: a child process does each job, and its peak of memory and its time are compared.

Run with ``python Testing/Benchmarks/forecast_memory.py [word of a case's name]`` on Linux; random networks, so only
memory and time mean anything. The pace of a window is learnt from the first job of a child, and the time of a second
one with other windows is forecast from it.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medseg.bundles.write import write_bundle
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.networks import build_network
from medseg.spec.job import Job, Options
from medseg.spec.manifest import (
    ChannelSpec,
    Code,
    IntensityRule,
    LabelSpec,
    ModelManifest,
    PostprocessRule,
    SliceRule,
)
from medseg.spec.wire import encode_job

CHILD = """
import json, sys
from dataclasses import replace
from pathlib import Path
from medseg.bundles.catalogue import find_bundle
from medseg.inference.forecast import forecast
from medseg.inference.run_plan import plan_run
from medseg.jobs.run.run_job import run_job
from medseg.spec.wire import decode_job
job, told = decode_job(Path(sys.argv[1]).read_bytes()), []
first = run_job(job, on_forecast=told.append)
status = Path("/proc/self/status").read_text().splitlines()  # getrusage would tell of the parent's peak too
peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))
pace = first.windows_seconds / first.window_count
other = replace(job, options=replace(job.options, overlap=0.5), overwrite=True)
second = run_job(other)
image, manifest = second.image, find_bundle(job.model).manifest
plan = plan_run(image, manifest, other.options, device="cpu")
expected = forecast(plan, seconds_per_window=pace).seconds
print(json.dumps([told[0].memory_mb, peak, expected, second.windows_seconds, first.engine]))
"""


@dataclass(frozen=True)
class Case:
    """A network, its window, and an image."""

    network: str
    arguments: dict[str, Any]
    window: tuple[int, int, int]
    shape: tuple[int, int, int]
    labels: int
    spacing: float = 1.0  # of the image, mm
    model_spacing: float | None = None  # mm
    engine: str = "torch"
    options: dict[str, Any] = field(default_factory=dict)
    tidies: bool = False
    probabilities: bool = False

    @property
    def name(self) -> str:
        """One word for all of it."""
        marks = [
            self.network + ("2d" if 1 in self.window else "3d"),
            self.engine,
            *(["tidied"] if self.tidies else []),
            *(["probabilities"] if self.probabilities else []),
            *(["resampled"] if self.model_spacing is not None else []),
        ]
        return "-".join(marks)


SMALL = {"widths": [4, 4, 4, 4, 4], "pooling": [1, 2, 2, 1, 1]}
NETWORKS = (
    Case("ultralight_unet", {}, (96, 96, 96), (160, 160, 128), 14),
    Case("dlka_net", {"input_shape": [32, 64, 64]}, (32, 64, 64), (48, 96, 96), 4),
    Case("dlka_net_2d", {}, (224, 224, 1), (224, 224, 4), 9),
    Case("mslau_net", {}, (64, 64, 64), (96, 96, 64), 4),
    Case("medical_transformer", {"spatial_dims": 2, "image_size": 128}, (128, 128, 1), (128, 128, 4), 3),
    Case("emf_former", {}, (96, 96, 96), (128, 128, 96), 4),
)
VOLUMES = (
    Case("ultralight_unet", SMALL, (64, 64, 64), (256, 256, 200), 20),
    Case("ultralight_unet", SMALL, (64, 64, 64), (256, 256, 200), 3, tidies=True),
    Case("ultralight_unet", SMALL, (64, 64, 64), (256, 256, 200), 20, probabilities=True),
    Case("ultralight_unet", SMALL, (64, 64, 64), (200, 200, 150), 20, spacing=1.5, model_spacing=1.0),
)
CASES = (*NETWORKS, *VOLUMES, *(replace(case, engine="openvino") for case in NETWORKS))


def main() -> None:
    """Print a table."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"{'case':36}{'MiB forecast':>13}{'peak':>7}{'ratio':>7}{'s forecast':>12}{'took':>8}{'ratio':>7}")
    for case in CASES:
        if wanted in case.name:
            memory, peak, seconds, took, _ = measured(case)
            print(
                f"{case.name:36}{memory:13}{peak:7}{memory / peak:7.2f}{seconds:12.2f}{took:8.2f}{seconds / took:7.2f}",
                flush=True,
            )


def measured(case: Case) -> tuple[int, int, float, float, str]:
    """Forecast and peak in MiB, forecast and seconds in the network, engine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_random_bundle(folder, case)
        noise = np.random.default_rng(0).integers(-100, 400, case.shape, dtype=np.int16)
        write_image(folder / "in.nii", Image(noise[None], np.diag([*[case.spacing] * 3, 1.0])))
        options = Options(device="cpu", overlap=0.0, engine=case.engine, **case.options)  # type: ignore[arg-type]
        job = Job(
            inputs=(str(folder / "in.nii"),),
            model=manifest.model_id,
            output=str(folder / "out.nii"),
            options=options,
            probabilities=str(folder / "p.nii") if case.probabilities else None,
        )
        (folder / "job.json").write_text(encode_job(job), encoding="ascii")
        command = [sys.executable, "-c", CHILD, str(folder / "job.json")]
        environment = {**os.environ, "MEDSEG_MODELS": str(folder), "MEDSEG_ENGINE_CACHE": str(folder / "engines")}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, encoding="utf-8")
        return tuple(json.loads(done.stdout))


def write_random_bundle(folder: Path, case: Case) -> ModelManifest:
    """Write a case's network."""
    organ = Code("SCT", "113343008", "Organ")
    flat = 1 in case.window
    manifest = ModelManifest(
        model_id="random",
        title="Random",
        version="1.0.0",
        description="Random weights",
        network=case.network,
        arguments={**case.arguments, "label_count": case.labels},
        labels=tuple(
            LabelSpec(value=n, name=f"part {n}", color=(n, 0, 0), category=organ, type=organ)
            for n in range(1, case.labels)
        ),
        channels=(ChannelSpec(name="CT", modality="CT"),),
        spacing_mm=None if case.model_spacing is None else (case.model_spacing,) * 3,
        intensity=IntensityRule(kind="zscore"),
        window_shape=case.window,
        slices=SliceRule(axis=2, context=0, fit="windows") if flat else None,
        postprocess=PostprocessRule(keep_largest=case.tidies),
        anatomy="none",
        intended_use="none",
        licence="Apache-2.0",
        authors="none",
        training_data="none",
    )
    torch.manual_seed(0)
    network = build_network(manifest.network, **manifest.arguments).eval()
    write_bundle(folder / "random", manifest, network, licence_text="-\n")
    return manifest


if __name__ == "__main__":
    main()
