"""How much memory a model's network takes for one window, measured in a process of its own.

Run with ``python -m medseg.jobs.scoring.window_memory FOLDER`` of a bundle: MiB on stdout. A process that has run the
network before would reuse what it took then and find less.
"""

import subprocess
import sys
from pathlib import Path

import torch

from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.bundles.weights import load_network
from medseg.inference.predictor import network_shape
from medseg.jobs.worker.command import worker_environment
from medseg.spec.errors import JobError

_STATUS = Path("/proc/self/status")
_PEAK_RESET = Path("/proc/self/clear_refs")
_LIMIT_S = 600


def window_memory_mb(bundle: Bundle, device: torch.device) -> int | None:
    """Measure a window of a model on a processor or a CUDA card.

    Args:
        bundle: the model.
        device: where it runs.

    Returns:
        MiB at the peak of a forward pass of PyTorch, beside what the network held before; None where the system does
        not count it: processors without Linux, Apple's graphics.

    Raises:
        JobError: when the process that measures fails.
    """
    if device.type == "cuda":
        return _on_card(bundle, device)
    if device.type != "cpu" or not _PEAK_RESET.exists():
        return None
    command = [sys.executable, "-P", "-m", "medseg.jobs.scoring.window_memory", str(bundle.folder)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, env=worker_environment(), capture_output=True, check=False, encoding="utf-8", timeout=_LIMIT_S
    )
    if done.returncode:
        msg = f"the memory of a window of {bundle.manifest.model_id} was not measured: {done.stderr[-300:]}"
        raise JobError(msg)
    return int(done.stdout)


def _on_card(bundle: Bundle, device: torch.device) -> int:
    network = load_network(bundle).to(device)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(device)
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        network(torch.zeros(1, *network_shape(bundle.manifest), device=device))
    return int(torch.cuda.max_memory_reserved(device) - before) // 2**20


def main(folder: Path) -> int:
    """Measure on the processor of this process."""
    bundle = Bundle(folder, read_manifest(metadata_path(folder)))
    network = load_network(bundle).eval()
    window = torch.randn(1, *network_shape(bundle.manifest))
    before = _kibibytes("VmRSS")
    _PEAK_RESET.write_text("5", encoding="ascii")  # the peak begins anew
    with torch.inference_mode():
        for _ in range(2):
            network(window)
    return (_kibibytes("VmHWM") - before) // 1024


def _kibibytes(name: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.stdout.write(f"{main(Path(sys.argv[1]))}\n")
