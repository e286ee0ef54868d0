"""Gated axial attention, the attention of the Medical Transformer: along one axis, with learned relative positions.

Valanarasu et al., "Medical Transformer: Gated Axial-Attention for Medical Image Segmentation", MICCAI 2021, arXiv
2102.10662: Eq. 2 is axial attention with relative positions, Eq. 3 adds the gates. Without gates it is that of Wang et
al., "Axial-DeepLab", ECCV 2020, arXiv 2003.07853. The published code is 2D; nothing in it depends on the
number of axes.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medseg.networks.blocks.layers import Size, each_axis
from medseg.networks.blocks.norms import Norm
from medseg.networks.ops.joint_norm import factor_and_shift, moments

Positions = Literal["gated", "plain", "none"]

_NUMBERS_AT_ONCE = 2**24  # similarities that are held at a time: 64 MiB, and a few times that with copies
_NUMBERS_IN_TRAINING = 2**26  # similarities up to which training holds all, which is faster
_START_GATES = {"qr": 0.1, "kr": 0.1, "sve": 0.1, "sv": 1.0}


class GatedAxialAttention(nn.Module):
    """Every voxel attends to the voxels of its own line along one axis, and to how far away they are.

    For voxels i and j of a line, the channels of each group split into queries q, keys k (half as many each) and values
    v, and tables r of one vector per distance i - j, shared by the groups (no scale 1 / sqrt(d))::

        logit(i, j) = BN(q_i . k_j) + BN(G_qr q_i . rq_ij) + BN(G_kr k_j . rk_ji)
        result(i)   = BN(G_sv sum_j s_ij v_j) + BN(G_sve sum_j s_ij rv_ij),    s = softmax over j

    This is the published order: each gated term has a batch normalisation of its own, which in training undoes any
    positive gate up to its epsilon; what really weights a term is the norm's own factor. ``gate_after_norm`` puts the
    gates outside the norms, where they act.

    Lines are worked on a few at a time, so that memory does not grow with their number; the result is the same. In
    training that starts where the similarities would take more than 256 MiB; statistics are those of all lines even so,
    and similarities are computed again in the backward pass.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, out_channels, [ceil(I / stride),] ...)``

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the result.
        axis: spatial axis the lines run along, 0 to spatial_dims - 1; in 2D 0 is the published height.
        length: length of a line that the tables are stored for; for another one they are interpolated (ours).
        groups: a divisor of out_channels that leaves an even number of channels a group.
        positions: "gated", "plain" (no gates) or "none" (no relative positions at all).
        stride: average pooling at the end; a last cell that is not full is averaged over what is in it.
        gate_after_norm: see above.
        norm: "batch", or "instance", whose statistics are those of all lines of an image.

    Raises:
        ValueError: for groups that do not divide the channels evenly, an axis or an option that does not exist.

    Example:
        >>> import torch
        >>> GatedAxialAttention(2, 4, 8, axis=0, length=5, groups=2)(torch.zeros(1, 4, 5, 6)).shape
        torch.Size([1, 8, 5, 6])
        >>> GatedAxialAttention(3, 4, 8, axis=2, length=7, groups=2)(torch.zeros(1, 4, 5, 6, 7)).shape
        torch.Size([1, 8, 5, 6, 7])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        axis: int,
        length: int,
        groups: int = 8,
        positions: Positions = "gated",
        stride: Size = 1,
        gate_after_norm: bool = False,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        _check(spatial_dims, out_channels, axis, groups, positions)
        per_group = out_channels // groups
        self.axis, self.groups, self.per_group = axis, groups, per_group
        self.positions, self.gate_after_norm = positions, gate_after_norm
        self.stride = each_axis(spatial_dims, stride)
        self.relative: nn.Parameter | None = None
        self.gates: nn.ParameterDict | None = None
        if positions != "none":
            self.relative = nn.Parameter(torch.randn(2 * per_group, 2 * length - 1) * per_group**-0.5)
        if positions == "gated":
            self.gates = nn.ParameterDict({name: torch.tensor(value) for name, value in _START_GATES.items()})
        terms, sums = (1, 1) if positions == "none" else (3, 2)
        self.qkv = nn.Conv1d(in_channels, 2 * out_channels, 1, bias=False)
        nn.init.normal_(self.qkv.weight, std=in_channels**-0.5)
        fixed = norm == "batch"  # without running statistics they take those of the lines at hand, in evaluation too
        self.qkv_norm = nn.BatchNorm1d(2 * out_channels, track_running_stats=fixed)
        self.similarity_norm = nn.BatchNorm2d(terms * groups, track_running_stats=fixed)
        self.output_norm = nn.BatchNorm1d(sums * out_channels, track_running_stats=fixed)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        along = x.movedim((1, self.axis + 2), (-2, -1))
        lines = along.reshape(-1, *along.shape[-2:])  # (lines, in_channels, L)
        tables = self._tables(lines.shape[-1])
        together = lines.chunk(1 if self.similarity_norm.track_running_stats else len(x))
        attended = torch.cat([self._attend_all(part, tables) for part in together])
        result = attended.reshape(*along.shape[:-2], *attended.shape[1:]).movedim((-2, -1), (1, self.axis + 2))
        return average(result, self.stride)

    def _attend_all(self, lines: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The lines that are normalised together: ``(n, in_channels, L)`` -> ``(n, out_channels, L)``."""
        norm = self.similarity_norm
        numbers = norm.num_features * lines.shape[-1] ** 2
        at_once = max(1, _NUMBERS_AT_ONCE // numbers)
        if norm.track_running_stats and not norm.training:
            return torch.cat([self._attend(part, tables) for part in torch.split(lines, at_once)])
        if numbers * len(lines) <= _NUMBERS_IN_TRAINING:
            return self._attend(lines, tables)
        return self._attend_in_parts(lines, tables, at_once)

    def _tables(self, length: int) -> list[Tensor]:
        """Relative vectors of queries, keys and values, (channels, length, length) each, indexed [channel, i, j]."""
        if self.relative is None:
            return []
        table: Tensor = self.relative
        if table.shape[1] != 2 * length - 1:
            table = F.interpolate(table[None], size=2 * length - 1, mode="linear", align_corners=True)[0]
        places = torch.arange(length, device=table.device)
        spread = table[:, places[:, None] - places + length - 1]
        return list(torch.split(spread, [self.per_group // 2, self.per_group // 2, self.per_group]))

    def _attend(self, lines: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """``(n, in_channels, L)`` -> ``(n, out_channels, L)``."""
        q, k, v = self._project(lines)
        return self._merge(self._weigh(self.similarity_norm(self._compare(q, k, tables)), v, tables))

    def _attend_in_parts(self, lines: Tensor, tables: Sequence[Tensor], at_once: int) -> Tensor:
        """The same in training, with the norm's statistics over all lines, and similarities made again when needed."""
        parts = list(zip(*(torch.split(part, at_once) for part in self._project(lines)), strict=True))

        def compare(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
            return moments(self._compare(q, k, tables))

        def weigh(q: Tensor, k: Tensor, v: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
            similarity = self._compare(q, k, tables)
            normed = similarity * factor[:, None, None] + shift[:, None, None]
            return self._weigh(normed.to(similarity.dtype), v, tables)

        means, squares = zip(*(_again(compare, q, k) for q, k, _ in parts), strict=True)
        counts = [len(q) * q.shape[-1] ** 2 for q, *_ in parts]
        factor, shift = factor_and_shift(self.similarity_norm, counts, means, squares)
        return self._merge(torch.cat([_again(weigh, *part, factor, shift) for part in parts]))

    def _project(self, lines: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, ``(n, groups, channels, L)`` each."""
        half = self.per_group // 2
        grouped = self.qkv_norm(self.qkv(lines)).unflatten(1, (self.groups, -1))
        return torch.split(grouped, [half, half, self.per_group], dim=2)

    def _compare(self, q: Tensor, k: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The terms of the logits, ``(n, terms * groups, L, L)``."""
        similarities = [torch.einsum("ngci,ngcj->ngij", q, k)]
        if tables:
            similarities += [
                self._gate("qr", torch.einsum("ngci,cij->ngij", q, tables[0])),
                self._gate("kr", torch.einsum("ngcj,cji->ngij", k, tables[1])),
            ]
        return torch.cat(similarities, dim=1)

    def _weigh(self, terms: Tensor, v: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The sums over a line, ``(n, groups * channels * sums, L)``; those of one channel lie side by side."""
        weights = self._sum(torch.unflatten(terms, 1, (-1, self.groups)), ("", "qr", "kr")).softmax(-1)
        sums = [v @ weights.transpose(2, 3)]
        if tables:
            position = torch.einsum("ngij,cij->ngci", weights, tables[2])
            sums = [self._gate("sv", sums[0]), self._gate("sve", position)]
        return torch.stack(sums, dim=3).flatten(1, 3)

    def _merge(self, sums: Tensor) -> Tensor:
        """One number a channel from the normalised sums."""
        pairs = self.output_norm(sums).unflatten(1, (self.groups * self.per_group, -1))
        return self._sum(pairs.transpose(1, 2), ("sv", "sve"))

    def _gate(self, name: str, term: Tensor) -> Tensor:
        """The term times its gate, where gates come before the norms."""
        if self.gates is None or self.gate_after_norm:
            return term
        gated: Tensor = term * self.gates[name]
        return gated

    def _sum(self, terms: Tensor, names: Sequence[str]) -> Tensor:
        """The sum over axis 1, each term times its gate where gates come after the norms."""
        if self.gates is None or not self.gate_after_norm:
            return terms.sum(1)
        gated = [term * self.gates[name] if name else term for term, name in zip(terms.unbind(1), names, strict=True)]
        return torch.stack(gated).sum(0)


def _again(function: Callable[..., Any], *arguments: Tensor) -> Any:
    """Calls the function, and calls it again in the backward pass in place of keeping what it computed."""
    if not torch.is_grad_enabled():
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def average(x: Tensor, factor: Sequence[int]) -> Tensor:
    """Average pooling by ``factor`` per axis; a size that is no multiple keeps its rest as one smaller cell."""
    if all(number == 1 for number in factor):
        return x
    if x.dtype == torch.bfloat16:  # PyTorch has no such pooling in 3D on a CPU
        return average(x.float(), factor).bfloat16()
    pool = F.avg_pool2d if len(factor) == 2 else F.avg_pool3d
    cell = tuple(min(number, length) for number, length in zip(factor, x.shape[2:], strict=True))
    return pool(x, cell, tuple(factor), ceil_mode=True, count_include_pad=False)


def _check(spatial_dims: int, channels: int, axis: int, groups: int, positions: str) -> None:
    if positions not in get_args(Positions):
        msg = f"positions must be one of {', '.join(get_args(Positions))}, got {positions!r}"
        raise ValueError(msg)
    if axis not in range(spatial_dims):
        msg = f"axis must be from 0 to {spatial_dims - 1} in {spatial_dims}D, got {axis}"
        raise ValueError(msg)
    if channels % (2 * groups):
        msg = (
            f"the channels of a group split into queries, keys and values, so {groups} groups need a multiple of "
            f"{2 * groups} channels, got {channels}; use fewer groups or more channels"
        )
        raise ValueError(msg)
