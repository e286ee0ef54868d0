"""Slicer's editor of terminology finds each segment's code in the list that is written with it.

The lists come with the module Terminologies of the desktop application, in no package of MRML alone: name their folder
in MEDSEG_TERMINOLOGIES (in Slicer's source Modules/Loadable/Terminologies/Resources). In the application itself the
same is asked by ``in_app/panel_in_slicer.py``.
"""

import os
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from medseg.bundles.anatomy import terms
from medseg.bundles.catalogue import catalogue
from medseg.io.segnrrd import GENERAL_CONTEXT, MASTER_CONTEXT, terminology_entry, types_context
from medseg.spec.labels import Code, LabelSpec

FOLDER = Path(os.environ.get("MEDSEG_TERMINOLOGIES", "none"))


def shipped_labels():
    return [label for bundle in catalogue().values() for label in bundle.manifest.labels]


def label(category, code):
    return LabelSpec(
        value=1, name="x", color=(1, 2, 3), category=Code("SCT", category, "c"), type=Code("SCT", code, "t")
    )


def test_the_hippocampus_is_in_the_master_list_and_the_thalamus_in_the_general_one():
    assert types_context(label("123037004", "5366008")) == MASTER_CONTEXT
    assert types_context(label("123037004", "119406000")) == GENERAL_CONTEXT
    assert terminology_entry(label("123037004", "5366008")).split("~")[0] == MASTER_CONTEXT


@pytest.fixture
def logic(scene):
    import slicer

    files = sorted(FOLDER.glob("SegmentationCategoryTypeModifier-*.json"))
    if not files:
        pytest.skip("needs Slicer's lists of codes: name their folder in MEDSEG_TERMINOLOGIES")
    made = slicer.vtkSlicerTerminologiesModuleLogic()
    made.SetMRMLScene(scene)
    loaded = {made.LoadTerminologyFromFile(str(path)) for path in files}
    assert {GENERAL_CONTEXT, MASTER_CONTEXT} <= loaded
    yield made
    made.SetMRMLScene(None)


def lists_with(logic, spec):
    return logic.FindTerminologyNames(
        spec.category.scheme, spec.category.value, spec.type.scheme, spec.type.value, "", "", []
    )


def test_the_list_that_is_written_holds_the_code_wherever_one_does(logic):
    specs = [
        *shipped_labels(),
        *(
            LabelSpec(value=1, name=term.name, color=(1, 2, 3), category=term.category, type=term.type)
            for term in terms()
        ),
    ]
    missed = {spec.name for spec in specs if (held := lists_with(logic, spec)) and types_context(spec) not in held}
    assert missed == set()
    named = {spec.name for spec in shipped_labels() if lists_with(logic, spec)}
    assert {"anterior hippocampus", "left thalamus", "third ventricle", "left lung"} <= named
