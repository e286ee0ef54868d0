"""A model from elsewhere, imported from the Python console or a script: the same order as the panel's. No Qt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medseg.bundles.catalogue import catalogue
from medseg.cli import flag_values
from medseg.desktop.queue.import_run import make_import_order
from medseg.desktop.state.order import ImportOrder
from medseg.spec.import_job import Choices


def import_order_from_call(
    source: str | Path,
    name: str,
    *,
    labels: str | Path | None = None,
    folds: Sequence[str | int] | None = None,
    **more: Any,
) -> ImportOrder:
    """What a call asks for.

    Args:
        source: folder, ZIP archive or file of weights.
        name: of the new model.
        labels: names of the segments with commas, or a JSON file.
        folds: of nnU-Net; None: all that were trained.
        more: ``configuration``, ``task``, ``network`` and ``arguments`` of ``ImportJob``.

    Raises:
        MedSegError: if there is no name, or a model has it; it is kept.
    """
    choices = Choices(model_id="new", labels=flag_values.read_labels(None if labels is None else str(labels)))
    chosen = None if folds is None else tuple(str(fold) for fold in folds)
    return make_import_order(Path(source).expanduser(), name, choices, catalogue(), folds=chosen, **more)
