"""A bundle appears whole or not at all."""

from dataclasses import replace

import pytest
import torch

from medseg.bundles.card import model_card
from medseg.bundles.update import update_bundle
from medseg.bundles.weights import load_network
from medseg.bundles.write import write_bundle
from medseg.networks import build_network
from medseg.spec.errors import OutputExists, WeightsError
from small_manifest import dataset_scores


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_has_monai_layout_and_reads_back(bundle, manifest):
    assert set(files(bundle.folder)) == {
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.safetensors",
    }
    assert bundle.manifest == manifest
    assert (bundle.folder / "LICENSE").read_text() == "Apache License 2.0\n"
    assert [entry.name for entry in bundle.folder.parent.iterdir()] == ["tiny-model"]


def test_an_existing_bundle_is_kept(bundle, manifest, network):
    before = files(bundle.folder)
    with pytest.raises(OutputExists, match="tiny-model exists and is kept"):
        write_bundle(bundle.folder, replace(manifest, version="9"), network, licence_text="other")
    assert files(bundle.folder) == before


def test_overwriting_replaces_everything(bundle, manifest, network):
    (bundle.folder / "old.txt").write_text("old")
    (bundle.folder / "docs" / "README.md").write_text("old")
    manifest = replace(manifest, version="9")
    replaced = write_bundle(bundle.folder, manifest, network, licence_text="new", overwrite=True)
    assert replaced.manifest.version == "9"
    assert (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8") == model_card(manifest)
    assert not (bundle.folder / "old.txt").exists()
    assert len(list(bundle.folder.parent.iterdir())) == 1


def test_weights_of_another_network_leave_nothing_new_and_the_old_bundle_whole(bundle, manifest):
    other = build_network("ultralight_unet", widths=[4, 4, 4, 4, 4])
    before = files(bundle.folder)
    for folder in (bundle.folder, bundle.folder.with_name("second")):
        with pytest.raises(WeightsError, match="does not fit its network"):
            write_bundle(folder, manifest, other, licence_text="x", overwrite=True)
    assert files(bundle.folder) == before
    assert [entry.name for entry in bundle.folder.parent.iterdir()] == ["tiny-model"]


def test_half_precision_bundles_load(tmp_path, manifest, network):
    small = write_bundle(tmp_path / "m", manifest, network, licence_text="x", stored_as="float16")
    for name, tensor in load_network(small).state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-3, atol=1e-6)


def test_new_scores_reach_metadata_and_card_and_leave_the_weights(bundle, manifest):
    weights = bundle.weights_path.read_bytes()
    updated = update_bundle(bundle, replace(manifest, scores=(dataset_scores(dice=0.95678),)))
    assert updated.manifest.scores == (dataset_scores(dice=0.95678),)
    assert "| front | 0.9568 |" in (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert bundle.weights_path.read_bytes() == weights


def test_the_card_says_what_a_reader_needs(manifest):
    card = model_card(manifest)
    for words in (
        "# Tiny model",
        "Research only.",
        "| 2 | back | #0000ff | Hippocampus (SCT 5366008), Left (SCT 7771000) |",
        "Orientation of i, j, k: RAS; spacing: 1 x 1 x 1 mm",
        "mirrored axes: i",
        "| front | 0.9123 |",
        "| seconds a case, median (one core (cpu)) | 2 |",
        "- A paper, doi 10/abc",
        "Apache-2.0",
        "--model tiny-model",
    ):
        assert words in card


def test_a_card_without_scores_says_so(manifest):
    assert "## Scores\n\nNot measured." in model_card(replace(manifest, scores=()))
