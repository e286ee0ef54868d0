"""Slicer's editor of terminology finds each segment's code in the list that is written with it.

The lists come with the module Terminologies of the desktop application, in no package of MRML alone: name their folder
in MEDSEG_TERMINOLOGIES (in Slicer's source Modules/Loadable/Terminologies/Resources). In the application itself the
same is asked by ``in_app/panel_in_slicer.py``.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import update_terminology
from medseg.bundles.anatomy import terms
from medseg.bundles.catalogue import catalogue
from medseg.io.segnrrd import terminology_entry
from medseg.io.terminology import GENERAL_CONTEXT, MASTER_CONTEXT, OWN_CONTEXT, OWN_LIST, types_context
from medseg.spec.labels import Code, LabelSpec

FOLDER = Path(os.environ.get("MEDSEG_TERMINOLOGIES", "none"))


def shipped_labels():
    return [label for bundle in catalogue().values() for label in bundle.manifest.labels]


def every_spec():
    told = (
        LabelSpec(value=1, name=term.name, color=(1, 2, 3), category=term.category, type=term.type) for term in terms()
    )
    return [*shipped_labels(), *told]


def label(category, code):
    return LabelSpec(
        value=1, name="x", color=(1, 2, 3), category=Code("SCT", category, "c"), type=Code("SCT", code, "t")
    )


def test_the_hippocampus_is_in_the_master_list_and_the_thalamus_in_the_general_one():
    assert types_context(label("123037004", "5366008")) == MASTER_CONTEXT
    assert types_context(label("123037004", "119406000")) == GENERAL_CONTEXT
    assert terminology_entry(label("123037004", "5366008")).split("~")[0] == MASTER_CONTEXT


def test_a_code_that_no_list_of_slicers_has_is_in_ours():
    assert types_context(label("123037004", "14806007")) == OWN_CONTEXT  # the atlas
    anterior = replace(label("123037004", "5366008"), type_modifier=Code("SCT", "255549009", "Anterior"))
    assert types_context(anterior) == OWN_CONTEXT
    assert terminology_entry(anterior).split("~")[0] == OWN_CONTEXT


def test_our_list_is_what_the_models_and_the_table_say_now():
    keys = set(update_terminology.keys_of(json.loads(OWN_LIST.read_text(encoding="utf-8"))))
    is_new = OWN_LIST.read_text(encoding="utf-8") == update_terminology.text(keys)
    assert is_new, "run: python Testing/update_terminology.py"
    assert len(keys) > 40


def test_our_list_holds_all_codes_that_slicers_lists_lack():
    if not FOLDER.is_dir():
        pytest.skip("needs Slicer's lists of codes: name their folder in MEDSEG_TERMINOLOGIES")
    assert OWN_LIST.read_text(encoding="utf-8") == update_terminology.text(update_terminology.missing(FOLDER))


def test_slicer_loads_our_list_when_it_starts_and_finds_each_code_in_it(slicer_app, door):
    import slicer

    logic = slicer.modules.terminologies.logic()
    door.MedSegAttention(SimpleNamespace())
    assert not logic.IsTerminologyContextLoaded(OWN_CONTEXT)
    slicer_app.start()
    assert logic.IsTerminologyContextLoaded(OWN_CONTEXT)
    specs = [spec for spec in every_spec() if types_context(spec) == OWN_CONTEXT]
    assert len(specs) > 40
    assert {spec.name for spec in specs if OWN_CONTEXT not in lists_with(logic, spec)} == set()


@pytest.fixture
def logic(scene):
    import slicer

    files = sorted(FOLDER.glob("SegmentationCategoryTypeModifier-*.json"))
    if not files:
        pytest.skip("needs Slicer's lists of codes: name their folder in MEDSEG_TERMINOLOGIES")
    made = slicer.vtkSlicerTerminologiesModuleLogic()
    made.SetMRMLScene(scene)
    made.LoadTerminologyFromFile(str(OWN_LIST))
    loaded = {made.LoadTerminologyFromFile(str(path)) for path in files}
    assert {GENERAL_CONTEXT, MASTER_CONTEXT} <= loaded
    yield made
    made.SetMRMLScene(None)


def lists_with(logic, spec):
    """The loaded lists that hold category, type and modifier of a segment."""
    modifier = spec.type_modifier
    own = (spec.category.scheme, spec.category.value, spec.type.scheme, spec.type.value)
    return logic.FindTerminologyNames(*own, *(("", "") if modifier is None else (modifier.scheme, modifier.value)), [])


def test_the_list_that_is_written_holds_the_code_of_every_model_and_term(logic):
    specs = every_spec()
    missed = {spec.name for spec in specs if types_context(spec) not in lists_with(logic, spec)}
    assert missed == set()
    named = {spec.name for spec in shipped_labels() if lists_with(logic, spec)}
    assert {"anterior hippocampus", "left thalamus", "third ventricle", "left lung"} <= named
