"""The numbers of a training run, and the networks with and without side heads."""

import itertools

import pytest
import torch

from medseg.networks import NETWORKS
from medseg.spec.errors import ManifestError
from medseg.training.planning.plan import Recipe, schedule
from medseg.training.planning.side_heads import build_for_training, has_side_heads, without_side_heads
from Unit.training.phantoms import a_manifest


def test_the_learning_rate_starts_low_peaks_after_the_warm_up_and_ends_at_zero():
    for kind in ("cosine", "poly"):
        assert schedule(0.0, 0.1, kind) == pytest.approx(0.1 / 1.1)
        assert schedule(0.1, 0.1, kind) == pytest.approx(1.0)
        assert schedule(1.0, 0.1, kind) == pytest.approx(0.0, abs=1e-12)
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(0.55, 0.1, "poly") == pytest.approx(0.5**0.9)


def test_the_learning_rate_never_jumps():
    values = [schedule(n / 1000, 0.03) for n in range(1001)]
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.04


def test_numbers_no_run_can_have_are_refused_by_name():
    with pytest.raises(ManifestError, match=r"foreground: expected a part 0\.\.1 of the patches, got 1\.5"):
        Recipe(foreground=1.5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_can_be_trained_with_side_heads(name):
    assert has_side_heads(name)


def test_the_stored_network_answers_as_the_trained_one():
    model = a_manifest()
    trained = build_for_training(model, deep_supervision=True)
    x = torch.randn(1, 1, 16, 16, 16)
    assert len(trained.train()(x)) == 4
    plain = without_side_heads(trained, model)
    torch.testing.assert_close(plain(x), trained.eval()(x))


def test_side_heads_of_monais_networks_are_left_out_as_well():
    arguments = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "deep_supr_num": 1, "filters": [4, 8, 8]}
    strides = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
    model = a_manifest(network="monai:DynUNet", arguments=arguments | strides)
    trained = build_for_training(model, deep_supervision=True)
    x = torch.randn(1, 1, 16, 16, 16)
    assert len(trained.train()(x)) == 2
    torch.testing.assert_close(without_side_heads(trained, model)(x), trained.eval()(x))
