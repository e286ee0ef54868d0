"""The closed box has room for a short title and a network."""

import doctest
from dataclasses import replace
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel import model_titles
from medseg.desktop.panel.model_titles import closed_titles, short_title
from medseg.spec.labels import Code, LabelSpec
from small_manifest import small_manifest


def bundle(title):
    code = Code("SCT", "85756007", "Tissue")
    label = LabelSpec(value=1, name="x", color=(1, 2, 3), category=code, type=code)
    return Bundle(Path(), small_manifest(title=title, labels=(label,)))


def test_the_example_is_so():
    assert doctest.testmod(model_titles) == doctest.TestResults(failed=0, attempted=1)


def test_a_title_without_commas_or_network_stays():
    for title in ("Helper test", "(odd)", "Lung fields in X-rays (UltraLightUNet 2D)"):
        assert short_title(title) == title


def test_models_that_would_be_called_the_same_keep_their_whole_titles():
    titles = {"a": "Liver, CT (Net)", "b": "Liver, MRI (Net)", "c": "Spleen, CT (Net)"}
    found = closed_titles({each: bundle(title) for each, title in titles.items()})
    assert found == {"a": "Liver, CT (Net)", "b": "Liver, MRI (Net)", "c": "Spleen (Net)"}


def test_a_shared_model_is_called_so():
    shared = replace(bundle("Liver, CT (Net)"), origin="shared")
    assert closed_titles({"a": shared}) == {"a": "Liver (Net) (shared)"}
