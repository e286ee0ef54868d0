"""The threshold of air in metadata.json."""

import json

from medseg.bundles.metadata import read_manifest, write_manifest
from medseg.spec.manifest import Code, LabelSpec
from small_manifest import small_manifest

CODE = Code("SCT", "123037004", "Anatomical Structure")
LABELS = (LabelSpec(value=1, name="a", color=(1, 2, 3), category=CODE, type=CODE),)


def test_a_threshold_comes_back_and_none_is_not_written(tmp_path):
    for threshold in ((-700.5,), None):
        manifest = small_manifest(labels=LABELS, air_below=threshold)
        path = tmp_path / "metadata.json"
        write_manifest(manifest, path)
        assert read_manifest(path) == manifest
        written = json.loads(path.read_text(encoding="utf-8"))["medseg"]
        assert written.get("air_below") == (None if threshold is None else [-700.5])
        assert ("air_below" in written) == (threshold is not None)
