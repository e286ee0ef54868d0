"""Which published layout a checkpoint has: told from names and shapes alone, with what does not fit named."""

import pytest
import torch

from medseg.bundles.official import dlka_net, dlka_net_2d, medical_transformer, mslau_net, ultralight_unet
from medseg.bundles.official.layouts import LAYOUTS
from medseg.bundles.official.recognise import recognise
from medseg.networks import build_network
from official_fixtures import read_fixture
from official_weights import load_official
from seeded_fixtures import seeded_fixture

DLKA = {
    "input_shape": (16, 32, 32),
    "stem": (2, 4, 4),
    "dims": (2, 4, 8, 16),
    "depths": (1, 2, 1, 1),
    "feature_size": 3,
}
DLKA |= {"in_channels": 2, "label_count": 5, "deformable": True, "deep_supervision": False}
DLKA_2D = {"image_size": 224, "dims": (32, 64, 128, 256), "depths": (1, 1, 2, 1), "in_channels": 3, "label_count": 4}
MSLAU = {"image_size": 224, "dims": (16, 32, 64, 128), "depths": (1, 1, 2, 1), "heads": (1, 2), "in_channels": 3}
MSLAU |= {"label_count": 4, "layout": "official", "softmax": "official", "merge": "official", "spatial_dims": 2}
MEDICAL = {"image_size": 64, "planes": (4, 4, 8, 8), "depths": (1, 1, 2, 1), "groups": 2, "in_channels": 1}
MEDICAL |= {"label_count": 3, "stem_channels": (6, 10), "spatial_dims": 2, "gates_from_epoch": 10}
MEDICAL |= {"official_patches": True}
LOCAL = {"local_stem_channels": (12, 14)}
MK = {"spatial_dims": 2, "in_channels": 3, "label_count": 4, "widths": (4, 8, 16, 24, 32), "gate_kernel": (3, 3)}
MK |= {"spatial_attention_kernel": (7, 7)}
UNUSED = {"backbone.conv.0.bias", "backbone.conv.1.bias", "encoder.norm.bias", "encoder.head.bias"}


def synapse(state):
    return dlka_net.to_official(state, flavour="synapse")


def pancreas(state):
    return dlka_net.to_official(state, flavour="pancreas")


def bare_mslau_encoder(state):
    return starting_with("encoder.", mslau_net.to_official(state), keep="")


def timm_names(state):
    return starting_with("backbone.backbone.", dlka_net_2d.to_official(state), keep="")


def wrapper_names(state):
    return starting_with("backbone.backbone.", dlka_net_2d.to_official(state), keep="backbone.")


def starting_with(start, state, *, keep):
    return {keep + key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}


# layout, network, arguments that shapes tell, our names -> those in the file
WHOLE = {
    "dlka": ("dlka_net/d_lka_former", "dlka_net", DLKA, synapse),
    "dlka-sides": ("dlka_net/d_lka_former", "dlka_net", DLKA | {"deep_supervision": True}, synapse),
    "dlka-baseline": ("dlka_net/unetr_pp", "dlka_net", DLKA | {"deformable": False}, pancreas),
    "dlka-2d": ("dlka_net_2d", "dlka_net_2d", DLKA_2D | {"deformable": True}, dlka_net_2d.to_official),
    "dlka-2d-baseline": ("dlka_net_2d", "dlka_net_2d", DLKA_2D | {"deformable": False}, dlka_net_2d.to_official),
    "mslau": ("mslau_net", "mslau_net", MSLAU, mslau_net.to_official),
    "mk-unet": ("ultralight_unet", "ultralight_unet", MK, ultralight_unet.to_official),
    **{
        variant: (
            "medical_transformer",
            "medical_transformer",
            MEDICAL | {"variant": variant} | (LOCAL if variant in {"medt", "logo"} else {}),
            medical_transformer.to_official,
        )
        for variant in ("axial", "gated", "logo", "medt")
    },
}
ENCODERS = {
    "timm": ("dlka_net_2d/encoder", "dlka_net_2d", DLKA_2D, timm_names),
    "timm-wrapped": ("dlka_net_2d/encoder", "dlka_net_2d", DLKA_2D, wrapper_names),
    "mslau": ("mslau_net/encoder", "mslau_net", MSLAU, bare_mslau_encoder),
}


def published(case):
    """Names and shapes as a file of this case has them."""
    _, network, arguments, to_official = case
    with torch.device("meta"):
        state = build_network(network, **arguments).state_dict()
    return {key: tuple(value.shape) for key, value in to_official(state).items()}


def test_every_layout_has_a_case():
    assert {case[0] for case in (*WHOLE.values(), *ENCODERS.values())} == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_a_whole_network_is_recognised_with_its_arguments(case, prefix):
    found = recognise({prefix + key: shape for key, shape in published(case).items()})
    assert (found.layout, found.network) == case[:2]
    assert found.arguments == case[2]
    assert found.fits
    assert not found.encoder_only


@pytest.mark.parametrize("case", ENCODERS.values(), ids=ENCODERS)
def test_an_encoder_alone_is_recognised(case):
    found = recognise(published(case))
    assert (found.layout, found.network) == case[:2]
    assert found.fits
    assert found.encoder_only
    assert found.arguments.items() <= case[2].items()
    assert {"dims", "depths"} <= set(found.arguments)


@pytest.mark.parametrize(
    ("names", "layout", "arguments"),
    [
        (read_fixture("dlka3d_synapse").record["state"], "dlka_net/d_lka_former", {"input_shape": (64, 128, 128)}),
        (read_fixture("dlka3d_small_32").record["state"], "dlka_net/unetr_pp", {"stem": (2, 2, 2), "label_count": 2}),
        (read_fixture("mkunet_base_64x96_c9").record["state"], "ultralight_unet", {"label_count": 9}),
        (seeded_fixture("mslau_synapse_224_c9").record["state_dict"], "mslau_net", {"heads": (4, 8), "label_count": 9}),
        (seeded_fixture("medt_128").record["state_dict"], "medical_transformer", {"variant": "medt", "groups": 8}),
        (read_fixture("dlka2d_deform_224").record["state"], "dlka_net_2d", {"dims": (96, 192, 384, 768)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_authors_published_fits(names, layout, arguments):
    found = recognise({key: shape for key, shape, _ in names})
    assert found.layout == layout
    assert found.fits
    assert arguments.items() <= found.arguments.items()


def test_parts_nobody_uses_are_listed_apart():
    assert recognise(published(WHOLE["mk-unet"])).unused == ()
    unused = recognise(published(WHOLE["dlka-2d"])).unused
    assert "decoder_3.layer_lka_1.attn.proj_1.weight" in unused
    assert "backbone.conv.0.weight" in unused
    assert not any(key.startswith("decoder_2.") for key in unused)
    without = {key: shape for key, shape in published(WHOLE["dlka-2d"]).items() if key not in unused}
    assert recognise(without).fits


@pytest.mark.parametrize(
    ("case", "lost"),
    [
        ("dlka", "decoder3.transp_conv.conv.weight"),
        ("dlka-2d", "decoder_1.x1_linear.bias"),
        ("dlka-2d-baseline", "backbone.backbone.stages.1.blocks.0.conv.norm1.running_mean"),
        ("mslau", "encoder.blocks3.1.attn.scale_weights"),
        ("mk-unet", "CA2.fc1.weight"),
        ("medt", "decoderf.bias"),
    ],
)
def test_what_does_not_fit_is_named_as_in_the_file(case, lost):
    shapes = published(WHOLE[case])
    del shapes[lost]
    wrong = next(
        key for key, shape in shapes.items() if key.endswith(".bias") and key not in UNUSED and len(shape) == 1
    )
    right, shapes[wrong] = shapes[wrong], (999,)
    found = recognise(shapes | {"swa.n_averaged": ()})
    assert found.missing == (lost,)
    assert found.unexpected == ("swa.n_averaged",)
    assert found.of_another_shape == (f"{wrong} (999,) instead of {right}",)
    assert not found.fits


@pytest.mark.parametrize(("to_official", "part"), [(dlka_net_2d.to_official, ""), (timm_names, "encoder.")])
def test_weights_come_back_under_our_names(to_official, part):
    with torch.device("meta"):
        state = build_network("dlka_net_2d", **DLKA_2D).state_dict()
    file = to_official(state)
    ours = recognise({key: value.shape for key, value in file.items()}).to_ours(file)
    assert set(ours) == {key for key in state if key.startswith(part)}
    assert all(ours[key] is state[key] for key in ours)


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_weights_go_to_the_published_names_and_come_back_from_either_way_of_loading(case):
    """Written by one network, read by another through ``load_official``, and through what ``recognise`` found."""
    _, name, arguments, to_official = case
    modules = (dlka_net, dlka_net_2d, mslau_net, ultralight_unet, medical_transformer)
    names = next(each for each in modules if each.__name__.endswith(f".{name}"))
    sizes = {"image_size": 128} if name == "medical_transformer" else {"image_size": 64} if "2d" in name else {}
    torch.manual_seed(0)
    source, network = (build_network(name, **arguments | sizes) for _ in range(2))
    with torch.no_grad():
        for value in source.parameters():
            value.normal_()
    theirs = to_official(source.state_dict())
    load_official(names, network, theirs)
    assert_same(network.state_dict(), source.state_dict())
    assert_same(to_official(network.state_dict()), theirs)
    found = recognise({key: value.shape for key, value in theirs.items()})
    assert_same(found.to_ours(theirs), source.state_dict())


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert [key for key, value in expected.items() if not torch.equal(found[key], value)] == []


def test_a_grid_that_is_no_cube_is_thin_in_front():
    case = ("", "dlka_net", DLKA | {"input_shape": (16, 160, 160), "stem": (1, 4, 4)}, synapse)
    found = recognise(published(case))
    assert found.arguments["input_shape"] == (16, 160, 160)
    assert found.undecided == ("input_shape",)
    assert found.fits


def test_position_embeddings_of_no_grid_are_refused():
    shapes = published(WHOLE["dlka"]) | {"d_lka_former_encoder.stages.1.0.pos_embed": (1, 63, 4)}
    with pytest.raises(ValueError, match="belong to no grid"):
        recognise(shapes)


def test_other_attention_in_the_same_frame_is_refused():
    shapes = published(WHOLE["dlka"])
    epa = {key.replace(".proj_1.", ".qkvv."): shape for key, shape in shapes.items()}
    with pytest.raises(ValueError, match=r"UNETR\+\+.*--trans_block"):
        recognise(epa)


def test_an_entry_that_says_how_large_the_network_is_must_be_there():
    shapes = published(WHOLE["mslau"])
    del shapes["seg.weight"]
    with pytest.raises(ValueError, match=r"look like weights of MSLAU-Net, .*'seg\.weight' is wanted"):
        recognise(shapes)


def test_an_unknown_layout_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"like layer1\.0\.conv1\.weight; the known ones are 3D D-LKA Net.*MK-UNet"):
        recognise({"layer1.0.conv1.weight": (64, 64, 3, 3)})
    with pytest.raises(ValueError, match=r"names like \(none\)"):
        recognise({})
