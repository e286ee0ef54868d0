"""Blocks that do for inference what their models do, with fewer passes over memory."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from medseg.kernels.engines.slabs import SlabDepthwise, from_slabs, in_slabs, slab_count
from medseg.networks.blocks.cmfa import SpatialAttention
from medseg.networks.blocks.gag import GAG
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.norms import InstanceNormAct

_LARGEST_CELL = 8


class LeanMKIR(nn.Module):
    """``MKIR`` after its norms and its shuffle are folded away: sums and clamps in place, size 1 without a convolution.

    Shape:
        as ``MKIR``

    Args:
        block: a block with ``nn.Identity`` in the place of its norms and one shuffle group; its weights are shared.

    Raises:
        ValueError: for a block whose norms or shuffle are still there.
    """

    def __init__(self, block: MKIR) -> None:
        super().__init__()
        branches: list[Any] = list(block.depthwise)
        norms = [block.expand[1], block.project[1], *(branch[1] for branch in branches)]
        if block.shuffle_groups != 1 or not all(isinstance(norm, nn.Identity) for norm in norms):
            msg = f"Expected a block with folded norms and shuffle, but got {block}."
            raise ValueError(msg)
        self.expand, self.project, self.shortcut = block.expand[0], block.project[0], block.shortcut
        self.points, self.filters = nn.ModuleList(), nn.ModuleList()
        for branch in branches:
            (self.points if set(branch[0].kernel_size) == {1} else self.filters).append(branch[0])
        wide: list[Any] = list(self.filters)
        self.slab_filters = nn.ModuleList(SlabDepthwise(one.weight, one.bias) for one in wide)
        self.halo: int = max((one.kernel_size[0] // 2 for one in wide), default=0)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        wide = self.expand(x).clamp_(0, 6)
        total: Tensor | None = None
        points: list[Any] = list(self.points)
        for point in points:
            scaled = torch.addcmul(_per_channel(point.bias, x), wide, _per_channel(point.weight, x)).clamp_(0, 6)
            total = scaled if total is None else total.add_(scaled)
        filtered = self._filter(wide)
        for part in filtered:
            total = part if total is None else total.add_(part)
        result: Tensor = self.project(total).add_(self.shortcut(x))
        return result

    def _filter(self, wide: Tensor) -> list[Tensor]:
        count = slab_count(int(wide.shape[1]), int(wide.shape[2]))
        if count == 1 or not self.filters:
            return [convolution(wide).clamp_(0, 6) for convolution in self.filters]
        slabs = in_slabs(wide, count, self.halo)
        total = self.slab_filters[0](slabs, count, self.halo).clamp_(0, 6)
        for convolution in self.slab_filters[1:]:
            total.add_(convolution(slabs, count, self.halo).clamp_(0, 6))
        return [from_slabs(total, count)]


class LeanGAG(nn.Module):
    """``GAG`` with folded norms, its convolutions of two channels a group as depthwise ones and a sum of neighbours.

    Shape:
        as ``GAG``

    Raises:
        ValueError: for another gate.
    """

    def __init__(self, gate: GAG) -> None:
        super().__init__()
        first: Any = gate.from_gate[0]
        second: Any = gate.from_skip[0]
        if not lean_gate_fits(gate):
            msg = f"Expected a gate with folded norms and two channels a group, but got {gate}."
            raise ValueError(msg)
        self.from_gate, self.from_skip = _depthwise(first), _depthwise(second)
        hidden = first.out_channels
        pairs = first.weight.new_zeros(hidden, 2 * hidden, *[1] * (first.weight.ndim - 2))
        for channel in range(hidden):
            pairs[channel, 2 * channel : 2 * channel + 2] = 1
        self.pairs = nn.Parameter(pairs, requires_grad=False)
        self.bias = nn.Parameter(first.bias.detach() + second.bias.detach(), requires_grad=False)
        self.to_weight = gate.to_weight[0]

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Run the gate."""
        both = self.from_gate(gate).add_(self.from_skip(skip))
        convolution = F.conv2d if both.ndim == 4 else F.conv3d
        hidden = convolution(both, self.pairs, self.bias).clamp_(min=0)
        return skip * torch.sigmoid(self.to_weight(hidden))


def lean_gate_fits(gate: GAG) -> bool:
    """Whether a gate has folded norms and two channels a group."""
    first: Any = gate.from_gate[0]
    norms = (gate.from_gate[1], gate.from_skip[1], gate.to_weight[1])
    return all(isinstance(norm, nn.Identity) for norm in norms) and bool(first.weight.shape[1] == 2)


class LeanSpatialAttention(nn.Module):
    """``SpatialAttention`` whose filter of two channels runs on slabs.

    Shape:
        as ``SpatialAttention``
    """

    def __init__(self, attention: SpatialAttention) -> None:
        super().__init__()
        original: Any = attention.filter
        self.filter = SlabDepthwise(original.weight.transpose(0, 1), None)
        self.halo: int = original.kernel_size[0] // 2

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        count = slab_count(2, int(x.shape[2]))
        filtered = from_slabs(self.filter(in_slabs(pooled, count, self.halo), count, self.halo), count)
        return x * torch.sigmoid(filtered.sum(1, keepdim=True))


class CarefulInstanceNorm(nn.Module):
    """Instance norm that first averages cells of at most 8 voxels an axis, then their means.

    Measured: OpenVINO's own instance norm adds a million float32 numbers up in a row and is 3e-4 off then, also where
    it recognises one in means and squares. It does not recognise this form, which costs it nothing more.

    Shape:
        ``(B, C, *S)`` -> the same, 1 to 3 spatial axes
    """

    def __init__(self, eps: float, weight: Tensor | None, bias: Tensor | None) -> None:
        super().__init__()
        self.eps = eps
        self.weight = None if weight is None else nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run the norm."""
        normed = x
        if x[0, 0].numel() > 1:  # one voxel has no spread; see the networks' ``InstanceNorm``
            centred = x - _mean(x)
            normed = centred * torch.rsqrt(_mean(centred * centred) + self.eps)
        if self.weight is not None:
            normed = normed * _per_channel(self.weight, x)
        return normed if self.bias is None else normed + _per_channel(self.bias, x)


def use_lean_blocks(network: nn.Module) -> None:
    """Replace the blocks that have a lean form and allow it, in place."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            lean = _lean(child)
            if lean is not None:
                setattr(parent, name, lean)


def has_lean_form(block: nn.Module) -> bool:
    """Whether a block is of a kind that has a lean form, or weights into which a shuffle can go."""
    return isinstance(block, MKIR | GAG | SpatialAttention)


def _lean(block: nn.Module) -> nn.Module | None:
    if isinstance(block, MKIR) and isinstance(block.expand[1], nn.Identity):
        return LeanMKIR(block)
    if isinstance(block, GAG) and lean_gate_fits(block):
        return LeanGAG(block)
    if isinstance(block, SpatialAttention):
        return LeanSpatialAttention(block)
    return None


def use_careful_norms(network: nn.Module) -> None:
    """Replace every instance norm without running statistics, in place."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _InstanceNorm) and not child.track_running_stats:
                careful = CarefulInstanceNorm(child.eps, child.weight, child.bias)
                act = child.act if isinstance(child, InstanceNormAct) else None
                setattr(parent, name, careful if act is None else nn.Sequential(careful, act))


def _mean(x: Tensor) -> Tensor:
    cell = [max(size for size in range(1, _LARGEST_CELL + 1) if int(length) % size == 0) for length in x.shape[2:]]
    means = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(cell)](x, cell)
    return means.mean(tuple(range(2, x.ndim)), keepdim=True)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.ndim - 2))


def _depthwise(grouped: Any) -> nn.Module:
    """A grouped convolution (O, C / O, *kernel) without the sum over a group's channels, and without bias."""
    weight = grouped.weight.detach()
    kinds: dict[int, Any] = {4: nn.Conv2d, 5: nn.Conv3d}
    channels = grouped.in_channels
    result: nn.Module = kinds[weight.ndim](
        channels, channels, grouped.kernel_size, padding=grouped.padding, groups=channels, bias=False
    )
    result.weight = nn.Parameter(weight.reshape(channels, 1, *weight.shape[2:]), requires_grad=False)
    return result
