"""EMF-former as a network: against our reference, at any size, in 2D and 3D, and whether it learns."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cost import count_cost
from learning import steps_until
from medseg.networks.emf_former import EMFFormer
from seeded_fixtures import differences, seeded_fixture, seeded_names

SMALL = {"channels": (16, 32), "depths": (1, 1), "heads": (2, 4), "strides": (4, 2)}


def small(spatial_dims=3, **changes):
    torch.manual_seed(0)
    return EMFFormer(**(SMALL | {"spatial_dims": spatial_dims, "label_count": 3} | changes))


@pytest.mark.parametrize("name", seeded_names("ours_emf_former"))
def test_results_of_the_reference_are_reproduced(name):
    fixture = seeded_fixture(name)
    arguments = {key: value for key, value in fixture.config.items() if key != "num_classes"}
    network = EMFFormer(label_count=fixture.config["num_classes"], odd_sizes="pad", **arguments)
    assert list(network.state_dict()) == fixture.names
    network.load_state_dict(fixture.state())
    names = {key: key for key in fixture.names}
    rows = list(differences(fixture, network, {key: key for key in fixture.activations()}, names))
    assert len(rows) >= 6
    assert [row for row in rows if not row.found <= row.allowed] == []


@pytest.mark.parametrize(
    ("arguments", "sizes", "parameters", "macs"),
    [
        ({"spatial_dims": 2, "label_count": 4}, (128, 128), 1_002_356, 59_602_944),
        ({"spatial_dims": 2, "label_count": 4}, (224, 224), 1_002_356, 0.183e9),
        ({"spatial_dims": 2, "label_count": 4}, (256, 256), 1_002_356, 0.238e9),
        ({"spatial_dims": 2, "label_count": 4, "keep_every": 1}, (224, 224), 1_040_084, 0.193e9),
        ({"label_count": 3, "odd_sizes": "pad"}, (35, 51, 35), 1_042_563, 338_385_920),
        ({"label_count": 3}, (96, 96, 96), 1_042_563, 1.142e9),
        ({"label_count": 4, "strides": ((1, 4, 4), (1, 2, 2), 2, 2)}, (16, 160, 160), 1_036_308, 1.490e9),
    ],
)
def test_it_costs_what_the_reference_costs(arguments, sizes, parameters, macs):
    """The authors published neither number; these are those of our reference."""
    counted, cost = count_cost(lambda: EMFFormer(**arguments), (1, 1, *sizes))
    assert counted == parameters
    assert cost["convolution"] + cost["product"] == pytest.approx(macs, abs=5e5 if isinstance(macs, float) else 0)


def test_an_odd_size_costs_less_when_it_is_cut_than_when_it_is_padded():
    cut, pad = (
        count_cost(lambda form=form: EMFFormer(odd_sizes=form), (1, 1, 35, 51, 35))[1] for form in ("cut", "pad")
    )
    assert pad["convolution"] + pad["product"] > 3 * (cut["convolution"] + cut["product"])


@pytest.mark.parametrize("sizes", [(16, 24), (16, 8, 24)])
def test_for_sizes_that_divide_both_forms_are_the_same(sizes):
    cut, pad = (small(len(sizes), odd_sizes=form).eval() for form in ("cut", "pad"))
    x = torch.randn(2, 1, *sizes)
    with torch.no_grad():
        assert cut(x).equal(pad(x))
        assert not cut(x[..., :-3]).equal(pad(x[..., :-3]))


@pytest.mark.parametrize("form", ["cut", "pad"])
@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize(
    ("sizes", "strides"),
    [
        ((1, 1), (4, 2)),
        ((13, 6), (2, 3)),
        ((17, 9), (3, 2)),
        ((1, 2, 3), (4, 2)),
        ((7, 5, 9), (2, 2)),
        ((3, 18, 13), ((1, 4, 4), (1, 2, 2))),
    ],
)
def test_any_size_gives_logits_of_that_size(sizes, strides, refine, form):
    network = small(len(sizes), strides=strides, refine=refine, odd_sizes=form).eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 1, *sizes))
    assert logits.shape == (1, 3, *sizes)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("missing", [1, 3, 4, 7])
def test_odd_sizes_are_placed_as_even_ones_are(missing, refine):
    """With attention switched off, as it sees all: what lies far from the end does not notice where the image ends."""
    network = small(2, refine=refine, odd_sizes="cut").double().eval()
    for name, value in network.named_parameters():
        if "attn.proj" in name:
            nn.init.zeros_(value)
    x = torch.randn(1, 1, 9, 96, dtype=torch.float64)
    with torch.no_grad():
        even, odd = network(x), network(x[..., : 96 - missing])
    torch.testing.assert_close(odd[..., :48], even[..., :48])
    assert not torch.allclose(odd[..., -8:], even[..., : 96 - missing][..., -8:])


@pytest.mark.parametrize("form", ["cut", "pad"])
def test_side_outputs_cover_the_image_and_not_what_was_padded(form):
    stages = {"channels": (16, 32, 32), "depths": (1, 1, 1), "heads": (2, 4, 4), "strides": (4, 2, 2)}
    network = small(3, odd_sizes=form, deep_supervision=True, **stages)
    outputs = network(torch.randn(2, 1, 17, 18, 35))
    assert [tuple(output.shape[2:]) for output in outputs] == [(17, 18, 35), (5, 5, 9), (3, 3, 5)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"keep_every": 1, "in_channels": 3},
        {"refine": False},
        {"odd_sizes": "cut", "deep_supervision": True},
        {"strides": ((1, 4, 4), (1, 2, 2))},
    ],
)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_gradients_reach_every_parameter(spatial_dims, changes):
    if spatial_dims == 2 and "strides" in changes:
        changes = {"strides": ((1, 4), (1, 2))}
    network = small(spatial_dims, **changes)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # batch statistics cancel a bias in front of them
    outputs = network(torch.randn(2, changes.get("in_channels", 1), *(19, 14, 13)[:spatial_dims]))
    sum(output.square().mean() for output in (outputs if isinstance(outputs, list) else [outputs])).backward()
    assert [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize(("in_channels", "expected"), [(1, 32), (3, 36), (4, 32), (5, 40), (40, 40)])
def test_the_stem_makes_enough_channels_for_its_groups(in_channels, expected):
    assert EMFFormer(in_channels=in_channels, spatial_dims=2).stem[0].dw.out_channels == expected


def phantom(sizes):
    """A noisy image of a ball (label 1) and a box (label 2) a little apart."""
    grid = torch.stack(torch.meshgrid(*(torch.linspace(0, 1, size) for size in sizes), indexing="ij"))
    labels = torch.zeros(sizes, dtype=torch.int64)
    labels[(grid - 0.35).square().sum(0) < 0.22**2] = 1
    labels[(grid - 0.72).abs().amax(0) < 0.16] = 2
    return (labels + 0.3 * torch.randn(sizes))[None, None], labels[None]


def dice(logits, labels):
    """Soft Dice of each label, background included."""
    chosen, wanted = logits.softmax(1), F.one_hot(labels, logits.shape[1]).movedim(-1, 1)
    axes = (0, *range(2, logits.ndim))
    return 2 * (chosen * wanted).sum(axes) / (chosen + wanted).sum(axes)


@pytest.mark.parametrize(("sizes", "strides"), [((30, 28), (4, 2)), ((14, 16, 15), (2, 2))])
def test_two_hundred_steps_learn_a_phantom_by_heart(sizes, strides):
    network = small(len(sizes), strides=strides)
    image, labels = phantom(sizes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    before = dice(1e4 * network.eval()(image), labels)[1:]

    def step():
        optimizer.zero_grad()
        logits = network.train()(image)
        (F.cross_entropy(logits, labels) + 1 - dice(logits, labels).mean()).backward()
        optimizer.step()
        schedule.step()

    @torch.no_grad()
    def worst():
        return dice(1e4 * network.eval()(image), labels)[1:].min()  # so steep that it is the Dice of the labels

    assert before.max() < 0.5
    assert steps_until(step, worst, 200) > 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": (32, 64, 128)}, "one entry for each of two or more stages, got .32, 64, 128."),
        ({"channels": (32,), "depths": (1,), "heads": (2,), "strides": (4,)}, "two or more stages"),
        ({"odd_sizes": "stretch"}, "odd_sizes must be one of cut, pad, got 'stretch'"),
        ({"heads": (2, 4, 8, 7)}, "7 heads for 256"),
        ({"channels": (20, 64, 128, 256)}, "4 groups for 20 and 10"),
        ({"spatial_dims": 4}, "spatial_dims must be 2 or 3, got 4"),
    ],
)
def test_arguments_that_do_not_fit_are_answered_with_the_rule(arguments, message):
    with pytest.raises(ValueError, match=message):
        EMFFormer(**arguments)
