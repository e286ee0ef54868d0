"""Whether every network learns: 200 steps on one synthetic image of two structures, then Dice in evaluation.

Run with ``python Testing/Benchmarks/overfit.py [part of a name]``; exits with 1 where a Dice is not above 0.95.
"""

import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medseg.networks import build_network

STEPS, ENOUGH = 200, 0.95
PEAK_RATE = 3e-3
HIGHER_RATES = {", axial": 6e-3, ", gated": 6e-3, "emf_former": 1e-2}  # part of a name: not done after 200 slower steps
_DLKA = {"input_shape": (24, 24, 24), "stem": (2, 4, 4), "dims": (8, 16, 32, 64), "depths": (1,) * 4, "feature_size": 8}
_MAXVIT = {"image_size": 64, "dims": (32, 64, 128, 256), "depths": (1,) * 4}
_EMF = {"channels": (16, 32, 64), "depths": (1,) * 3, "heads": (2, 4, 4), "strides": (2, 2, 2)}
_ULTRALIGHT = {"widths": "base", "pooling": (2, 2, 2, 1, 1)}
_MEDT = {"planes": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "groups": 4}
_MEDT |= {"stem_channels": (8, 16), "local_stem_channels": (16, 16), "patch_grid": 2}
_MSLAU = {"dims": (16, 32, 64, 128), "depths": (1,) * 4, "heads": (2, 4), "strides": (2, 2, 2, 2)}
_OFFICIAL_MSLAU = dict.fromkeys(("layout", "softmax", "merge"), "official") | {"strides": (4, 2, 2, 2)}
_VARIANTS = ("axial", "gated", "logo", "medt")

CASES: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "dlka_net 3D": ("dlka_net", 3, _DLKA),
    "dlka_net 3D, LKA baseline": ("dlka_net", 3, _DLKA | {"deformable": False}),
    "dlka_net_2d": ("dlka_net_2d", 2, _MAXVIT),
    "dlka_net_2d, LKA baseline": ("dlka_net_2d", 2, _MAXVIT | {"deformable": False}),
    "ultralight_unet 2D": ("ultralight_unet", 2, _ULTRALIGHT | {"spatial_dims": 2}),
    "ultralight_unet 3D": ("ultralight_unet", 3, _ULTRALIGHT),
    "mslau_net 2D": ("mslau_net", 2, _MSLAU | {"spatial_dims": 2}),
    "mslau_net 2D, official form": ("mslau_net", 2, _MSLAU | _OFFICIAL_MSLAU | {"spatial_dims": 2}),
    "mslau_net 3D": ("mslau_net", 3, _MSLAU),
    **{
        f"medical_transformer {dims}D, {variant}": (
            "medical_transformer",
            dims,
            _MEDT | {"spatial_dims": dims, "variant": variant, "image_size": 64 if dims == 2 else 24},
        )
        for dims in (2, 3)
        for variant in _VARIANTS
    },
    "emf_former 2D": ("emf_former", 2, _EMF | {"spatial_dims": 2}),
    "emf_former 3D": ("emf_former", 3, _EMF),
}
"""Name -> the network, its spatial axes and small widths for a quick run; images are 64 x 64 or 24 x 24 x 24."""


def main() -> int:
    """Print a table; the smaller Dice of the two structures counts."""
    wanted = {name: case for name, case in CASES.items() if not sys.argv[1:] or sys.argv[1] in name}
    print("| network | parameters | Dice | seconds |\n| --- | ---: | ---: | ---: |")
    weak = []
    for name, (network, dims, arguments) in wanted.items():
        if network == "dlka_net_2d" and find_spec("timm") is None:
            print(f"| {name} | - | needs timm | - |")
            continue
        sizes = (64, 64) if dims == 2 else (24, 24, 24)
        rate = next((rate for part, rate in HIGHER_RATES.items() if part in name), PEAK_RATE)
        parameters, dice, seconds = overfit(network, sizes, arguments, rate)
        print(f"| {name} | {parameters} | {dice:.3f} | {seconds:.1f} |", flush=True)
        if dice <= ENOUGH:
            weak.append(name)
    print(f"not above {ENOUGH}: {', '.join(weak)}" if weak else f"all above {ENOUGH}")
    return 1 if weak else 0


def overfit(name: str, sizes: tuple[int, ...], arguments: Mapping[str, Any], rate: float) -> tuple[int, float, float]:
    """Train on one image; the number of parameters, the smaller Dice of the two labels, and seconds of training."""
    torch.manual_seed(0)
    network = build_network(name, label_count=3, **arguments).train()
    image, labels = phantom(sizes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    # a slow start: the few channels in front of a head are behind a ReLU, and large first steps silence all of them
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=STEPS)
    start = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = network(image)
        (F.cross_entropy(logits, labels) + 1 - soft_dice(logits.softmax(1), labels).mean()).backward()
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        found = F.one_hot(network.eval()(image).argmax(1), 3).movedim(-1, 1).float()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, float(soft_dice(found, labels)[1:].min()), seconds


def phantom(sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A ball and a box in noise, equally bright, so that shape and place tell them apart and no threshold does.

    Shape:
        image ``(1, 1, [I,] J, K)``, labels ``(1, [I,] J, K)`` of 0, 1 and 2
    """
    grid = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, size) for size in sizes), indexing="ij"))
    ball = (grid + 0.4).square().sum(0) < 0.45**2
    box = ((grid - 0.4).abs() < 0.3).all(0)
    labels = (ball.long() + 2 * box.long() * ~ball)[None]
    generator = torch.Generator().manual_seed(0)
    return (labels > 0)[None].float() + 0.5 * torch.randn(1, 1, *sizes, generator=generator), labels


def soft_dice(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Dice of each label: ``(1, L, ...)`` and ``(1, ...)`` -> ``(L,)``."""
    truth = F.one_hot(labels, probabilities.shape[1]).movedim(-1, 1).float()
    axes = tuple(range(2, probabilities.ndim))
    dice: Tensor = 2 * (probabilities * truth).sum(axes) / (probabilities + truth).sum(axes)
    return dice[0]


if __name__ == "__main__":
    sys.exit(main())
