"""The text for a bug report."""

from pathlib import Path

import pytest

from Integration.tiny import write_tiny_bundle
from medseg.jobs import doctor


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """A folder whose model is the first of all: it is what is tried, in a moment."""
    folder = tmp_path / "models"
    write_tiny_bundle(folder, model_id="a-tiny-one")
    monkeypatch.setenv("MEDSEG_MODELS", str(folder))
    return folder


def test_the_self_test_segments_a_sphere():
    assert doctor.self_test("cpu") > 0


def test_the_report_names_versions_memory_and_models_but_no_home_folder(monkeypatch, models, tmp_path):
    broken = models / "broken" / "configs"
    broken.mkdir(parents=True)
    (broken / "metadata.json").write_text("{}")
    monkeypatch.setenv("MEDSEG_ENGINE_CACHE", str(tmp_path / "engines"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    text = doctor.examine()
    for word in (
        "engine           PyTorch",
        "engine           OpenVINO",
        "Triton kernels",
        "engine cache     ~/engines, 0 compiled networks",
        "python",
        "torch",
        "SimpleITK",
        "memory",
        "broken model",
        "self-test        passed",
        "model trial      a-tiny-one ran on noise",
    ):
        assert word in text
    assert str(tmp_path) not in text


def test_a_failing_self_test_is_reported_and_not_raised(monkeypatch):
    def fails():
        msg = "no sphere"
        raise RuntimeError(msg)

    monkeypatch.setattr(doctor, "self_test", fails)
    assert "FAILED: no sphere" in doctor.examine()


def test_a_wrong_result_fails_the_self_test(monkeypatch):
    broken = doctor._threshold()
    broken.bias[1] = 50.0
    monkeypatch.setattr(doctor, "_threshold", lambda: broken)
    with pytest.raises(RuntimeError, match="self-test found"):
        doctor.self_test("cpu")
