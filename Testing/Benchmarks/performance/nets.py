"""Networks of the benchmark: ours, MONAI's, and D-LKA Net in its plain form; weights are random."""

from collections.abc import Callable, Mapping

import torch
from operators import tap_by_tap
from torch import Tensor, nn
from torch.nn import functional

from medseg.networks import build_network
from medseg.networks.blocks import deformable_lka

LABELS = 14
SLAB = (64, 128, 128)  # window of the published D-LKA Net


def _dynunet() -> nn.Module:
    from monai.networks.nets import DynUNet

    strides = [1, 2, 2, 2, 2, 2]
    filters = [32, 64, 128, 256, 320, 320]
    return DynUNet(3, 1, LABELS, [3] * 6, strides, strides[1:], filters=filters, norm_name="instance")  # type: ignore[no-any-return]


def _segresnet() -> nn.Module:
    from monai.networks.nets import SegResNet

    return SegResNet(spatial_dims=3, init_filters=16, in_channels=1, out_channels=LABELS)  # type: ignore[no-any-return]


def _swin() -> nn.Module:
    from monai.networks.nets import SwinUNETR

    return SwinUNETR(in_channels=1, out_channels=LABELS, feature_size=48)  # type: ignore[no-any-return]


BUILD: Mapping[str, Callable[[], nn.Module]] = {
    "base": lambda: build_network("ultralight_unet", label_count=LABELS),
    "M": lambda: build_network("ultralight_unet", label_count=LABELS, widths="M"),
    "DynUNet": _dynunet,
    "SegResNet": _segresnet,
    "SwinUNETR": _swin,
    "D-LKA": lambda: build_network("dlka_net", label_count=LABELS),
}
OURS = ("base", "M", "D-LKA")


def network(name: str) -> nn.Module:
    """The network of a name, the same weights each time."""
    torch.manual_seed(0)
    return alive(BUILD[name]())


def alive(built: nn.Module) -> nn.Module:
    """Weights as training leaves them: norms that move, scales and offsets that are not zero."""
    for name, parameter in built.named_parameters():
        parameter.requires_grad_(requires_grad=False)
        if name.endswith("scale"):
            parameter.fill_(0.3)
        elif "offset.weight" in name:
            parameter.normal_(0, 0.05)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return built.eval()


def balanced(built: nn.Module, window: Tensor) -> nn.Module:
    """Let every label win somewhere: the logits of a window get the same mean and spread, by the head's weights.

    Without it random weights give one label to every voxel, and equal labels would prove nothing.
    """
    with torch.inference_mode():
        logits = built(window)
        spread, mean = torch.std_mean(logits, dim=(0, 2, 3, 4))
    head = built.get_submodule("head")
    with torch.no_grad():
        head.weight.div_(spread.view(-1, 1, 1, 1, 1))
        head.bias.sub_(mean).div_(spread)
    return built


def eager(built: nn.Module, x: Tensor) -> Tensor:
    """PyTorch as it is."""
    with torch.inference_mode():
        result: Tensor = built(x)
        return result


class _Plain(nn.Module):
    """A deformable convolution by one ``grid_sample`` a tap."""

    def __init__(self, pack: nn.Module) -> None:
        super().__init__()
        self.pack = pack

    def forward(self, x: Tensor) -> Tensor:
        return tap_by_tap(x, self.pack.offset(x), self.pack.weight, self.pack.bias)  # type: ignore[operator,arg-type]


def _far(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, dilation: int) -> Tensor:
    return functional.conv3d(x, weight, bias, padding=3 * dilation, dilation=dilation, groups=len(weight))


def plainly(built: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """D-LKA Net with one ``grid_sample`` a tap and PyTorch's own dilated convolution."""

    def run() -> Tensor:
        gates = [module.gate for module in built.modules() if isinstance(module, deformable_lka.DeformableLKA)]
        packs = [gate.deform for gate in gates]
        ours = deformable_lka.dilated_depthwise
        for gate, pack in zip(gates, packs, strict=True):
            gate.deform = _Plain(pack)  # type: ignore[assignment]
        deformable_lka.dilated_depthwise = _far  # type: ignore[assignment]
        try:
            return eager(built, x)
        finally:
            deformable_lka.dilated_depthwise = ours
            for gate, pack in zip(gates, packs, strict=True):
                gate.deform = pack

    return run
