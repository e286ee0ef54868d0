"""One window of noise through a new network: wrong shapes and numbers show now, not on a patient's scan."""

from math import prod

import torch
from torch import nn

from medseg.spec.errors import ManifestError, WeightsError
from medseg.spec.manifest import ModelManifest

_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, OverflowError, MemoryError)
_MOST_NUMBERS = 2**29  # of a window: 2 GiB, far beyond what any network was trained with


def dry_window(network: nn.Module, manifest: ModelManifest) -> None:
    """Run one window as the manifest describes it, on the CPU.

    Args:
        network: in evaluation mode.
        manifest: says the window's size, the channels and the labels.

    Raises:
        ManifestError: when the network does not take such a window, or answers with another shape than one score a
            label and voxel.
        WeightsError: when the answer is not finite.
    """
    shape = (1, manifest.network_channels, *manifest.network_shape)
    if prod(shape) > _MOST_NUMBERS:
        msg = f"a window of {shape} holds more than {_MOST_NUMBERS} numbers, which none is trained with; mend its size"
        raise ManifestError(msg)
    try:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            scores = network(noise)
    except _REFUSALS as error:
        msg = f"{manifest.network} does not take a window of {shape}: {' '.join(str(error).split())}; choose another"
        raise ManifestError(msg) from error
    wanted = (1, manifest.network_outputs, *shape[2:])
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != wanted:
        found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        msg = f"{manifest.network} answers with {found} instead of {wanted}; give as many labels as it has outputs"
        raise ManifestError(msg)
    if not bool(torch.isfinite(scores).all()):
        msg = f"{manifest.network} answers a window of noise with values that are not finite; its weights are damaged"
        raise WeightsError(msg)
