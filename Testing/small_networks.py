"""A small form of every network in NETWORKS, built so that each of its parts shows."""

import torch

from medseg.networks import build_network

SMALL_DLKA = {"in_channels": 2, "label_count": 3, "input_shape": (8, 16, 16), "stem": (2, 4, 4), "dims": (4, 8, 16, 32)}
SMALL_DLKA |= {"depths": (1, 1, 1, 1), "feature_size": 4}
SMALL_DLKA_2D = {"in_channels": 2, "label_count": 3, "image_size": 64, "dims": (32, 64, 128, 256), "depths": (1,) * 4}
SMALL_EMF = {"in_channels": 2, "label_count": 3, "channels": (8, 16, 16, 32), "depths": (1, 1, 2, 1), "groups": 2}
SMALL_EMF |= {"heads": (2, 4, 4, 4)}
SMALL_ULTRALIGHT = {"in_channels": 2, "label_count": 3, "widths": (4, 6, 8, 8, 12)}
SMALL_MEDT = {"in_channels": 2, "label_count": 3, "planes": (4, 4, 8, 8), "depths": (1, 2, 1, 1), "groups": 2}
SMALL_MEDT |= {"stem_channels": (4, 8), "local_stem_channels": (8, 8), "spatial_dims": 2, "image_size": 64}
VOLUME_MEDT = SMALL_MEDT | {"spatial_dims": 3, "image_size": 32, "patch_grid": 2}
SMALL_MSLAU = {"in_channels": 2, "label_count": 3, "dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1), "heads": (1, 2)}
OFFICIAL_MSLAU = dict.fromkeys(("layout", "softmax", "merge"), "official") | {"spatial_dims": 2}

# name in NETWORKS, arguments, a size it was made for, an odd size its contract allows
CASES = {
    "dlka": ("dlka_net", SMALL_DLKA, (8, 16, 16), (10, 12, 20)),
    "dlka-baseline": ("dlka_net", SMALL_DLKA | {"deformable": False}, (8, 16, 16), (2, 4, 28)),
    "dlka-2d": ("dlka_net_2d", SMALL_DLKA_2D, (64, 64), (64, 128)),
    "dlka-2d-baseline": ("dlka_net_2d", SMALL_DLKA_2D | {"deformable": False}, (64, 64), (128, 64)),
    "emf-3d": ("emf_former", SMALL_EMF, (32, 32, 64), (17, 20, 9)),
    "emf-2d": ("emf_former", SMALL_EMF | {"spatial_dims": 2}, (64, 64), (33, 70)),
    "axial": ("medical_transformer", SMALL_MEDT | {"variant": "axial"}, (64, 64), (33, 70)),
    "gated": ("medical_transformer", SMALL_MEDT | {"variant": "gated"}, (64, 64), (33, 70)),
    "logo": ("medical_transformer", SMALL_MEDT | {"variant": "logo"}, (64, 64), (33, 70)),
    "medt-2d": ("medical_transformer", SMALL_MEDT, (64, 64), (33, 70)),
    "medt-3d": ("medical_transformer", VOLUME_MEDT, (32, 32, 32), (17, 20, 9)),
    "mslau-3d": ("mslau_net", SMALL_MSLAU, (64, 32, 32), (33, 40, 7)),
    "mslau-2d": ("mslau_net", SMALL_MSLAU | {"spatial_dims": 2}, (64, 64), (33, 70)),
    "mslau-official": ("mslau_net", SMALL_MSLAU | OFFICIAL_MSLAU, (64, 64), (96, 96)),
    "ultralight-3d": ("ultralight_unet", SMALL_ULTRALIGHT, (16, 16, 16), (7, 9, 21)),
    "ultralight-2d": ("ultralight_unet", SMALL_ULTRALIGHT | {"spatial_dims": 2}, (32, 32), (7, 21)),
}


def build(case, seed=1, **changes):
    """A network whose every branch shows: layer scales near one, offsets that move, running statistics that matter."""
    name, arguments, *_ = CASES[case]
    torch.manual_seed(seed)
    network = build_network(name, **arguments, **changes)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith(("scale", "position")):
                value.normal_(0.5, 0.1)
            elif value.ndim == 1 and value.is_floating_point():
                value.normal_(value.mean(), 0.1)
            elif value.ndim >= 2:
                value.normal_(std=1 / value[0].numel() ** 0.5)
    return network.eval()


def image(case, sizes, batch=1):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, CASES[case][1]["in_channels"], *sizes, generator=generator)
