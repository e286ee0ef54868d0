"""Every block and network says what shapes it takes, and its example runs; the papers' blocks show it in 2D and 3D."""

import doctest
import importlib
import inspect
import pkgutil
from importlib.util import find_spec

import pytest
from torch import nn

from medseg import networks
from medseg.networks import NETWORKS, blocks
from medseg.networks.blocks.cmfa import CMFA
from medseg.networks.blocks.deformable_lka import DeformableLKA
from medseg.networks.blocks.dsp_conv import DSPConv
from medseg.networks.blocks.gag import GAG
from medseg.networks.blocks.gated_axial_attention import GatedAxialAttention
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.mkira import MKIRA
from medseg.networks.blocks.msla import MSLA
from medseg.networks.blocks.serial_multi_head_attention import SerialMultiHeadAttention
from medseg.networks.blocks.vector_aggregation_attention import VAA

OF_THE_PAPERS = (
    CMFA, DeformableLKA, DSPConv, GAG, GatedAxialAttention, MKIR, MKIRA, MSLA, SerialMultiHeadAttention, VAA,
)  # fmt: skip
FROM_TIMM = {"medseg.networks.blocks.maxvit", "medseg.networks.dlka_net_2d"}


MODULES = [
    importlib.import_module(found.name)
    for package in (blocks, networks)
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    if not found.ispkg
]
CLASSES = [
    value
    for module in MODULES
    for name, value in vars(module).items()
    if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == module.__name__
]


@pytest.mark.parametrize("block", CLASSES, ids=lambda block: block.__name__)
def test_every_module_says_what_shapes_it_takes_and_gives(block):
    written = inspect.getdoc(block).partition("\nShape:\n")[2].partition("\n\n")[0]
    assert "``(B, " in written
    assert "-> " in written


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.removeprefix("medseg.networks."))
def test_the_examples_in_the_docstrings_run(module):
    if module.__name__ in FROM_TIMM and find_spec("timm") is None:
        pytest.skip("the encoder of 2D D-LKA Net comes from timm")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("block", OF_THE_PAPERS, ids=lambda block: block.__name__)
def test_a_papers_block_is_shown_alone_in_2d_and_in_3d(block):
    (shown,) = doctest.DocTestFinder(recurse=False).find(block, block.__name__)
    results = [example.want for example in shown.examples if example.want.startswith("torch.Size([")]
    assert {result.count(",") for result in results} == {3, 4}  # (B, C, J, K) and (B, C, I, J, K)
    assert all(f"{block.__name__}(" in example.source for example in shown.examples if example.want)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_every_network_is_shown_at_work(network):
    (shown,) = doctest.DocTestFinder(recurse=False).find(network, network.__name__)
    assert any(example.want for example in shown.examples)
