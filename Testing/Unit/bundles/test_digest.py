"""The weights are read once for their digest, and again when they have changed."""

import hashlib
import os
import threading
from types import SimpleNamespace

import pytest

from medseg.bundles import digest
from medseg.bundles.catalogue import Bundle


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "models").mkdir()
    return Bundle(tmp_path, SimpleNamespace(composition=None))


@pytest.fixture
def reads(monkeypatch):
    """How often a file was hashed."""
    count = []
    whole = hashlib.file_digest

    def counting(*arguments):
        count.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(digest.hashlib, "file_digest", counting)
    return count


def test_the_digest_is_sha256_and_the_file_is_read_once(bundle, reads):
    bundle.weights_path.write_bytes(b"weights")
    for _ in range(3):
        assert digest.weights_digest(bundle) == hashlib.sha256(b"weights").hexdigest()
    assert len(reads) == 1


@pytest.mark.parametrize("words", [b"weights and more", b"WEIGHTS"], ids=["size", "time"])
def test_weights_that_changed_are_read_again(bundle, words):
    bundle.weights_path.write_bytes(b"weights")
    digest.weights_digest(bundle)
    bundle.weights_path.write_bytes(words)
    os.utime(bundle.weights_path, ns=(1, 1))
    assert digest.weights_digest(bundle) == hashlib.sha256(words).hexdigest()


def test_what_was_begun_in_another_thread_is_there_when_it_is_asked_for(bundle, reads):
    bundle.weights_path.write_bytes(b"weights")
    digest.begin_digest(bundle)
    for thread in threading.enumerate():
        if thread.name == "weights digest":
            thread.join()
    assert len(reads) == 1
    assert digest.weights_digest(bundle) == hashlib.sha256(b"weights").hexdigest()
    assert len(reads) == 1


def test_no_weights_have_no_digest(bundle):
    assert digest.weights_digest(bundle) is None
