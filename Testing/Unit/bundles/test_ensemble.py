"""An ensemble answers with the mean of its members, from one file, also where MONAI reads it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from Integration.tiny import write_tiny_bundle
from medseg.bundles.build import Ensemble, member_count
from medseg.bundles.catalogue import Bundle
from medseg.bundles.ensemble import combine
from medseg.bundles.weights import load_network, load_weights
from medseg.bundles.write import write_bundle
from medseg.cli.main import run
from medseg.networks import build_network
from medseg.spec.errors import ManifestError, OutputExists
from planned import predict


@pytest.fixture
def folds(tmp_path):
    """Three models of one kind with different weights."""
    first = write_tiny_bundle(tmp_path).manifest
    bundles = []
    for seed in range(3):
        torch.manual_seed(seed)
        network = build_network(first.network, **first.arguments)
        manifest = replace(first, model_id=f"fold{seed}", training_data=f"all but fold {seed}")
        bundles.append(write_bundle(tmp_path / f"fold{seed}", manifest, network.eval(), licence_text="CC0\n"))
    return bundles


def test_the_logits_of_a_volume_are_the_mean_of_the_members(folds, tmp_path):
    bundle = combine(folds, tmp_path / "all", "all")
    rng = np.random.default_rng(0)
    volume = torch.from_numpy(rng.normal(size=(1, 1, 16, 20, 24)).astype(np.float32))
    members = torch.stack([load_network(fold)(volume) for fold in folds])
    torch.testing.assert_close(load_network(bundle)(volume), members.mean(dim=0))


def test_stitched_windows_keep_the_mean(folds, tmp_path):
    bundle = combine(folds, tmp_path / "all", "all")
    volume = np.random.default_rng(0).normal(size=(1, 24, 20, 16)).astype(np.float32)
    shares = [
        predict(volume, load_network(each), each.manifest, device=torch.device("cpu")) for each in (*folds, bundle)
    ]
    logits = np.mean([np.log(share) for share in shares[:3]], axis=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(shares[3], expected, atol=1e-5)


def test_the_file_names_its_members_and_opens_without_being_told(folds, tmp_path):
    bundle = combine(folds, tmp_path / "all", "all", stored_as="float16")
    assert member_count(load_file(bundle.weights_path)) == 3
    network = build_network(bundle.manifest.network, **bundle.manifest.arguments)
    assert isinstance(load_weights(network, bundle.weights_path), Ensemble)
    assert "average" in (bundle.folder / "docs" / "README.md").read_text()
    assert bundle.manifest.training_data == "all but fold 0; all but fold 1; all but fold 2"


def test_an_ensemble_of_ensembles_counts_everyone_once(folds, tmp_path):
    pair = combine(folds[:2], tmp_path / "pair", "pair")
    assert len(load_network(combine([pair, folds[2]], tmp_path / "all", "all")).members) == 3


def test_models_of_another_kind_are_refused_by_what_differs(folds, tmp_path):
    other = Bundle(folds[1].folder, replace(folds[1].manifest, spacing_mm=(1.0, 1.0, 3.0)))
    with pytest.raises(ManifestError, match=r"differs from .* in spacing_mm"):
        combine([folds[0], other], tmp_path / "all", "all")
    with pytest.raises(ManifestError, match="two models or more, got 1"):
        combine(folds[:1], tmp_path / "all", "all")
    combine(folds, tmp_path / "all", "all")
    with pytest.raises(OutputExists):
        combine(folds, tmp_path / "all", "all")


def test_the_command_makes_one_of_folders(folds, tmp_path, capsys):
    names = [str(fold.folder) for fold in folds]
    assert run(["ensemble", *names, "-o", str(tmp_path / "All Folds"), "--half"]) == 0
    assert "holds 3 models" in capsys.readouterr().out
