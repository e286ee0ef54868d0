"""Networks that normalise each image by itself give their own answers on every engine."""

import pytest
import torch

from medseg.kernels.engines.agreement import agrees
from medseg.kernels.engines.openvino_engine import openvino_engine, openvino_is_installed
from medseg.kernels.engines.torch_engine import torch_engine
from small_networks import CASES, build

needs_openvino = pytest.mark.skipif(not openvino_is_installed(), reason="needs the extra openvino")

NETWORKS = ("dlka-2d-baseline", "emf-3d", "medt-2d", "mslau-2d", "ultralight-2d", "ultralight-3d")


@pytest.mark.parametrize("case", NETWORKS)
@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=needs_openvino)])
def test_every_engine_answers_as_the_network(case, engine):
    fewer = {"patch_grid": 2} if case == "medt-2d" else {}  # each of 4 x 4 patches would be compiled by itself
    network = build(case, norm="instance", **fewer)
    shape = (2, 32, 32, 32) if case == "ultralight-3d" else (2, *CASES[case][2])  # its deepest map is one voxel
    ready = (
        torch_engine(network, shape, device=torch.device("cpu"))
        if engine == "torch"
        else openvino_engine(network, shape)
    )
    assert ready.remarks == ()
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert agrees(ready(x), network(x))
