"""D-LKA Net in 2D: a MaxViT encoder and a decoder of 2D deformable large kernel attention blocks.

Azad et al., "Beyond Self-Attention: Deformable Large Kernel Attention for Medical Image Segmentation", WACV 2024,
arXiv 2309.00121; code xmindflow/deformableLKA, ``2D/`` (``MaxViT_deformableLKAFormer`` and, for the paper's LKA
baseline, ``MaxViTLKAFormer``). Follows the code where it and the paper differ.

Kept from the code: the deepest decoder level only enlarges; in the baseline one and the same block is applied twice
on each level, because a second one is built there but never called. Left out, as the published ``forward`` never uses
it: a convolution in front of the encoder, attention blocks and a linear layer on the deepest level, the baseline's
second blocks and its layers for concatenation. ``official.dlka_net_2d`` reads and writes checkpoints that hold them.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from medseg.networks.blocks.deformable_lka import FarDepthwise
from medseg.networks.blocks.dlka_blocks import DLKABlock2d
from medseg.networks.blocks.layers import Size, conv, each_axis
from medseg.networks.blocks.maxvit import PUBLISHED_DEPTHS, PUBLISHED_DIMS, MaxViTEncoder
from medseg.networks.blocks.norms import Norm, choose_norm
from medseg.networks.blocks.patch_expand import PatchExpand

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "synapse": {"in_channels": 1, "input_repeats": 3, "label_count": 9, "image_size": 224},
}
"""Arguments of the published configuration: slices of abdominal CT (Synapse)."""

_BLOCKS = 2  # applied on each decoder level with a skip
_STEM_STRIDE = 4


class DLKANet2d(nn.Module):
    """Four MaxViT stages on a grid of 4 x 4 cells, three decoder levels with additive skips, one more enlargement.

    Shape:
        ``(B, in_channels, J, K)`` -> logits ``(B, label_count, J, K)``; in training with ``deep_supervision`` a list:
        full size, size / 4, size / 8. J and K are multiples of ``image_size``.

    Args:
        in_channels: channels of the image.
        label_count: outputs, background included.
        image_size: rows and columns that the encoder's attention windows are built for, one number or two, each a
            multiple of 32. Weights trained with one image_size fit every other; published is 224.
        deformable: False builds the LKA baseline.
        input_repeats: how often the image's channels are repeated at the input; the published code repeats 1 channel
            3 times.
        dims: channels of the four encoder stages, each twice the one before and a multiple of 32.
        depths: blocks in the four encoder stages.
        norm: "batch" as published, or "instance", which normalises each image by itself, see ``InstanceNorm``.
        deep_supervision: build two side heads (ours) and return their logits in training.

    Raises:
        ImportError: where timm, which the encoder comes from, is not installed: it is the extra ``maxvit``.
        ValueError: for other sizes, dims or depths than these.

    Example:
        >>> import torch
        >>> network = DLKANet2d(image_size=32, dims=(32, 64, 128, 256), depths=(1, 1, 1, 1))
        >>> network(torch.zeros(2, 1, 32, 64)).shape
        torch.Size([2, 2, 32, 64])
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        label_count: int = 2,
        image_size: Size = 224,
        deformable: bool = True,
        input_repeats: int = 1,
        dims: Sequence[int] = PUBLISHED_DIMS,
        depths: Sequence[int] = PUBLISHED_DEPTHS,
        norm: Norm = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if any(deep != 2 * shallow for shallow, deep in pairwise(dims)):
            msg = (
                f"each decoder level halves the channels, so every dim must be twice the one before, got {tuple(dims)}"
            )
            raise ValueError(msg)
        self.input_repeats = input_repeats
        self.encoder = MaxViTEncoder(
            in_channels * input_repeats, image_size=each_axis(2, image_size), dims=dims, depths=depths
        )
        self.lift = PatchExpand(dims[3], dims[2], 2)
        self.decoder = nn.ModuleList(
            DecoderStage(dims[level], PatchExpand(dims[level], dims[level - 1], 2), deformable=deformable)
            for level in (2, 1)
        )
        self.decoder.append(DecoderStage(dims[0], PatchExpand(dims[0], dims[0], _STEM_STRIDE), deformable=deformable))
        self.head = conv(2, dims[0], label_count, bias=True)
        self.side_heads = (
            nn.ModuleList(conv(2, channels, label_count, bias=True) for channels in dims[:2])
            if deep_supervision
            else None
        )
        for name, part in self.named_children():
            if name != "encoder":
                part.apply(_initialise)
        choose_norm(self, norm)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; logits, no softmax."""
        if self.input_repeats > 1:
            x = torch.cat([x] * self.input_repeats, dim=1)
        skips = self.encoder(x)
        x = self.lift(skips.pop())
        levels = [x]
        for stage in self.decoder:
            x = stage(x, skips.pop())
            levels.append(x)
        logits: Tensor = self.head(x)
        if self.side_heads is None or not self.training:
            return logits
        return [logits, *(head(level) for head, level in zip(self.side_heads, levels[2:0:-1], strict=True))]


class DecoderStage(nn.Module):
    """Mixes the channels, adds the skip, attends twice, enlarges.

    Shape:
        two of ``(B, channels, J, K)`` -> what ``up`` makes of one

    Args:
        channels: of the map and of the skip.
        up: the enlargement.
        deformable: False applies one undeformed block twice, as published.
    """

    def __init__(self, channels: int, up: PatchExpand, *, deformable: bool) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, channels)
        self.blocks = nn.ModuleList(
            DLKABlock2d(channels, deformable=deformable) for _ in range(_BLOCKS if deformable else 1)
        )
        self.up = up

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Run the stage."""
        x = self.mix(x.movedim(1, -1)).movedim(-1, 1) + skip
        for turn in range(_BLOCKS):
            x = self.blocks[turn % len(self.blocks)](x)
        result: Tensor = self.up(x)
        return result


def _initialise(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, offset predictors included, as in the published code."""
    if isinstance(module, nn.Linear | nn.Conv2d | FarDepthwise):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
