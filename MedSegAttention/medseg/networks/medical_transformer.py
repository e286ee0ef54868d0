"""The Medical Transformer family: axial U-Net, gated axial U-Net, LoGo and MedT, one network with four variants.

Valanarasu et al., "Medical Transformer: Gated Axial-Attention for Medical Image Segmentation", MICCAI 2021, arXiv
2102.10662; code jeya-maria-jose/Medical-Transformer (MIT). The published code is 2D and tied to one image size; here
the tables of relative positions are interpolated for others, and 3D has attention along three axes.

Kept from the code: the local branch starts 64 channels wide and not 8; the gates stand in front of batch norms, which
leaves them little to do (``GatedAxialAttention`` tells more). Left out: parameters that its ``forward`` never uses.
Changed unless ``official_patches`` asks for it: the published local branch sees a fixed 4 x 4 grid of 32-pixel patches,
so of an image larger than 128 x 128 only the upper left part.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from medseg.networks.blocks.axial_branch import AxialBranch
from medseg.networks.blocks.gated_axial_attention import GatedAxialAttention, Positions
from medseg.networks.blocks.layers import Size, conv, each_axis
from medseg.networks.blocks.norms import Norm, choose_norm
from medseg.networks.blocks.patches import cut_patches, join_patches

VARIANTS: Mapping[str, tuple[Positions, Positions | None]] = {
    "axial": ("plain", None),
    "gated": ("gated", None),
    "logo": ("plain", "plain"),
    "medt": ("gated", "none"),
}
"""Relative positions in the global and in the local branch; None where there is no local branch."""

OFFICIAL: Mapping[str, Any] = {
    "spatial_dims": 2,
    "image_size": 128,
    "in_channels": 3,
    "gates_from_epoch": 10,
    "official_patches": True,
}
"""Arguments of the published networks, beside ``variant``."""

_GLOBAL_STAGES_BESIDE_A_LOCAL_BRANCH = 2
_OFFICIAL_GRID, _OFFICIAL_PATCH = 4, 32
_PATCHES_AT_ONCE = 16


class MedicalTransformer(nn.Module):
    """A U-Net of axial attention blocks; LoGo and MedT add a second, deeper one that sees the image patch by patch.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> logits ``(B, label_count, [I,] J, K)``; in training with
        ``deep_supervision`` a list: full size, then the sizes of the decoder's stages, from the largest on. Any size is
        accepted: one that a stride does not divide keeps its rest as a smaller cell, what is up-sampled is cut to the
        skip's size, and the last patches are filled up with zeros.

    Args:
        in_channels: channels of the image.
        label_count: outputs, background included.
        spatial_dims: 2 or 3.
        variant: "axial", "gated", "logo" or "medt".
        image_size: size the tables of relative positions are stored for, one number or one per axis.
        planes: channels of the attention in the four stages; a stage returns twice as many.
        depths: blocks in the four stages.
        groups: attention groups.
        stem_stride: factor of the first convolution; 4 or ``(1, 4, 4)`` saves much in 3D.
        strides: factor before stage 2, 3 and 4.
        stem_channels: of the global branch: channels of its first stage's input, and between the stem's convolutions.
        local_stem_channels: the same for the local branch.
        patch_grid: patches of the local branch along each axis.
        patch_by_patch: run the patches one after the other, as published, where batch norm sees a patch at a time in
            training. The other way all are one batch; in evaluation the result is the same.
        official_patches: the published fixed grid of 4 x 4 patches of 32 x 32 pixels. Beyond its 128 x 128 pixels the
            global map takes the place of the local one.
        gates_from_epoch: first epoch in which the gates learn, see ``start_epoch``; 0 lets them learn from the start.
            The paper has 10 (its code starts one epoch later).
        gate_after_norm: see ``GatedAxialAttention``.
        norm: "batch" as published, or "instance", which normalises each image by itself, see ``InstanceNorm``; in the
            local branch each patch.
        deep_supervision: build side heads on the global decoder (ours) and return their logits in training.

    Raises:
        ValueError: for an unknown variant, a wrong number of stages, or an image that the official patches do not fit.

    Example:
        >>> import torch
        >>> network = MedicalTransformer(spatial_dims=2, image_size=32, planes=(4, 4, 8, 8), groups=2)
        >>> network(torch.zeros(2, 1, 32, 40)).shape
        torch.Size([2, 2, 32, 40])
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        label_count: int = 2,
        spatial_dims: int = 3,
        variant: str = "medt",
        image_size: Size = 128,
        planes: Sequence[int] = (16, 32, 64, 128),
        depths: Sequence[int] = (1, 2, 4, 1),
        groups: int = 8,
        stem_stride: Size = 2,
        strides: Sequence[Size] = (2, 2, 2),
        stem_channels: tuple[int, int] = (8, 128),
        local_stem_channels: tuple[int, int] = (64, 128),
        patch_grid: Size = 4,
        patch_by_patch: bool = False,
        official_patches: bool = False,
        gates_from_epoch: int = 0,
        gate_after_norm: bool = False,
        norm: Norm = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        _check(variant, planes, depths, strides, spatial_dims, official_patches=official_patches)
        positions, local_positions = VARIANTS[variant]
        size = each_axis(spatial_dims, image_size)
        self.grid = each_axis(spatial_dims, _OFFICIAL_GRID if official_patches else patch_grid)
        self.patch_by_patch, self.official_patches = patch_by_patch, official_patches
        self.gates_from_epoch = gates_from_epoch
        stages = 4 if local_positions is None else _GLOBAL_STAGES_BESIDE_A_LOCAL_BRANCH
        common: dict[str, Any] = {"groups": groups, "gate_after_norm": gate_after_norm, "norm": norm}
        factors = (stem_stride, *strides)
        self.global_branch = AxialBranch(
            spatial_dims,
            (in_channels, *stem_channels),
            planes[:stages],
            depths[:stages],
            factors[:stages],
            size,
            bottleneck=local_positions is None,
            positions=positions,
            **common,
        )
        self.local_branch: AxialBranch | None = None
        self.fuse: nn.Module | None = None
        if local_positions is not None:
            patch = [-(-length // count) for length, count in zip(size, self.grid, strict=True)]
            stem = (in_channels, *local_stem_channels)
            self.local_branch = AxialBranch(
                spatial_dims, stem, planes, depths, factors, patch, bottleneck=True, positions=local_positions, **common
            )
            self.fuse = conv(spatial_dims, planes[0], planes[0], 3, bias=True)
        self.head = conv(spatial_dims, planes[0], label_count, bias=True)
        self.side_heads = (
            nn.ModuleList(conv(spatial_dims, c, label_count, bias=True) for c in self.global_branch.level_channels)
            if deep_supervision
            else None
        )
        choose_norm(self, norm)
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Freeze the gates before epoch ``gates_from_epoch`` (the first is 0), let them learn from it on."""
        for layer in self.modules():
            if isinstance(layer, GatedAxialAttention) and layer.gates is not None:
                layer.gates.requires_grad_(epoch >= self.gates_from_epoch)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; logits, no softmax."""
        decoded, levels = self.global_branch(x)
        if self.local_branch is not None and self.fuse is not None:
            decoded = torch.relu(self.fuse(decoded + self._local(self.local_branch, x, decoded)))
        logits: Tensor = self.head(decoded)
        if self.side_heads is None or not self.training:
            return logits
        return [logits, *(head(level) for head, level in zip(self.side_heads, levels, strict=True))]

    def _local(self, branch: AxialBranch, x: Tensor, decoded: Tensor) -> Tensor:
        """What the local branch says, put together; beyond the official patches what the global branch says."""
        size = x.shape[2:]
        if not self.official_patches:
            return join_patches(self._by_patch(branch, cut_patches(x, self.grid)), self.grid, size)
        side = _OFFICIAL_GRID * _OFFICIAL_PATCH
        if min(size) < side:
            msg = (
                f"the official patches cover {side} x {side} pixels, got an image of {tuple(size)}; "
                "enlarge the image or choose official_patches=False"
            )
            raise ValueError(msg)
        patches = self._by_patch(branch, cut_patches(x[..., :side, :side], self.grid))
        upper = torch.cat([join_patches(patches, self.grid, (side, side)), decoded[..., :side, side:]], dim=-1)
        return torch.cat([upper, decoded[..., side:, :]], dim=-2)

    def _by_patch(self, branch: AxialBranch, patches: Tensor) -> Tensor:
        """The local branch on patches in the first axis: one by one, all at once in training, or some at a time."""
        count = len(patches) if self.training else _PATCHES_AT_ONCE
        parts = torch.split(patches, len(patches) // prod(self.grid) if self.patch_by_patch else count)
        return torch.cat([branch(part)[0] for part in parts])


def _check(
    variant: str,
    planes: Sequence[int],
    depths: Sequence[int],
    strides: Sequence[Size],
    spatial_dims: int,
    *,
    official_patches: bool,
) -> None:
    if variant not in VARIANTS:
        msg = f"no Medical Transformer is called {variant!r}; the known ones are {', '.join(VARIANTS)}"
        raise ValueError(msg)
    if (len(planes), len(depths), len(strides)) != (4, 4, 3):
        msg = (
            "a Medical Transformer has four stages and needs four planes and depths and three strides, got "
            f"{tuple(planes)}, {tuple(depths)} and {tuple(strides)}"
        )
        raise ValueError(msg)
    if official_patches and spatial_dims != 2:
        msg = f"the official patches exist in 2D only, got spatial_dims {spatial_dims}; choose official_patches=False"
        raise ValueError(msg)
