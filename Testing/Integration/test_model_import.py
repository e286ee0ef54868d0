"""Models from elsewhere: imported by one command, listed, shown, and run on a volume like any other."""

import numpy as np
import pytest
import torch

from medseg.bundles.build import build_any
from medseg.bundles.catalogue import find_bundle
from medseg.bundles.official import dlka_net, ultralight_unet
from medseg.cli.main import run
from medseg.io.read import read_image
from Unit.bundles.monai_sample import write_sample


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty folder of models that the catalogue searches."""
    folder = tmp_path / "imported"
    folder.mkdir()
    monkeypatch.setenv("MEDSEG_MODELS", str(folder))
    return folder


def segment(model, scan_file, tmp_path, values):
    output = tmp_path / f"{model}.nii.gz"
    assert run(["segment", str(scan_file), "--model", model, "--output", str(output), "--device", "cpu"]) == 0
    labels = read_image(output).image.array
    assert labels.shape == read_image(scan_file).image.array.shape
    assert set(np.unique(labels)) <= values


def test_a_monai_bundle_is_imported_and_segments(models, tmp_path, scan_file, capsys):
    write_sample(tmp_path / "theirs")
    assert run(["models", "import-bundle", str(tmp_path / "theirs"), "-o", str(models / "two-organs")]) == 0
    assert "every weight checked, one window of (16, 16, 16) voxels run" in capsys.readouterr().out
    assert run(["models", "show", "two-organs"]) == 0
    assert "monai:SegResNet" in capsys.readouterr().out
    segment("two-organs", scan_file, tmp_path, {0, 1, 2})


def test_an_official_3d_checkpoint_is_imported_and_segments(models, tmp_path, scan_file, capsys):
    shape = {"input_shape": (16, 16, 16), "stem": (2, 2, 2), "dims": (4, 8, 16, 32), "depths": (1, 1, 1, 1)}
    network = build_any("dlka_net", label_count=3, feature_size=4, **shape)
    torch.save({"state_dict": dlka_net.to_official(network.state_dict())}, tmp_path / "d_lka.model")
    flags = ["--network", "dlka_net", "--labels", "spleen,liver", "--intensity", "zscore", "--spacing", "2,2,2"]
    assert run(["models", "import", str(tmp_path / "d_lka.model"), "-o", str(models / "d-lka"), *flags]) == 0
    shown = capsys.readouterr()
    assert "d-lka is ready: dlka_net" in shown.out
    assert "assumed: no orientation is stated; RAS is assumed" in shown.err
    segment("d-lka", scan_file, tmp_path, {0, 1, 2})


def test_an_official_2d_checkpoint_is_imported_and_segments(models, tmp_path, scan_file):
    network = build_any("ultralight_unet", spatial_dims=2, in_channels=3, widths="T", deep_supervision=True)
    torch.save(ultralight_unet.to_official(network.state_dict()), tmp_path / "mk.pth")
    flags = ["--network", "ultralight_unet", "--labels", "spleen", "--intensity", "zscore", "--window", "32,32,1"]
    assert run(["models", "import", str(tmp_path / "mk.pth"), "-o", str(models / "mk"), *flags]) == 0
    assert find_bundle("mk").manifest.slices is not None
    segment("mk", scan_file, tmp_path, {0, 1})


def test_a_checkpoint_that_would_run_code_is_one_line_and_exit_code_2(models, tmp_path, capsys):
    class Attack:
        def __reduce__(self):
            return open, (str(tmp_path / "PWNED"), "w")

    torch.save({"state_dict": Attack()}, tmp_path / "bad.pth")
    flags = ["--network", "dlka_net", "--labels", "a", "--intensity", "none"]
    assert run(["models", "import", str(tmp_path / "bad.pth"), "-o", str(models / "bad"), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "could run code" in line
    assert not (tmp_path / "PWNED").exists()
    assert list(models.iterdir()) == []
