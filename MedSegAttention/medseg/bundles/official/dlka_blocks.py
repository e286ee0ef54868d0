"""Names inside the blocks of the published D-LKA Nets (xmindflow/deformableLKA)."""

from medseg.bundles.official.renaming import Rules

_AROUND_THE_GATE: Rules = (
    ("spatial_gating_unit.conv1", "gate.mix"),
    ("proj_1", "project_in"),
    ("proj_2", "project_out"),
)

ATTENTION_RULES_3D: Rules = (
    ("spatial_gating_unit.deform_conv.conv_offset", "gate.deform.offset"),
    ("spatial_gating_unit.deform_conv", "gate.deform"),
    ("spatial_gating_unit.conv0", "gate.near"),
    ("spatial_gating_unit.conv_spatial", "gate.far"),
    *_AROUND_THE_GATE,
)
"""The 3D attention, deformable or not; the undeformed 2D attention has the same names."""

ATTENTION_RULES_2D: Rules = (
    ("spatial_gating_unit.conv0.offset_net", "gate.near.offset"),
    ("spatial_gating_unit.conv0.deform_conv", "gate.near"),
    ("spatial_gating_unit.conv_spatial.offset_net", "gate.far.offset"),
    ("spatial_gating_unit.conv_spatial.deform_conv", "gate.far"),
    *_AROUND_THE_GATE,
)
"""The deformable 2D attention."""

BLOCK_RULES_3D: Rules = (
    *ATTENTION_RULES_3D,
    ("epa_block", "attention"),
    ("gamma", "scale"),
    ("pos_embed", "position"),
    ("conv51.conv1.conv", "residual.conv1"),
    ("conv51.conv2.conv", "residual.conv2"),
    ("conv51", "residual"),
    ("conv8.1", "mix"),
)


def block_rules_2d(*, deformable: bool) -> Rules:
    """Names of the 2D block around either attention."""
    return (
        *(ATTENTION_RULES_2D if deformable else ATTENTION_RULES_3D),
        ("attn", "attention"),
        ("layer_scale_1", "attention_scale"),
        ("layer_scale_2", "mlp_scale"),
        ("norm1", "attention_norm"),
        ("norm2", "mlp_norm"),
        ("mlp.fc1", "widen"),
        ("mlp.dwconv.dwconv", "depthwise"),
        ("mlp.fc2", "narrow"),
    )
