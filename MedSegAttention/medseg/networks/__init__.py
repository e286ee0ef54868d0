"""The networks: numbers in, one ``nn.Module`` out. Torch only."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from medseg.networks.dlka_net import DLKANet
from medseg.networks.dlka_net_2d import DLKANet2d
from medseg.networks.emf_former import EMFFormer
from medseg.networks.medical_transformer import MedicalTransformer
from medseg.networks.mslau_net import MSLAUNet
from medseg.networks.ultralight_unet import UltraLightUNet

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "dlka_net": DLKANet,
    "dlka_net_2d": DLKANet2d,
    "emf_former": EMFFormer,
    "medical_transformer": MedicalTransformer,
    "mslau_net": MSLAUNet,
    "ultralight_unet": UltraLightUNet,
}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build a network by its name in ``NETWORKS``.

    Raises:
        ValueError: if no network has that name, or an argument does not fit it.
    """
    if name not in NETWORKS:
        msg = f"no network is called {name!r}; the known ones are {', '.join(sorted(NETWORKS))}"
        raise ValueError(msg)
    return NETWORKS[name](**arguments)
