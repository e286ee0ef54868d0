"""The block EMF-former's stages are made of: position, serial attention, MLP; each adds to its input.

Hao, Quan and Lu, "EMF-former: An Efficient and Memory-Friendly Transformer for Medical Image Segmentation", MICCAI
2024, doi 10.1007/978-3-031-72111-3_22.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.dlka_blocks import ChannelNorm
from medseg.networks.blocks.layers import conv
from medseg.networks.blocks.serial_multi_head_attention import SerialMultiHeadAttention


class EMFBlock(nn.Module):
    """A transformer block around ``SerialMultiHeadAttention``.

    ::

        x = x + P(x)                             depthwise of size 3, with bias
        x = x + S-MHA(LayerNorm(x))
        x = x + F2(GELU(F1(LayerNorm(x))))       ``mlp_ratio`` times as wide inside

    Published is the attention; the two residual steps around it are inferred, as it is called a transformer; the
    position convolution, which is bound to no image size, the order of the norms and the width of the MLP are ours.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        spatial_dims: 2 or 3.
        channels: C, a multiple of ``heads``.
        heads: see ``SerialMultiHeadAttention``.
        mlp_ratio: channels inside the MLP for each outside.
        keep_every: see ``SerialMultiHeadAttention``.

    Example:
        >>> import torch
        >>> EMFBlock(3, 16, heads=4)(torch.zeros(2, 16, 5, 6, 7)).shape
        torch.Size([2, 16, 5, 6, 7])
    """

    def __init__(
        self, spatial_dims: int, channels: int, *, heads: int, mlp_ratio: int = 2, keep_every: int = 2
    ) -> None:
        super().__init__()
        self.pos = conv(spatial_dims, channels, channels, 3, groups=channels, bias=True)
        self.norm1 = ChannelNorm(channels)
        self.attn = SerialMultiHeadAttention(channels, heads=heads, keep_every=keep_every)
        self.norm2 = ChannelNorm(channels)
        self.fc1 = nn.Linear(channels, mlp_ratio * channels)
        self.fc2 = nn.Linear(mlp_ratio * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        x = x + self.pos(x)
        x = x + self.attn(self.norm1(x))
        vectors = self.norm2(x).movedim(1, -1)
        result: Tensor = x + self.fc2(F.gelu(self.fc1(vectors))).movedim(-1, 1)
        return result
