"""UNesT: attention inside blocks, blocks put back where they were, and the names of the zoo's weights."""

import pytest
import torch
from torch import nn

from medseg.bundles.build import build_any
from medseg.bundles.unest import _BlockAttention, _Level

SMALL = {"in_channels": 1, "out_channels": 3, "img_size": 64, "feature_size": 2, "embed_dim": [16, 32, 64],
         "depths": [1, 1, 1], "num_heads": [1, 2, 4]}  # fmt: skip


def test_attention_is_torchs_own_inside_each_block():
    torch.manual_seed(0)
    ours, theirs = _BlockAttention(12, 3).eval(), nn.MultiheadAttention(12, 3, batch_first=True).eval()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    # torch's heads lie one after the other among the channels, the zoo's in turns
    order = torch.arange(12).reshape(4, 3).T.flatten()
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = ours.proj.weight.data[:, order], ours.proj.bias.data
    x = torch.randn(2, 5, 8, 12)
    blocks = x.flatten(0, 1)
    with torch.no_grad():
        wanted = theirs(blocks, blocks, blocks, need_weights=False)[0].reshape(x.shape)
        torch.testing.assert_close(ours(x), wanted)


def test_a_patch_changes_its_own_block_alone():
    torch.manual_seed(0)
    level = _Level(8, 2, 6, None, 1, 2).eval()
    x = torch.randn(1, 6, 4, 4, 4)
    other = x.clone()
    other[0, :, 3, 0, 2] += torch.randn(6)
    with torch.no_grad():
        changed = (level(x) != level(other)).any(dim=1)[0]
    wanted = torch.zeros(4, 4, 4, dtype=torch.bool)
    wanted[2:4, 0:2, 2:4] = True
    assert torch.equal(changed, wanted)


def test_weights_have_the_names_and_shapes_of_the_zoos_checkpoints():
    state = build_any("monai:UNesT", in_channels=1, out_channels=4).state_dict()
    shapes = {
        "nestViT.patch_embed.proj.weight": (128, 1, 4, 4, 4),
        "nestViT.levels.0.pos_embed": (1, 64, 216, 128),
        "nestViT.levels.2.transformer_encoder.7.attn.qkv.weight": (1536, 512),
        "nestViT.levels.1.pool.norm.weight": (256,),
        "encoder2.blocks.0.conv.weight": (64, 64, 1, 1, 1),
        "encoder10.adn.A.weight": (1,),
        "decoder5.transp_conv.conv.weight": (1024, 512, 2, 2, 2),
        "out.conv.conv.weight": (4, 32, 1, 1, 1),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"img_size": [64, 64, 96]}, "three equal sides"),
        ({"embed_dim": [16, 16, 16]}, "8, 16 and 32 times"),
        ({"patch_size": 2}, "patch_size 4"),
        ({"depths": [1, 1]}, "three numbers"),
        ({"img_size": 40}, "multiple of 32"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(changes, reason):
    with torch.no_grad():
        assert build_any("monai:UNesT", **SMALL).eval()(torch.zeros(1, 1, 64, 64, 64)).shape == (1, 3, 64, 64, 64)
    with pytest.raises(ValueError, match=reason):
        build_any("monai:UNesT", **SMALL | changes)
