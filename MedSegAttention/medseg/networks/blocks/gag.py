"""GAG: the grouped attention gate of UltraLightUNet / MK-UNet (arXiv 2509.18493), after EMCAD (arXiv 2405.06880)."""

import torch
from torch import Tensor, nn

from medseg.networks.blocks.layers import BATCH_NORM, Size, conv, each_axis


class GAG(nn.Module):
    """Scale a skip connection by how much the decoder wants each voxel.

    Shape:
        gate ``(B, C, [I,] J, K)``, skip ``(B, C, [I,] J, K)`` -> ``(B, C, [I,] J, K)``

    Args:
        spatial_dims: 2 or 3.
        channels: C, even; the hidden layer has C / 2 channels and as many groups.
        kernel: size of the grouped convolutions; with size 1 they are not grouped, as published.

    Example:
        >>> import torch
        >>> GAG(2, 8)(torch.zeros(1, 8, 5, 6), torch.zeros(1, 8, 5, 6)).shape
        torch.Size([1, 8, 5, 6])
        >>> GAG(3, 8)(torch.zeros(1, 8, 5, 6, 7), torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 8, 5, 6, 7])
    """

    def __init__(self, spatial_dims: int, channels: int, *, kernel: Size = 3) -> None:
        super().__init__()
        hidden = channels // 2
        groups = 1 if set(each_axis(spatial_dims, kernel)) == {1} else hidden
        norm = BATCH_NORM[spatial_dims]

        def grouped() -> nn.Sequential:
            return nn.Sequential(conv(spatial_dims, channels, hidden, kernel, groups=groups, bias=True), norm(hidden))

        self.from_gate = grouped()
        self.from_skip = grouped()
        self.to_weight = nn.Sequential(conv(spatial_dims, hidden, 1, bias=True), norm(1))

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Run the gate."""
        hidden = torch.relu(self.from_gate(gate) + self.from_skip(skip))
        return skip * torch.sigmoid(self.to_weight(hidden))
