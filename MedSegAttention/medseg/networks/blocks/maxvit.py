"""MaxViT as an encoder: convolutional blocks, each followed by attention in windows and attention across them.

Tu et al., "MaxViT: Multi-Axis Vision Transformer", ECCV 2022, arXiv 2204.01697, in the variant of Ross Wightman's timm
that predicts the relative-position bias from log-spaced coordinates (``maxvit_rmlp_small_rw_224``).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from medseg.networks.blocks.timm_import import import_timm

PUBLISHED_DIMS = (96, 192, 384, 768)
PUBLISHED_DEPTHS = (2, 2, 5, 2)
DEEPEST_STRIDE = 32
_HEAD_WIDTH = 32
_TIMM_NAME = "maxvit_rmlp_small_rw_224"


class MaxViTEncoder(nn.Module):
    """timm's ``maxvit_rmlp_small_rw_224`` without its classifier; the map of every stage is returned.

    A window has image_size / 32 tokens a side in every stage (7 x 7 for 224). The weights do not depend on it: the
    position bias is a function of coordinates, so weights of one ``image_size`` fit every other. Only the last map
    passes the final norm. Nothing is downloaded; the weights start as timm initialises them. In training the
    predictor of the position bias drops 12.5 % of its hidden units, as timm's does.

    Shape:
        ``(B, in_channels, J, K)`` -> four maps ``(B, dims[n], J / (4 * 2^n), K / (4 * 2^n))``; J and K are multiples
        of ``image_size``

    Args:
        in_channels: channels of the image.
        image_size: rows and columns, multiples of 32.
        dims: channels of the four stages, multiples of 32, as attention heads are 32 wide.
        depths: blocks in the four stages.

    Raises:
        ImportError: where timm is not installed.
        ValueError: for sizes, dims or depths as above; and for an image that the windows do not tile.

    Example:
        >>> import torch
        >>> encoder = MaxViTEncoder(1, image_size=(32, 64), dims=(32, 64, 96, 128), depths=(1, 1, 1, 1))
        >>> [tuple(level.shape) for level in encoder(torch.zeros(1, 1, 32, 64))]
        [(1, 32, 8, 16), (1, 64, 4, 8), (1, 96, 2, 4), (1, 128, 1, 2)]
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        image_size: Sequence[int] = (224, 224),
        dims: Sequence[int] = PUBLISHED_DIMS,
        depths: Sequence[int] = PUBLISHED_DEPTHS,
    ) -> None:
        super().__init__()
        self.image_size = tuple(image_size)
        _check(self.image_size, dims, depths)
        model = import_timm().create_model(
            _TIMM_NAME,
            pretrained=False,
            num_classes=0,
            in_chans=in_channels,
            img_size=self.image_size,
            embed_dim=tuple(dims),
            depths=tuple(depths),
        )
        self.stem: nn.Module = model.stem
        self.stages: nn.Sequential = model.stages
        self.norm: nn.Module = model.norm

    def forward(self, x: Tensor) -> list[Tensor]:
        """Run the encoder."""
        if any(size % side for size, side in zip(x.shape[2:], self.image_size, strict=True)):
            rows, columns = self.image_size
            msg = (
                f"windows were built for images of {rows} x {columns} and tile multiples of that only, got "
                f"{tuple(x.shape[2:])}; resize the image, or build the network with another image_size, which its "
                "weights fit as well"
            )
            raise ValueError(msg)
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        levels[-1] = self.norm(x)
        return levels


def _check(image_size: Sequence[int], dims: Sequence[int], depths: Sequence[int]) -> None:
    if len(image_size) != 2 or any(size < DEEPEST_STRIDE or size % DEEPEST_STRIDE for size in image_size):
        msg = f"image_size must be two multiples of {DEEPEST_STRIDE}, got {tuple(image_size)}"
        raise ValueError(msg)
    if len(dims) != 4 or len(depths) != 4 or any(width < _HEAD_WIDTH or width % _HEAD_WIDTH for width in dims):
        msg = (
            f"MaxViT has four stages and needs four depths and four dims that are multiples of {_HEAD_WIDTH}, got "
            f"{tuple(depths)} and {tuple(dims)}"
        )
        raise ValueError(msg)
