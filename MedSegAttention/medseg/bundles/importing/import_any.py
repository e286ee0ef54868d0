"""Whatever somebody hands over becomes a bundle: its kind is told by its files, and the importer of that kind runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.bundles.importing.choices import Choices, Imported
from medseg.bundles.importing.kind import kind_of
from medseg.bundles.importing.put_in_place import Watch, ignore_stage
from medseg.spec.errors import ManifestError


def import_any(
    source: Path,
    output: Path,
    choices: Choices,
    *,
    network: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    configuration: str | None = None,
    task: str | None = None,
    folds: Sequence[str] | None = None,
    overwrite: bool = False,
    scratch: Path | None = None,
    watch: Watch = ignore_stage,
) -> Imported:
    """Import a folder, an archive or a file of weights; nothing of it is run.

    Args:
        source: a model of nnU-Net v2, a MONAI bundle, or weights.
        output: folder of the new bundle.
        choices: what is not to be taken from the files.
        network: of weights alone.
        arguments: of that network.
        configuration: of nnU-Net.
        task: of TotalSegmentator.
        folds: of nnU-Net; None: all that were trained.
        overwrite: replace a folder that is there.
        scratch: folder in which an archive is unpacked; None: the system's.
        watch: hears what is about to be done; what it raises ends the import, and nothing of it is left.

    Raises:
        MedSegError: as the importers raise it; of weights without a network or labels a ``ManifestError``.
    """
    kind = kind_of(source)
    if kind == "nnunet":
        from medseg.bundles.importing.nnunet.import_nnunet import import_nnunet

        return import_nnunet(
            source, output, choices, configuration_name=configuration, task=task, folds=folds,
            overwrite=overwrite, scratch=scratch, watch=watch,
        )  # fmt: skip
    if kind == "monai":
        from medseg.bundles.importing.import_monai import import_monai_bundle

        return import_monai_bundle(source, output, choices, overwrite=overwrite, scratch=scratch, watch=watch)
    if network is None or choices.labels is None:
        msg = (
            f"{source} is taken for weights, which name neither their network nor their labels; give --network and "
            "--labels, or a folder or .zip of nnU-Net v2 or of a MONAI bundle"
        )
        raise ManifestError(msg)
    from medseg.bundles.importing.import_checkpoint import import_checkpoint

    return import_checkpoint(
        source, output, choices, network=network, arguments=arguments, overwrite=overwrite, watch=watch
    )
