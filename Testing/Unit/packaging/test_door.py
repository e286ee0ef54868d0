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


def test_what_slicers_own_process_imports_never_brings_torch(checkout):
    """Without Qt and MRML; those that need them are seen to by the import contracts."""
    names = ["request", "dialogue", "job_process", "dependencies", "texts"]
    code = "".join(f"import medseg.desktop.{name}\n" for name in names)
    code += "import medseg.bundles.catalogue, sys\nassert not {'torch', 'monai', 'PIL'} & set(sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout / "MedSegAttention", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
