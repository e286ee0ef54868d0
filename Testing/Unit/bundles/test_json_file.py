"""A file that is not one JSON object is refused with its name."""

import pytest

from medseg.bundles.json_file import read_object
from medseg.spec.errors import ManifestError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "not valid JSON"),
        (b"\xff{}", "not valid JSON"),
        (b"[1]", r"must hold one JSON object, got \[1\]"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_file_that_is_not_one_json_object_is_refused(tmp_path, text, words):
    path = tmp_path / "metadata.json"
    path.write_bytes(text)
    with pytest.raises(ManifestError, match=words) as caught:
        read_object(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"absent.json cannot be read \(No such file"):
        read_object(tmp_path / "absent.json")
