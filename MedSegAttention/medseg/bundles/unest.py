"""UNesT: nested transformer levels over blocks of patches, and a convolutional decoder (Yu et al. 2023).

Yu et al., "UNesT: local spatial representation learning with hierarchical transformer", Medical Image Analysis 90, 2023
(doi:10.1016/j.media.2023.102939), on the nested transformer of Zhang et al., AAAI 2022 (arXiv:2105.12723). MONAI has
no such class, but two bundles of its model zoo do; weights have the names that they have there.
"""

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution, UnetOutBlock
from monai.networks.blocks.dynunet_block import UnetResBlock, get_conv_layer
from torch import Tensor, nn

_LEVELS = 3
_EPS = 1e-6  # of the normalisations in the transformer


class UNesT(nn.Module):
    """Three levels of a nested transformer as encoder, and residual blocks up to full size.

    Args:
        in_channels: of the input; MONAI's bundles have 1.
        out_channels: labels, background included.
        img_size: voxels of the window along every axis, which attention is made for.
        feature_size: half as many as channels at full size.
        patch_size: voxels of a patch along every axis; the decoder is made for 4.
        embed_dim: channels of each level.
        depths: transformer layers of each level.
        num_heads: attention heads of each level.

    Raises:
        ValueError: if the numbers do not fit each other.

    Shape:
        ``(B, in_channels, D, H, W)`` -> ``(B, out_channels, D, H, W)``, all sides ``img_size``
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        img_size: int | Sequence[int] = 96,
        feature_size: int = 16,
        patch_size: int = 4,
        embed_dim: Sequence[int] = (128, 256, 512),
        depths: Sequence[int] = (2, 2, 8),
        num_heads: Sequence[int] = (4, 8, 16),
    ) -> None:
        super().__init__()
        side = img_size if isinstance(img_size, int) else img_size[0]
        if not isinstance(img_size, int) and set(img_size) != {side}:
            msg = f"img_size has three equal sides, got {list(img_size)}"
            raise ValueError(msg)
        if list(embed_dim) != [8 * feature_size, 16 * feature_size, 32 * feature_size] or patch_size != 4:
            msg = f"embed_dim is 8, 16 and 32 times feature_size and patch_size 4, got {list(embed_dim)}, {patch_size}"
            raise ValueError(msg)
        if len(depths) != _LEVELS or len(num_heads) != _LEVELS or side % (patch_size * 2**_LEVELS):
            msg = f"depths and num_heads have three numbers and img_size is a multiple of {patch_size * 2**_LEVELS}"
            raise ValueError(msg)
        base = feature_size
        self.nestViT = _NestedTransformer(in_channels, side, patch_size, embed_dim, depths, num_heads)
        self.encoder1 = _Skip(in_channels, 2 * base)
        self.encoder2 = _Doubled(embed_dim[0], 4 * base)
        self.encoder3 = _Skip(embed_dim[0], 8 * base)
        self.encoder4 = _Skip(embed_dim[1], 16 * base)
        self.decoder5 = _Up(64 * base, 32 * base)
        self.decoder4 = _Up(32 * base, 16 * base)
        self.decoder3 = _Up(16 * base, 8 * base)
        self.decoder2 = _Up(8 * base, 4 * base)
        self.decoder1 = _Up(4 * base, 2 * base)
        self.encoder10 = Convolution(3, 32 * base, 64 * base, strides=2, adn_ordering="ADN", dropout=0.0)
        self.out = UnetOutBlock(spatial_dims=3, in_channels=2 * base, out_channels=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network."""
        patches, first, second, third, deepest = self.nestViT(x)
        up = self.decoder5(self.encoder10(deepest), third)
        up = self.decoder4(up, self.encoder4(second))
        up = self.decoder3(up, self.encoder3(first))
        up = self.decoder2(up, self.encoder2(patches))
        logits: Tensor = self.out(self.decoder1(up, self.encoder1(x)))
        return logits


class _NestedTransformer(nn.Module):
    """Patches, what each level makes of them, and the last normalised."""

    def __init__(
        self,
        in_channels: int,
        side: int,
        patch: int,
        dims: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
    ) -> None:
        super().__init__()
        self.patch_embed = _Patches(in_channels, dims[0], patch)
        block = side // patch // 2 ** (_LEVELS - 1)  # side of a block, in patches; the same in every level
        self.levels = nn.ModuleList(
            _Level(8 ** (_LEVELS - 1 - n), block, dims[n], dims[n - 1] if n else None, depths[n], heads[n])
            for n in range(_LEVELS)
        )
        self.norm = nn.LayerNorm(dims[-1], eps=_EPS)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = [self.patch_embed(x)]
        for level in self.levels:
            found.append(level(found[-1]))
        return [*found, _of_channels(self.norm, found[-1])]


class _Patches(nn.Module):
    def __init__(self, in_channels: int, dim: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(in_channels, dim, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.proj(x)
        return patches


class _Level(nn.Module):
    """Attention inside each of the blocks into which the patches are divided."""

    def __init__(self, blocks: int, side: int, dim: int, before: int | None, depth: int, heads: int) -> None:
        super().__init__()
        self.side = side
        self.pos_embed = nn.Parameter(torch.zeros(1, blocks, side**3, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.pool: nn.Module = nn.Identity() if before is None else _Aggregation(before, dim)
        self.transformer_encoder = nn.Sequential(*(_Layer(dim, heads) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        batch, dim, *sides = x.shape
        grid, side = [size // self.side for size in sides], self.side
        split = x.reshape(batch, dim, grid[0], side, grid[1], side, grid[2], side)
        blocks = split.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(batch, -1, side**3, dim)
        blocks = self.transformer_encoder(blocks + self.pos_embed)
        split = blocks.reshape(batch, *grid, side, side, side, dim)
        joined: Tensor = split.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(batch, dim, *sides)
        return joined


class _Aggregation(nn.Module):
    """Half the size: a convolution, a normalisation of channels, the largest of its neighbours."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.LayerNorm(out_channels, eps=_EPS)
        self.pool = nn.MaxPool3d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(_of_channels(self.norm, self.conv(x)))
        return pooled


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = _BlockAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.mlp = _Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        seen: Tensor = x + self.mlp(self.norm2(x))
        return seen


class _BlockAttention(nn.Module):
    """Self-attention among the patches of a block. Heads vary fastest among the output's channels, as in the zoo."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, blocks, patches, dim = x.shape
        qkv = self.qkv(x).reshape(batch, blocks, patches, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)  # each (B, blocks, heads, patches, channels)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.proj(seen.permute(0, 1, 3, 4, 2).reshape(batch, blocks, patches, dim))
        return mixed


class _Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return changed


class _Skip(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layer = UnetResBlock(3, in_channels, out_channels, kernel_size=3, stride=1, norm_name="instance")

    def forward(self, x: Tensor) -> Tensor:
        block: Tensor = self.layer(x)
        return block


class _Doubled(nn.Module):
    """Twice the size, and one more step voxel by voxel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.transp_conv_init = _transposed(in_channels, out_channels, 2)
        self.blocks = nn.ModuleList([_transposed(out_channels, out_channels, 1)])

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.blocks[0](self.transp_conv_init(x))
        return doubled


class _Up(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.transp_conv = _transposed(in_channels, out_channels, 2)
        self.conv_block = UnetResBlock(3, 2 * out_channels, out_channels, kernel_size=3, stride=1, norm_name="instance")

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.conv_block(torch.cat([self.transp_conv(x), skip], dim=1))
        return joined


def _transposed(in_channels: int, out_channels: int, size: int) -> nn.Module:
    made: nn.Module = get_conv_layer(
        3, in_channels, out_channels, kernel_size=size, stride=size, conv_only=True, is_transposed=True
    )
    return made


def _of_channels(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalise the channels of each place ``(B, C, D, H, W)``."""
    changed: Tensor = norm(x.movedim(1, -1)).movedim(-1, 1)
    return changed
