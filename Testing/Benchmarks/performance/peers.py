"""Whole volumes, file to file: our job, MONAI's and nnU-Net's windows in the script a sensible user would write.

Each runs in a child process and returns what it spent; all use the same weights, window and overlap.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medseg.bundles.catalogue import Bundle, find_bundle
from medseg.bundles.weights import load_network
from medseg.imaging.image import Image
from medseg.imaging.preprocess import prepare
from medseg.inference.sliding_window import window_weights
from medseg.inference.windows import WindowPlan
from medseg.io.read import read_image
from medseg.io.write import write_segmentation
from medseg.jobs.run.kept_engines import KeptEngines
from medseg.jobs.run.run_job import run_job
from medseg.kernels.engines.engine import Engine
from medseg.kernels.engines.openvino_engine import openvino_is_installed
from medseg.spec.events import Event, Progress
from medseg.spec.job import Job, Options
from performance.phantom import LOWER, MEAN, STD, UPPER
from performance.spent import Spent

TIE = 1e-4  # of logits whose standard deviation is 1; float32 networks agree ten times better
Script = Callable[[Spent, Bundle, nn.Module, Path, Path], None]


def volume(method: str, model: str, scan: str, output: str, *, pointwise: bool = False) -> dict[str, Any]:
    """In a child: one method over one file.

    Args:
        method: a key of ``SCRIPTS``.
        model: id of the bundle.
        scan: file to read.
        output: file to write.
        pointwise: put one 1^3 convolution in the place of the network, which makes the rest visible.
    """
    bundle = find_bundle(model)
    network = cheap_network(bundle) if pointwise else load_network(bundle)
    run = SCRIPTS[method]()
    spent = Spent()
    with spent.on("total"), torch.inference_mode():
        run(spent, bundle, network, Path(scan), Path(output))
    report = spent.report()
    for task in spent.later:
        task()
    return report


def cheap_network(bundle: Bundle) -> nn.Module:
    """The least a network can do: a weighted sum of the channels for each label."""
    torch.manual_seed(0)
    return nn.Conv3d(len(bundle.manifest.channels), bundle.manifest.label_count, 1).eval().requires_grad_(False)


def ours(engine: Any) -> Script:
    """The product's own path."""
    if engine == "auto" and openvino_is_installed():
        import openvino  # noqa: F401 - nobody's imports are counted

    def run(spent: Spent, bundle: Bundle, network: nn.Module, scan: Path, output: Path) -> None:
        class Timed(KeptEngines):
            def get(self, *arguments: Any, **keywords: Any) -> Engine:
                with spent.on("get ready"):
                    found = super().get(*arguments, **keywords)
                return replace(found, run=spent.timed(found.run))

        windows = spent.on_windows()
        begun: list[str] = []

        def on_event(event: Event) -> None:
            if not isinstance(event, Progress) or event.done:
                return
            if event.stage == "windows" and not begun:
                begun.append("windows")
                windows.__enter__()
            elif event.stage == "postprocess" and begun == ["windows"]:
                begun.append("postprocess")
                windows.__exit__(None, None, None)

        options = Options(device="cpu", engine=engine)
        job = Job(inputs=(str(scan),), model=bundle.manifest.model_id, output=str(output), options=options)
        result = run_job(job, on_event, load=lambda _: network, engines=Timed())
        for stage, seconds in (result.seconds | {part: result.parts[part] for part in ("stitch", "decode")}).items():
            spent.wall.setdefault(stage, seconds)

    return run


def plain_path() -> Script:
    """Our windows, the network as it is, one float32 sum a label for the whole volume."""

    def stitched(array: Tensor, answer: Callable[[Tensor], Tensor], manifest: Any) -> Tensor:
        sums, seen = torch.zeros(manifest.label_count, *array.shape[1:]), torch.zeros(array.shape[1:])
        weights = window_weights(manifest.window_shape)
        for window in WindowPlan(array.shape[1:], manifest.window_shape, manifest.overlap):
            inside = (slice(None), *window.slices)
            sums[inside] += answer(array[inside][None])[0] * weights
            seen[window.slices] += weights
        return sums.div_(seen)

    return _around(stitched, note_ties=True)


def nnunet() -> Script:
    """nnU-Net's predictor, with our reading and writing around it: it is asked about the windows."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    def stitched(array: Tensor, answer: Callable[[Tensor], Tensor], manifest: Any) -> Tensor:
        step = 1 - manifest.overlap
        predictor = nnUNetPredictor(
            step, use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
        )
        predictor.network = _Counted(answer)
        predictor.configuration_manager = SimpleNamespace(patch_size=list(manifest.window_shape))
        predictor.label_manager = SimpleNamespace(num_segmentation_heads=manifest.label_count)
        logits: Tensor = predictor.predict_sliding_window_return_logits(array)
        return logits

    return _around(stitched)


def _around(
    stitched: Callable[[Tensor, Callable[[Tensor], Tensor], Any], Tensor], *, note_ties: bool = False
) -> Script:
    """Our reading, preparing and writing around somebody's windows."""

    def run(spent: Spent, bundle: Bundle, network: nn.Module, scan: Path, output: Path) -> None:
        with spent.on("read"):
            image = read_image(scan).image
        with spent.on("preprocess"):
            array = torch.from_numpy(prepare(image, bundle.manifest).image.array)
        with spent.on_windows():
            scores = stitched(array, spent.timed(network), bundle.manifest)
            with spent.on("decode"):
                labels = scores.argmax(0).to(torch.uint8)
        with spent.on("write"):
            write_segmentation(output, Image(labels[None].numpy(), image.affine), bundle.manifest.labels)
        if note_ties:
            spent.later.append(lambda: np.save(ties_beside(output), near_ties(scores)))

    return run


def near_ties(scores: Tensor) -> NDArray[np.bool_]:
    """Where the two likeliest labels are so close that rounding decides; ``(L, I, J, K)`` -> ``(I, J, K)``."""
    found = np.empty(scores.shape[1:], bool)
    for plane in range(scores.shape[1]):  # one at a time: all at once the two would be another large array
        first, second = scores[:, plane].topk(2, dim=0).values
        found[plane] = (first - second < TIE).numpy()
    return found


def ties_beside(output: Path) -> Path:
    """Where the plain path leaves its near ties."""
    return output.with_name(output.name.removesuffix(".nii.gz") + ".ties.npy")


def monai() -> Script:
    """MONAI's transforms and inferer."""
    from monai.inferers import sliding_window_inference
    from monai.transforms import (
        AsDiscrete,
        Compose,
        EnsureChannelFirst,
        LoadImage,
        NormalizeIntensity,
        Orientation,
        SaveImage,
        ThresholdIntensity,
    )

    read = Compose([LoadImage(image_only=True), EnsureChannelFirst(), Orientation("RAS", labels=None)])
    clip = (ThresholdIntensity(LOWER, above=True, cval=LOWER), ThresholdIntensity(UPPER, above=False, cval=UPPER))
    preprocess = Compose([*clip, NormalizeIntensity(subtrahend=MEAN, divisor=STD)])
    decode = AsDiscrete(argmax=True)

    def run(spent: Spent, bundle: Bundle, network: nn.Module, scan: Path, output: Path) -> None:
        shape, overlap = bundle.manifest.window_shape, bundle.manifest.overlap
        with spent.on("read"):
            image = read(scan)
        with spent.on("preprocess"):
            image = preprocess(image)
        with spent.on_windows():
            answer = spent.timed(network)
            logits = sliding_window_inference(image[None], shape, 1, answer, overlap=overlap, mode="gaussian")
            with spent.on("decode"):
                labels = decode(logits[0])
        with spent.on("write"):
            save = SaveImage(
                output.parent, output_postfix="", output_dtype="uint8", separate_folder=False, print_log=False
            )
            save(labels, filename=str(output).removesuffix(".nii.gz"))

    return run


class _Counted(nn.Module):
    """A function where a module is asked for."""

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


SCRIPTS: dict[str, Callable[[], Script]] = {
    "plain path": plain_path,
    "MONAI": monai,
    "nnU-Net": nnunet,
    "ours, torch": lambda: ours("torch"),
    "ours, auto": lambda: ours("auto"),
}
