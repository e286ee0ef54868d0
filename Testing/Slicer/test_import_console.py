"""A model from elsewhere, imported by a call from the console, with the real worker."""

import os
import sys

import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("dynamic_network_architectures", reason="needs nnU-Net's networks")

from medseg.bundles import catalogue as catalogue_module
from medseg.bundles.catalogue import find_bundle
from medseg.spec.errors import JobError, OutputExists


@pytest.fixture
def logic(door, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(catalogue_module, "user_folder", lambda: tmp_path / "nobody")
    (tmp_path / "models").mkdir()
    return door.MedSegAttentionLogic()


def test_a_model_of_nnunet_is_imported_from_the_console_and_can_be_named_at_once(logic, checkout, tmp_path):
    source, heard = checkout / "Testing" / "Data" / "nnunet" / "model", []
    model = logic.importModel(
        source, "My Organs", folds=[0], labels="bone, water", python=sys.executable, onEvent=heard.append
    )
    assert model == "my-organs"
    bundle = find_bundle(model)
    assert [label.name for label in bundle.manifest.labels] == ["bone", "water"]
    assert bundle.manifest.title == "My Organs"
    assert heard
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model]
    with pytest.raises(OutputExists, match="There is a model my-organs already"):
        logic.importModel(source, "my organs", python=sys.executable)
    with pytest.raises(JobError, match="needs a name with Latin letters"):
        logic.importModel(source, " ", python=sys.executable)
    with pytest.raises(JobError, match="holds no configuration 2d"):
        logic.importModel(source, "Flat", configuration="2d", python=sys.executable)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [model]
