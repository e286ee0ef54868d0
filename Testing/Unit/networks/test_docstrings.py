"""Every block and network says what shapes it takes, and its example runs; the papers' blocks show it in 2D and 3D."""

import doctest
import importlib
import inspect
import pkgutil
from importlib.util import find_spec

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


def test_every_module_says_what_shapes_it_takes_and_gives():
    shapes = {
        block.__name__: inspect.getdoc(block).partition("\nShape:\n")[2].partition("\n\n")[0] for block in CLASSES
    }
    assert len(shapes) > 30
    assert [name for name, written in shapes.items() if "``(B, " not in written or "-> " not in written] == []


def test_the_examples_in_the_docstrings_run():
    """Doctest prints what was expected and what came instead."""
    there = [module for module in MODULES if module.__name__ not in FROM_TIMM or find_spec("timm")]
    results = {module.__name__: doctest.testmod(module) for module in there}
    assert sum(result.attempted for result in results.values()) > 50
    assert {name: result for name, result in results.items() if result.failed} == {}


def test_a_papers_block_is_shown_alone_in_2d_and_in_3d():
    for block in OF_THE_PAPERS:
        (shown,) = doctest.DocTestFinder(recurse=False).find(block, block.__name__)
        results = [example.want for example in shown.examples if example.want.startswith("torch.Size([")]
        commas = {result.count(",") for result in results}
        assert commas == {3, 4}, f"{block.__name__}: (B, C, J, K) and (B, C, I, J, K) are wanted"
        sources = [example.source for example in shown.examples if example.want]
        assert all(f"{block.__name__}(" in source for source in sources), (block.__name__, sources)


def test_every_network_is_shown_at_work():
    finder = doctest.DocTestFinder(recurse=False)
    shown = {name: finder.find(network, network.__name__) for name, network in NETWORKS.items()}
    assert [name for name, (each,) in shown.items() if not any(example.want for example in each.examples)] == []
