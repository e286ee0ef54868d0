"""What is particular to D-LKA Net: sizes, position embeddings, attention in 2D and 3D."""

import pytest
import torch
from torch.nn import functional as F

from medseg.networks.blocks.deformable_lka import DeformableLKA, FarDepthwise
from medseg.networks.blocks.dlka_blocks import DLKABlock2d, DLKABlock3d
from medseg.networks.dlka_net import VARIANTS, DLKANet

TINY = {"label_count": 2, "stem": (2, 2, 2), "dims": (2, 4, 8, 16), "depths": (1, 1, 1, 1), "feature_size": 2}


def test_an_input_the_stem_does_not_divide_is_refused():
    network = DLKANet(**TINY, input_shape=(16, 16, 16))
    with pytest.raises(ValueError, match=r"multiple of the stem \(2, 2, 2\), got \(16, 16, 17\)"):
        network(torch.zeros(1, 1, 16, 16, 17))


@pytest.mark.parametrize("shape", [(16, 16, 15), (16, 16)])
def test_an_input_shape_the_stem_does_not_divide_is_refused(shape):
    with pytest.raises(ValueError, match="three multiples of the stem"):
        DLKANet(**TINY, input_shape=shape)


def test_four_stages_are_needed():
    with pytest.raises(ValueError, match="four dims and depths"):
        DLKANet(**TINY | {"dims": (2, 4, 8)}, input_shape=(16, 16, 16))


def test_side_heads_exist_only_with_deep_supervision():
    assert DLKANet(**TINY, input_shape=(16, 16, 16)).side_heads is None
    assert len(DLKANet(**TINY, input_shape=(16, 16, 16), deep_supervision=True).side_heads) == 2


@pytest.mark.parametrize(("name", "tokens"), [("synapse", (32, 32, 32)), ("pancreas", (48, 48, 48))])
def test_published_variants_have_their_token_grids(name, tokens):
    with torch.device("meta"):
        network = DLKANet(**VARIANTS[name])
    grids = [stage.blocks[0].grid for stage in network.encoder]
    assert grids == [tuple(size // 2**stage for size in tokens) for stage in range(4)]


def test_position_embeddings_of_another_size_are_interpolated():
    block = DLKABlock3d(3, (2, 3, 4))
    torch.nn.init.normal_(block.position)
    stored = block.position.transpose(1, 2).reshape(1, 3, 2, 3, 4)
    assert torch.equal(block._positions((2, 3, 4)), stored)
    expected = F.interpolate(stored, size=(5, 3, 7), mode="trilinear", align_corners=False)
    assert torch.equal(block._positions((5, 3, 7)), expected)


def test_a_constant_position_embedding_is_the_same_on_every_grid():
    torch.manual_seed(0)
    small, large = DLKABlock3d(2, (2, 2, 2)).eval(), DLKABlock3d(2, (4, 5, 6)).eval()
    large.load_state_dict(small.state_dict() | {"position": torch.full((1, 120, 2), 0.5)})
    torch.nn.init.constant_(small.position, 0.5)
    x = torch.randn(1, 2, 4, 5, 6)
    torch.testing.assert_close(small(x), large(x))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("deformable", [True, False])
def test_attention_works_alone_and_keeps_the_size(axes, deformable):
    attention = DeformableLKA(axes, 4, deformable=deformable)
    x = torch.randn(2, 4, *(7, 5, 6)[:axes], requires_grad=True)
    result = attention(x)
    assert result.shape == x.shape
    result.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in attention.parameters())


def test_undeformed_3d_attention_is_the_baseline_with_one_more_convolution():
    deformed, plain = DeformableLKA(3, 4), DeformableLKA(3, 4, deformable=False)
    plain.load_state_dict({key: value for key, value in deformed.state_dict().items() if ".deform." not in key})
    gate = deformed.gate.deform
    x = torch.randn(1, 4, 6, 6, 6)
    hidden = F.gelu(plain.project_in(x))
    gated = F.conv3d(plain.gate.far(plain.gate.near(hidden)), gate.weight, gate.bias, padding=1)
    expected = x + plain.project_out(hidden * plain.gate.mix(gated))
    torch.testing.assert_close(deformed(x), expected)


def test_the_far_convolution_reaches_nine_voxels():
    far = FarDepthwise(3, 1)
    torch.nn.init.ones_(far.weight)
    torch.nn.init.zeros_(far.bias)
    x = torch.zeros(1, 1, 1, 1, 25)
    x[..., 12] = 1
    reached = torch.nonzero(far(x)[0, 0, 0, 0]).flatten()
    assert reached.tolist() == [3, 6, 9, 12, 15, 18, 21]


def test_the_2d_baseline_block_trains():
    block = DLKABlock2d(4, deformable=False)
    block(torch.randn(2, 4, 5, 7)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in block.parameters())
