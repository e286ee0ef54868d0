"""S-MHA: attention heads that run one after the other, and fewer of them, as in EMF-former.

Hao, Quan and Lu, "EMF-former: An Efficient and Memory-Friendly Transformer for Medical Image Segmentation", MICCAI
2024, doi 10.1007/978-3-031-72111-3_22. Heads in cascade on parts of the channels are known from EfficientViT (Liu et
al., CVPR 2023, arXiv 2305.07027).
"""

import torch
from torch import Tensor, nn

from medseg.networks.blocks.vector_aggregation_attention import VAA


class SerialMultiHeadAttention(nn.Module):
    """Each head attends to its part of the channels plus what the head before it found; some parts have no head.

    With four heads and ``keep_every=2``::

        part 0 ---- VAA ----------+
                     |            |
        part 1 ------|------------+-- side by side -- Linear -->
                     v            |
        part 2 ---- (+) -- VAA ---+
        part 3 -------------------+

    ============= =============================================================================================
    published     heads are computed one after the other, and some are left out
    inferred      each head owns an equal part of the channels, and what a head found goes into the next, which is how
                  the heads come to learn different features
    ours          which heads are left out (all but every ``keep_every``-th, always the same ones), that their parts
                  pass unchanged, and the last linear layer
    ============= =============================================================================================

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        channels: C, a multiple of ``heads``.
        heads: parts the channels are split into.
        keep_every: 1 gives every part its head, n the parts 0, n, 2n ...

    Raises:
        ValueError: for heads that do not divide the channels, or a ``keep_every`` below 1.

    Example:
        >>> import torch
        >>> SerialMultiHeadAttention(16, heads=4)(torch.zeros(2, 16, 5, 6)).shape
        torch.Size([2, 16, 5, 6])
        >>> SerialMultiHeadAttention(16, heads=4, keep_every=1)(torch.zeros(2, 16, 5, 6, 7)).shape
        torch.Size([2, 16, 5, 6, 7])
    """

    def __init__(self, channels: int, *, heads: int, keep_every: int = 2) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            msg = f"the heads must divide the channels, got {heads} heads for {channels}"
            raise ValueError(msg)
        if keep_every < 1:
            msg = f"keep_every counts heads and must be 1 (all of them) or more, got {keep_every}"
            raise ValueError(msg)
        self.head_count = heads
        self.heads = nn.ModuleDict({str(part): VAA(channels // heads) for part in range(0, heads, keep_every)})
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the heads."""
        parts = list(x.chunk(self.head_count, dim=1))
        found: Tensor | None = None
        for name, head in self.heads.items():
            part = int(name)
            found = head(parts[part] if found is None else parts[part] + found)
            parts[part] = found
        rows = torch.cat(parts, dim=1).flatten(2).transpose(1, 2)
        result: Tensor = self.proj(rows)
        return result.transpose(1, 2).reshape(x.shape)
