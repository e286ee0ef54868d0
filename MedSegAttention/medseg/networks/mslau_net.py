"""MSLAU-Net: convolutional stages, then stages of multi-scale linear attention, and a light top-down decoder.

Lan et al., "MSLAU-Net: A Hybrid CNN-Transformer Network for Medical Image Segmentation", arXiv 2505.18823; code
Monsoon49/MSLAU-Net. The paper and its code disagree inside the attention, see ``MSLA``: the paper's form is the
default, and ``OFFICIAL`` holds the arguments that compute what published weights were trained with. No 3D code was
published; the 3D form replaces every operator by its 3D counterpart.

Kept from the code: the decoder's sum starts with the shallowest map, though it is described as going from the deepest
to the shallowest, and bilinear steps align the corners. Left out: the encoder's last norm and classifier, which the
published ``forward`` never uses (1 537 parameters), and an argument for the decoder's width that works for 64 only.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.layers import BATCH_NORM, Size, conv, each_axis
from medseg.networks.blocks.msla import Layout, Merge, Softmax
from medseg.networks.blocks.mslau_blocks import GFE, LFE, CellEmbedding
from medseg.networks.blocks.norms import Norm, choose_norm

OFFICIAL: Mapping[str, Any] = {
    "spatial_dims": 2,
    "layout": "official",
    "softmax": "official",
    "merge": "official",
    "in_channels": 3,
}
"""Arguments for weights of the published code; one-channel images took ``in_channels`` 1 with ``input_repeats`` 3."""

_INITIAL_STD = 0.02


class MSLAUNet(nn.Module):
    """Four encoder stages (two LFE, two GFE), their maps summed at the first stage's size, one head per partial sum.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> logits ``(B, label_count, [I,] J, K)``; in training with
        ``deep_supervision`` a list: full size, then the sizes of stage 1, 2 and 3. Any size is accepted: a last cell
        that the image does not fill counts as zeros, and what is enlarged is cut to the size it had before. With
        ``layout="official"`` images are square, 2D, and a multiple of the product of the strides.

    Args:
        in_channels: channels of the image.
        label_count: outputs, background included.
        spatial_dims: 2 or 3.
        dims: channels of the four stages; the decoder has as many as the first.
        depths: blocks in the four stages.
        heads: attention heads in stages 3 and 4; published are channels / 64.
        strides: factor before each stage, one number or one per axis; ``((1, 4, 4), (1, 2, 2), 2, 2)`` suits thick
            slices.
        layout: "spatial" or "official", see ``MSLA``.
        softmax: "paper" or "official", see ``LinearAttention``.
        merge: "standard" or "official", see ``LinearAttention``.
        kernels: depthwise kernels of the attention's parts.
        separable: whether those are one kernel per axis, one after the other.
        image_size: with ``layout="official"`` the side in pixels that the weights were trained at; images of another
            size are refused, as the same weights compute something else there. None accepts any.
        input_repeats: how often the image's channels are repeated at the input; the published code repeats 1 channel 3
            times.
        norm: "batch" as published, or "instance", which normalises each image by itself, see ``InstanceNorm``.
        deep_supervision: build three side heads (ours) and return their logits in training.

    Raises:
        ValueError: for a wrong number of stages, options that do not exist or do not go together, or an image the
            official layout cannot take.

    Example:
        >>> import torch
        >>> network = MSLAUNet(spatial_dims=2, dims=(8, 16, 32, 64), depths=(1, 1, 1, 1), heads=(1, 2))
        >>> network(torch.zeros(2, 1, 33, 50)).shape
        torch.Size([2, 2, 33, 50])
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        label_count: int = 2,
        spatial_dims: int = 3,
        dims: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (4, 8, 11, 5),
        heads: Sequence[int] = (4, 8),
        strides: Sequence[Size] = (4, 2, 2, 2),
        layout: Layout = "spatial",
        softmax: Softmax = "paper",
        merge: Merge = "standard",
        kernels: Sequence[int] = (3, 5, 7, 9),
        separable: bool = False,
        image_size: int | None = None,
        input_repeats: int = 1,
        norm: Norm = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if (len(dims), len(depths), len(strides), len(heads)) != (4, 4, 4, 2):
            msg = (
                "MSLAU-Net has four stages, two of them with attention, and needs four dims, depths and strides and "
                f"two heads, got {tuple(dims)}, {tuple(depths)}, {tuple(strides)} and {tuple(heads)}"
            )
            raise ValueError(msg)
        self.strides = tuple(each_axis(spatial_dims, stride) for stride in strides)
        self.layout, self.image_size, self.input_repeats = layout, image_size, input_repeats
        attention = {"layout": layout, "softmax": softmax, "merge": merge, "kernels": kernels, "separable": separable}

        def block(stage: int) -> nn.Module:
            if stage < 2:
                return LFE(spatial_dims, dims[stage])
            return GFE(spatial_dims, dims[stage], heads=heads[stage - 2], **attention)

        inputs = (in_channels * input_repeats, *dims[:3])
        self.encoder = nn.ModuleList(
            EncoderStage(
                CellEmbedding(spatial_dims, inputs[stage], dims[stage], self.strides[stage]),
                [block(stage) for _ in range(depths[stage])],
            )
            for stage in range(4)
        )
        self.encoder.apply(_initialise)
        self.decoder = Aggregation(spatial_dims, dims, self.strides)
        self.head = conv(spatial_dims, 4 * dims[0], label_count, 3, bias=True)
        self.side_heads = (
            nn.ModuleList(conv(spatial_dims, channels, label_count, bias=True) for channels in dims[:3])
            if deep_supervision
            else None
        )
        choose_norm(self, norm)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; logits, no softmax."""
        if self.layout == "official":
            self._check_official(x.shape[2:])
        size = x.shape[2:]
        if self.input_repeats > 1:
            x = torch.cat([x] * self.input_repeats, dim=1)
        levels = []
        for stage in self.encoder:
            x = stage(x)
            levels.append(x)
        total, decoded = self.decoder(levels)
        rest = [stride // step for stride, step in zip(self.strides[0], self.decoder.steps, strict=True)]
        logits = enlarge(self.head(decoded), rest, size)
        if self.side_heads is None or not self.training:
            return logits
        return [logits, *(head(level) for head, level in zip(self.side_heads, (total, *levels[1:3]), strict=True))]

    def _check_official(self, size: Sequence[int]) -> None:
        multiple = prod(stride[0] for stride in self.strides)
        if len(set(size)) > 1 or any(length % multiple for length in size):
            msg = (
                f"the official layout takes square images with a side that is a multiple of {multiple}, got "
                f"{tuple(size)}; resize the image or choose layout='spatial'"
            )
            raise ValueError(msg)
        if self.image_size not in (None, size[0]):
            msg = (
                f"in the official layout the weights hold for images of {self.image_size} x {self.image_size} only, "
                f"got {tuple(size)}; resize the image, or build the network with image_size=None to run it all the same"
            )
            raise ValueError(msg)


class EncoderStage(nn.Module):
    """Merges cells of the map before into vectors, then runs a row of blocks.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, channels, [ceil(I / stride),] ...)``
    """

    def __init__(self, embedding: CellEmbedding, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Run the stage."""
        result: Tensor = self.blocks(self.embedding(x))
        return result


class Aggregation(nn.Module):
    """Brings the maps of stages 2 to 4 to the size of stage 1, adds them up one after the other, filters every sum.

    ::

        stage 1 ----------------> sum 1 -- 3 -- head --+
        stage 2 -- 1x1, x2 -----> sum 2 -- 3 -- head --+-- side by side
        stage 3 -- (1x1, x2) * 2 > sum 3 -- 3 -- head --+
        stage 4 -- (1x1, x2) * 3 > sum 4 -- 3 -- head --+

    Each convolution is followed by batch normalisation and ReLU; "head" is one of size 3 and an enlargement by
    ``steps``, half of the way back to the image where stage 1 has a stride of 4.

    Shape:
        four maps ``(B, dims[n], ...)`` -> sum 4 ``(B, dims[0], ...)`` and
        ``(B, 4 dims[0], ...)`` of ``steps`` times that size
    """

    def __init__(self, spatial_dims: int, dims: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
        super().__init__()
        width = dims[0]
        self.strides = tuple(strides[1:])
        self.steps = [2 if stride % 2 == 0 else stride for stride in strides[0]]
        self.lift = nn.ModuleList(
            nn.ModuleList(
                _unit(spatial_dims, inputs, outputs)
                for inputs, outputs in zip(dims[stage:0:-1], (*dims[stage - 1 : 0 : -1], width), strict=True)
            )
            for stage in (1, 2, 3)
        )
        self.mix = nn.ModuleList(_unit(spatial_dims, width, width, 3) for _ in dims)
        self.refine = nn.ModuleList(_unit(spatial_dims, width, width, 3) for _ in dims)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Run the decoder."""
        sizes = [level.shape[2:] for level in levels]
        total = levels[0]
        totals = [total]
        for stage, units in enumerate(self.lift, start=1):
            x = levels[stage]
            for level, unit in zip(range(stage - 1, -1, -1), units.children(), strict=True):
                x = enlarge(unit(x), self.strides[level], sizes[level])
            total = total + x
            totals.append(total)
        full = [length * step for length, step in zip(sizes[0], self.steps, strict=True)]
        heads = [
            enlarge(refine(mix(x)), self.steps, full)
            for mix, refine, x in zip(self.mix, self.refine, totals, strict=True)
        ]
        return total, torch.cat(heads, dim=1)


def enlarge(x: Tensor, factor: Sequence[int], size: Sequence[int]) -> Tensor:
    """Bilinear (2D) or trilinear (3D) enlargement by ``factor`` with aligned corners, cut at its end to ``size``."""
    if any(number != 1 for number in factor):
        target = [length * number for length, number in zip(x.shape[2:], factor, strict=True)]
        mode: Literal["bilinear", "trilinear"] = "bilinear" if len(factor) == 2 else "trilinear"
        x = F.interpolate(x, size=target, mode=mode, align_corners=True)
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x


def _unit(spatial_dims: int, in_channels: int, out_channels: int, kernel: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    norm = BATCH_NORM[spatial_dims](out_channels)
    return nn.Sequential(conv(spatial_dims, in_channels, out_channels, kernel), norm, nn.ReLU(inplace=True))


def _initialise(module: nn.Module) -> None:
    """Linear layers from a truncated normal with standard deviation 0.02 and zero biases, as published."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_INITIAL_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
