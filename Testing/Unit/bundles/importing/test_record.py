"""What an import keeps of itself: what was verified, and what no file said."""

import hashlib
from dataclasses import replace

import pytest
import torch

from medseg.bundles.build import build_any
from medseg.bundles.card import model_card
from medseg.bundles.catalogue import metadata_path
from medseg.bundles.importing.import_any import import_any
from medseg.bundles.label_specs import label_specs
from medseg.bundles.metadata import read_manifest
from medseg.spec.errors import Cancelled, ManifestError
from medseg.spec.import_job import Choices
from medseg.spec.imported import ImportRecord
from medseg.spec.manifest import IntensityRule
from Unit.bundles.monai_sample import write_sample

SHAPE = {"spatial_dims": 3, "in_channels": 1, "label_count": 2, "widths": "T"}


@pytest.fixture
def weights(tmp_path):
    network = build_any("ultralight_unet", **SHAPE)
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth", len(network.state_dict())


def import_weights(path, output, **more):
    choices = Choices(
        model_id="m",
        labels=label_specs(["spleen"]),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(32, 32, 32),
    )
    return import_any(path, output, choices, network="ultralight_unet", arguments=SHAPE, **more)


def test_the_record_of_a_file_counts_its_tensors_names_its_digest_and_comes_back_from_disk(weights, tmp_path):
    path, count = weights
    made = import_weights(path, tmp_path / "models" / "m")
    record = read_manifest(metadata_path(tmp_path / "models" / "m")).imported
    assert record == made.bundle.manifest.imported
    assert (record.kind, record.source, record.tensors, record.networks) == ("weights", "mine.pth", count, 1)
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.assumed == made.notes
    card = (tmp_path / "models" / "m" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "## Verified on import" in card
    assert f"Each of its {count} weight tensors has the name and shape" in card
    assert "Not verified: how well it segments" in card
    assert all(f"Assumed, since no file said it: {note}" in card for note in made.notes)


def test_a_folder_has_no_digest_and_a_model_of_our_own_says_nothing_of_an_import(tmp_path):
    write_sample(tmp_path / "theirs")
    made = import_any(tmp_path / "theirs", tmp_path / "m", Choices(model_id="m")).bundle.manifest
    assert (made.imported.kind, made.imported.source, made.imported.sha256) == ("monai", "theirs", "")
    assert "Verified on import" not in model_card(replace(made, imported=None))


def test_the_steps_are_told_in_their_order_and_stopping_at_any_of_them_leaves_nothing(weights, tmp_path):
    stages = []
    import_weights(weights[0], tmp_path / "whole" / "m", watch=stages.append)
    assert stages == ["open", "try", "write"]
    for last in stages:

        def stop(stage, last=last):
            if stage == last:
                raise Cancelled

        with pytest.raises(Cancelled):
            import_weights(weights[0], tmp_path / "stopped" / "m", watch=stop)
        assert not (tmp_path / "stopped").exists()


def test_weights_without_a_network_are_refused(weights, tmp_path):
    with pytest.raises(ManifestError, match="is taken for weights, which name neither their network nor their labels"):
        import_any(weights[0], tmp_path / "m", Choices(model_id="m"))


@pytest.mark.parametrize("wrong", [{"source": " "}, {"tensors": 0}, {"networks": 0}], ids=str)
def test_a_record_of_nothing_is_refused(wrong):
    record = ImportRecord(kind="monai", source="x", tensors=1)
    with pytest.raises(ManifestError, match=next(iter(wrong))):
        replace(record, **wrong)
