"""Parameters and multiply-accumulates of every published configuration."""

import pytest

from cost import count_cost
from medseg.networks.dlka_net import VARIANTS, DLKANet
from medseg.networks.ultralight_unet import UltraLightUNet

# fvcore counts the deformable convolution as an operator it does not know, at no cost: only its offset predictor counts
DEFORMABLE_MACS = {"synapse": 9_852_420_096, "pancreas": 33_251_917_824}  # 27 C^2 N over all blocks


@pytest.mark.parametrize(
    ("variant", "deformable", "parameters", "training_cost", "evaluation_cost"),
    [
        ("synapse", True, 42_353_327, 66_957_393_920, 66_907_553_792),
        ("synapse", False, 28_938_506, 48.791e9, None),
        ("pancreas", True, 62_067_079, 166.63e9, 166.47e9),
        ("pancreas", False, 48_652_258, 105.32e9, 105.15e9),
    ],
)
def test_dlka_net_costs_what_the_paper_says(variant, deformable, parameters, training_cost, evaluation_cost):
    arguments = VARIANTS[variant] | {"deformable": deformable, "deep_supervision": variant == "synapse"}
    shape = (1, 1, *arguments["input_shape"])
    counted, cost = count_cost(lambda: DLKANet(**arguments), shape, training=True)
    assert counted == parameters
    assert cost["product"] == (DEFORMABLE_MACS[variant] if deformable else 0)
    exact = isinstance(training_cost, int)
    assert cost["convolution"] + cost["norm"] == pytest.approx(training_cost, rel=0 if exact else 5e-5)
    if evaluation_cost is not None:
        _, cost = count_cost(lambda: _AllScales(**arguments), shape)  # published: side heads run in evaluation too
        assert cost["convolution"] + cost["norm"] == pytest.approx(evaluation_cost, rel=0 if exact else 5e-5)


class _AllScales(DLKANet):
    """D-LKA Net that returns its side outputs in evaluation, as the published one does."""

    def forward(self, x):
        return self.all_scales(x)


@pytest.mark.parametrize(
    ("widths", "parameters", "giga_macs"),
    [
        ("T", 27_384, 0.0495),
        ("S", 93_050, 0.1042),
        ("base", 315_566, 0.2776),
        ("M", 1_150_166, 0.8835),
        ("L", 3_758_118, 3.0648),
    ],
)
def test_ultralight_unet_2d_costs_what_the_paper_says(widths, parameters, giga_macs):
    arguments = {"spatial_dims": 2, "in_channels": 3, "label_count": 1, "widths": widths}
    counted, _ = count_cost(lambda: UltraLightUNet(**arguments, deep_supervision=True), (1, 3, 256, 256))
    assert counted == parameters
    without_side_heads, cost = count_cost(lambda: UltraLightUNet(**arguments), (1, 3, 256, 256))
    assert without_side_heads < parameters
    assert cost["convolution"] / 1e9 == pytest.approx(giga_macs, abs=6e-5)


@pytest.mark.parametrize(
    ("widths", "mega_parameters", "giga_macs"),
    [("T", 0.0622, 0.83), ("S", 0.1658, 1.38), ("base", 0.4605, 2.69), ("M", 1.4393, 6.23), ("L", 4.3055, 16.83)],
)
def test_ultralight_unet_3d_costs_what_its_lift_from_2d_must(widths, mega_parameters, giga_macs):
    arguments = {"in_channels": 1, "label_count": 8, "widths": widths, "deep_supervision": True}
    parameters, cost = count_cost(lambda: UltraLightUNet(**arguments), (2, 1, 96, 96, 96), training=True)
    assert parameters / 1e6 == pytest.approx(mega_parameters, abs=6e-5)
    assert cost["convolution"] / 2e9 == pytest.approx(giga_macs, abs=6e-3)


def test_the_published_3d_figures_lie_within_two_percent():
    """Published for M: 1.42 M and 7.1 G; the open choices (gates, repeated input) move both by more than the gap."""
    arguments = {"in_channels": 1, "label_count": 8, "widths": "M", "input_repeats": 3, "deep_supervision": True}
    plain, _ = count_cost(lambda: UltraLightUNet(**arguments), (2, 1, 96, 96, 96), training=True)
    assert plain / 1.42e6 == pytest.approx(1, abs=0.02)
    gateless, cost = count_cost(lambda: UltraLightUNet(**arguments, gates=False), (2, 1, 96, 96, 96), training=True)
    assert gateless == pytest.approx(1.4162e6, abs=60)
    assert (cost["convolution"] + cost["norm"]) / 2e9 == pytest.approx(7.1, abs=0.3)
