"""Slicer imports every module when it starts, before torch is there: the door must be light."""

import json
import subprocess
import sys

import pytest

STUBS = """
import json, sys, types
from pathlib import Path

module, = sys.argv[1:]
slicer = types.ModuleType("slicer")
slicer.__path__ = []
i18n = types.ModuleType("slicer.i18n")
i18n.tr = i18n.translate = lambda *texts: texts[-1]
base = types.ModuleType("slicer.ScriptedLoadableModule")
class Base:
    def __init__(self, parent=None):
        self.parent = parent
for name in ("", "Widget", "Logic", "Test"):
    setattr(base, "ScriptedLoadableModule" + name, type("ScriptedLoadableModule" + name, (Base,), {}))
sys.modules |= {"slicer": slicer, "slicer.i18n": i18n, "slicer.ScriptedLoadableModule": base}
sys.path.insert(0, module)
before = set(sys.modules)
import MedSegAttention as door
parent = types.SimpleNamespace()
door.MedSegAttention(parent)
door.MedSegAttentionWidget(parent)
door.MedSegAttentionLogic()
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"parent": vars(parent), "imported": sorted(new - set(sys.stdlib_module_names))}))
"""


@pytest.fixture(scope="module")
def opened(checkout):
    """What the door says and imports in an interpreter that has the standard library and a stub of Slicer only."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STUBS, str(checkout / "MedSegAttention")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_opening_the_door_imports_nothing_else(opened):
    assert opened["imported"] == ["MedSegAttention"]


def test_the_module_says_what_it_is(opened):
    parent = opened["parent"]
    assert parent["title"] == "MedSegAttention"
    assert parent["categories"] == ["Segmentation"]
    assert parent["contributors"]
    assert "not for diagnosis" in parent["helpText"]


@pytest.mark.parametrize(
    "paper", ["Deformable Large Kernel Attention", "UltraLightUNet", "MSLAU-Net", "Medical Transformer", "EMF-former"]
)
def test_the_five_papers_are_thanked(opened, paper):
    assert paper in opened["parent"]["acknowledgementText"]


# All that Slicer's own process may import, with stand-ins for what only Slicer has; torch and the like are absent.
EVERY_FILE = """
import sys
before = {name.partition(".")[0] for name in sys.modules}
import importlib
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ABSENT = {"torch", "monai", "lightning_fabric", "scipy", "PIL", "psutil", "rich", "typer", "nibabel"}
SLICERS = {"qt", "ctk", "slicer", "vtk"}

class Anything(ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda *_, **__: None, "__call__": lambda _self, decorated: decorated})

class Finder(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in ABSENT:
            raise ModuleNotFoundError(f"{name} is imported", name=name)
        return ModuleSpec(name, self, is_package=True) if root in SLICERS else None
    def create_module(self, spec):
        return Anything(spec.name)
    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Finder())
home = Path.cwd()
sys.path.insert(0, str(home))
import medseg
for part in ("spec", "imaging", "io", "mrml", "desktop"):
    for path in sorted((home / "medseg" / part).rglob("*.py")):
        importlib.import_module(".".join(path.relative_to(home).with_suffix("").parts))
import medseg.bundles.catalogue
allowed = set(sys.stdlib_module_names) | SLICERS | {"medseg", "numpy", "SimpleITK"}
print(*sorted({name.partition(".")[0] for name, module in sys.modules.items()
               if getattr(module, "__spec__", None) is not None} - allowed - before))
"""


def test_no_file_of_slicers_own_process_imports_more_than_slicer_has(checkout):
    """Torch and the others are not there when Slicer starts, and have no business in its process later."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_FILE],
        cwd=checkout / "MedSegAttention",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
