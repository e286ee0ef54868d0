"""UltraLightUNet, published in its 2D form as MK-UNet, in 2D and 3D.

Rahman and Marculescu, "MK-UNet: Multi-kernel Lightweight CNN for Medical Image Segmentation", ICCV Workshops 2025,
arXiv 2509.18493; first submitted as "UltraLightUNet: Rethinking U-shaped Network with Multi-kernel Lightweight
Convolutions for Medical Image Segmentation", OpenReview BefqqrgdZ1.

2D follows the published code. No 3D code was published: the 3D form replaces every operator by its 3D counterpart
(kernels {1, 3, 5}, trilinear up-sampling, 7^3 spatial attention). Its parameters and multiplications come within
1.5 % of the published 1.42 M / 7.1 G for the M widths; the gate kernel, the gates, the kernel of the spatial attention
and the repetition of the input are arguments because the paper does not settle them.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from medseg.networks.blocks.cmfa import SpatialAttention
from medseg.networks.blocks.gag import GAG
from medseg.networks.blocks.layers import Size, conv, each_axis, max_pool, upsample
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.mkira import MKIRA
from medseg.networks.blocks.norms import Norm, choose_norm

WIDTHS: Mapping[str, tuple[int, int, int, int, int]] = {
    "T": (4, 8, 16, 24, 32),
    "S": (8, 16, 32, 48, 80),
    "base": (16, 32, 64, 96, 160),
    "M": (32, 64, 128, 192, 320),
    "L": (64, 128, 256, 384, 512),
}
CHANNEL_ATTENTION_RATIOS = (16, 16, 16, 8, 4)  # of decoder 1 (deepest) to 5


class UltraLightUNet(nn.Module):
    """Five multi-kernel encoder stages, five attention decoder stages, gated additive skips.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> logits ``(B, label_count, [I,] J, K)``; in training with
        ``deep_supervision`` a list: full size, then the sizes of skip 1, 2 and 3. Any size is accepted: one that the
        pooling does not divide is pooled with a smaller last cell, and what is up-sampled is cut to the skip's size.

    Args:
        in_channels: channels of the image.
        label_count: outputs, background included.
        spatial_dims: 2 or 3.
        widths: a published variant (T, S, base, M, L) or five channel counts.
        pooling: factor after each of the five encoder stages, one number or one per axis. ``(1, 2, 2, 2, 1)`` keeps
            the first skip at full resolution for small volumes; ``((1, 2, 2), 2, 2, 2, 2)`` suits thick slices.
        gates: whether skips pass a grouped attention gate.
        gate_kernel: kernel of the gates' grouped convolutions.
        spatial_attention_kernel: kernel of the spatial attention that all decoder stages share.
        input_repeats: how often the image's channels are repeated at the input; published 2D code repeats
            1 channel 3 times.
        norm: "batch" as published, or "instance", which normalises each image by itself, see ``InstanceNorm``.
        deep_supervision: build the three side heads and return their logits in training.

    Raises:
        ValueError: for an unknown variant or a wrong number of widths or pooling factors.

    Example:
        >>> import torch
        >>> UltraLightUNet(label_count=3, widths="T")(torch.zeros(2, 1, 17, 20, 9)).shape
        torch.Size([2, 3, 17, 20, 9])
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        label_count: int = 2,
        spatial_dims: int = 3,
        widths: str | Sequence[int] = "base",
        pooling: Sequence[Size] = (2, 2, 2, 2, 2),
        gates: bool = True,
        gate_kernel: Size = 3,
        spatial_attention_kernel: Size = 7,
        input_repeats: int = 1,
        norm: Norm = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = channels = _widths(widths)
        if len(pooling) != len(channels):
            msg = f"pooling needs one factor for each of the {len(channels)} encoder stages, got {pooling}"
            raise ValueError(msg)
        self.pooling = tuple(each_axis(spatial_dims, factor) for factor in pooling)
        self.input_repeats = input_repeats
        inputs = (in_channels * input_repeats, *channels[:-1])
        self.encoders = nn.ModuleList(MKIR(spatial_dims, i, o) for i, o in zip(inputs, channels, strict=True))
        shared = SpatialAttention(spatial_dims, kernel=spatial_attention_kernel)
        self.decoders = nn.ModuleList(
            MKIRA(spatial_dims, i, o, ratio=ratio, spatial=shared)
            for i, o, ratio in zip((c5, c4, c3, c2, c1), (c4, c3, c2, c1, c1), CHANNEL_ATTENTION_RATIOS, strict=True)
        )
        self.gates = (
            nn.ModuleList(GAG(spatial_dims, c, kernel=gate_kernel) for c in (c4, c3, c2, c1)) if gates else None
        )
        self.head = conv(spatial_dims, c1, label_count, bias=True)
        self.side_heads = (
            nn.ModuleList(conv(spatial_dims, c, label_count, bias=True) for c in (c1, c2, c3))
            if deep_supervision
            else None
        )
        self.apply(_initialise)
        choose_norm(self, norm)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; logits, no softmax."""
        if self.input_repeats > 1:
            x = torch.cat([x] * self.input_repeats, dim=1)
        sizes = [x.shape[2:]]
        skips = []
        for encoder, factor in zip(self.encoders, self.pooling, strict=True):
            x = max_pool(encoder(x), factor)
            sizes.append(x.shape[2:])
            skips.append(x)
        skips.pop()  # the deepest output goes straight into the decoder
        levels = []
        for stage, decoder in enumerate(self.decoders):
            x = torch.relu(upsample(decoder(x), self.pooling[-1 - stage], sizes[-2 - stage]))
            if skips:
                skip = skips.pop()
                x = x + (skip if self.gates is None else self.gates[stage](x, skip))
            levels.append(x)
        logits: Tensor = self.head(x)
        if self.side_heads is None or not self.training:
            return logits
        return [logits, *(head(level) for head, level in zip(self.side_heads, levels[3:0:-1], strict=True))]


def _widths(widths: str | Sequence[int]) -> tuple[int, ...]:
    if isinstance(widths, str):
        if widths not in WIDTHS:
            msg = f"no variant of UltraLightUNet is called {widths!r}; the known ones are {', '.join(WIDTHS)}"
            raise ValueError(msg)
        return WIDTHS[widths]
    if len(widths) != 5:
        msg = f"UltraLightUNet has five encoder stages and needs five widths, got {widths}"
        raise ValueError(msg)
    return tuple(widths)


def _initialise(module: nn.Module) -> None:
    """Normal weights with standard deviation 0.02 and zero biases, as in the published code."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
