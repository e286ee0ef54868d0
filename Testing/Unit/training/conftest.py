"""One data set of phantoms for all tests of training."""

import pytest

from Unit.training.phantoms import write_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("phantoms"))
