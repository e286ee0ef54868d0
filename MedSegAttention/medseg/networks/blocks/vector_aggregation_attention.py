"""VAA: vector aggregation attention, the attention of one head of EMF-former.

Hao, Quan and Lu, "EMF-former: An Efficient and Memory-Friendly Transformer for Medical Image Segmentation", MICCAI
2024, doi 10.1007/978-3-031-72111-3_22. Its kin are SwiftFormer (Shaker et al., ICCV 2023, arXiv 2303.15446; one pooled
vector) and Fastformer (Wu et al., arXiv 2108.09084; two).
"""

import torch
from torch import Tensor, nn

_RMS_EPS = 1e-6


class VAA(nn.Module):
    """Every voxel meets all others through two vectors, so memory and cost grow with the number of voxels n.

    With one row a voxel, ``*`` element by element and the two vectors broadcast over the rows::

        Q, K = rms(x Wq + bq), rms(x Wk + bk)                       rms(t) = t / sqrt(mean of t^2 over channels + 1e-6)
        q = sum_i softmax_i(Q_i . wq / sqrt(C)) Q_i                 one vector of C numbers
        k = sum_i softmax_i(K_i . wk / sqrt(C)) K_i                 another
        result = (q * K + k * Q) Wf + bf + Q

    ============= =============================================================================================
    published     two vectors, broadcast, multiplied element by element in place of the product of keys and values;
                  then a fully connected layer
    inferred      both vectors are pooled over all voxels, as global dependencies are kept at a cost of O(n)
    ours          the learned softmax pooling, the symmetric sum, rms and the query that is added. Without rms every
                  head squares its input, and heads in a row raise it to a power that leaves half precision.
    ============= =============================================================================================

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        channels: C; of a single channel rms leaves nothing but the sign.

    Example:
        >>> import torch
        >>> VAA(8)(torch.zeros(2, 8, 5, 6)).shape
        torch.Size([2, 8, 5, 6])
        >>> VAA(8)(torch.zeros(2, 8, 5, 6, 7)).shape
        torch.Size([2, 8, 5, 6, 7])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q = nn.Linear(channels, channels)
        self.k = nn.Linear(channels, channels)
        self.score_q = nn.Linear(channels, 1, bias=False)
        self.score_k = nn.Linear(channels, 1, bias=False)
        self.fc = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the attention."""
        rows = x.flatten(2).transpose(1, 2)  # (B, n, C)
        queries, keys = _rms(self.q(rows)), _rms(self.k(rows))
        mixed = _pool(queries, self.score_q) * keys + _pool(keys, self.score_k) * queries
        result: Tensor = self.fc(mixed) + queries
        return result.transpose(1, 2).reshape(x.shape)


def _rms(rows: Tensor) -> Tensor:
    return nn.functional.rms_norm(rows, rows.shape[-1:], eps=_RMS_EPS)


def _pool(rows: Tensor, score: nn.Module) -> Tensor:
    """(B, n, C) -> (B, 1, C): the mean that the scores weight; in float32, as n weights are of the order of 1 / n."""
    weights = torch.softmax(score(rows) / rows.shape[-1] ** 0.5, dim=1, dtype=torch.float32)
    return (weights * rows).sum(1, keepdim=True).to(rows.dtype)
