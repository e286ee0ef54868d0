"""Configurations of nnU-Net that work together: a cascade with its first stage, and ensembles of several."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeAlias

from medseg.bundles.compose import Words, composed_manifest, write_composed
from medseg.bundles.importing.choices import Choices, Imported
from medseg.bundles.importing.nnunet.model_folder import ModelFolder, find_model_folders
from medseg.bundles.importing.put_in_place import joint_record
from medseg.bundles.model_id import model_id_of
from medseg.bundles.write import refuse_existing
from medseg.spec.errors import ManifestError
from medseg.spec.fields import listed
from medseg.spec.manifest import ModelManifest
from medseg.spec.stages import Composition, StageSpec

ChangeManifest: TypeAlias = Callable[[ModelManifest], ModelManifest]


def unchanged(manifest: ModelManifest) -> ModelManifest:
    """Leave a manifest as it is."""
    return manifest


class ImportFolder(Protocol):
    """Imports the folder of one trained configuration."""

    def __call__(
        self,
        model: ModelFolder,
        output: Path,
        choices: Choices,
        *,
        folds: Sequence[str] | None = None,
        overwrite: bool = False,
        source: Path | None = None,
        change: ChangeManifest = unchanged,
    ) -> Imported:
        """Import it; arguments as of ``import_nnunet``, and ``change`` has the last word on the manifest."""


def choose(root: Path, path: Path, wanted: str | None) -> list[ModelFolder]:
    """The folders of the configurations that a person wants.

    Args:
        root: a folder, or what an archive was unpacked to.
        path: what was given, for messages.
        wanted: names of configurations with commas; None: the only one, or the only cascade with its first stage.

    Raises:
        ManifestError: when there is none, or it is not clear which; lists what is there.
    """
    found = find_model_folders(root)
    if not found:
        msg = (
            f"{path} holds no model of nnU-Net v2: a folder <Trainer>__<Plans>__<configuration> with plans.json, "
            "dataset.json and fold_0 is expected"
        )
        raise ManifestError(msg)
    names = [] if wanted is None else [name.strip() for name in wanted.split(",") if name.strip()]
    if not names:
        return [_only(found, root, path)]
    if missing := sorted(set(names) - {each.name for each in found}):
        msg = f"{path} holds no configuration {listed(missing)}; its models are {_list(found, root)}"
        raise ManifestError(msg)
    chosen = [_only([each for each in found if each.name == name], root, path) for name in names]
    if len(set(names)) < len(names):
        msg = f"{path}: each configuration is averaged once, got {wanted}; its models are {_list(found, root)}"
        raise ManifestError(msg)
    return chosen


def import_stages(
    targets: Sequence[ModelFolder],
    source: Path,
    output: Path,
    choices: Choices,
    import_folder: ImportFolder,
    *,
    folds: Sequence[str] | None = None,
    overwrite: bool = False,
    scratch: Path | None = None,
) -> Imported:
    """Import configurations whose answers are averaged, each with the stage before it, as one model.

    Args:
        targets: the folders of those that answer; one alone is a cascade.
        source: what was handed over.
        output: folder of the new bundle.
        choices: as in ``import_nnunet``, for the whole and all its stages.
        import_folder: imports one.
        folds: of every stage.
        overwrite: replace a folder that is there.
        scratch: folder for what is unfinished; None: the system's.

    Raises:
        ManifestError: when the stage before one is missing, and as ``import_nnunet``.
        WeightsError, OutputExists: as ``import_nnunet``.
    """
    refuse_existing(output, overwrite=overwrite)  # before weights are read
    folders: dict[str, ModelFolder] = {}
    before: dict[str, str] = {}
    for target in targets:
        previous = target.previous_stage
        if previous is not None:
            folders.setdefault(previous, _stage_before(target, previous))
            before[target.name] = previous
    folders |= {target.name: target for target in targets}
    with tempfile.TemporaryDirectory(prefix="medseg-stages-", dir=scratch) as unfinished:
        made = {}
        for name, folder in folders.items():
            own = replace(choices, model_id=f"{choices.model_id}-{model_id_of(Path(name))}", title=None)
            made[name] = import_folder(folder, Path(unfinished) / name, own, folds=folds)
        answering = {target.name for target in targets}
        models = {name: each.bundle.manifest for name, each in made.items()}
        labels = models[targets[-1].name].labels
        values = {label.name: label.value for label in labels}
        stages = tuple(
            StageSpec(name=name, previous=before.get(name, ""), answers=values if name in answering else {})
            for name in folders
        )
        is_one = len(targets) == 1 and models[targets[0].name].overlapping is None
        composition = Composition(stages=stages, join="overwrite" if is_one else "mean")
        dataset = models[targets[-1].name].title.partition(" (")[0]
        described = " and ".join(answering_names := [target.name for target in targets])
        words = Words(
            model_id=choices.model_id,
            title=choices.title or f"{dataset} ({' + '.join(answering_names)})",
            description=f"nnU-Net v2 model of {dataset}: {described}"
            + (f", after {', '.join(before.values())}." if before else ", averaged."),
            anatomy=choices.anatomy,
            licence=choices.licence,
        )
        notes = tuple(dict.fromkeys(note for each in made.values() for note in each.notes))
        manifest = composed_manifest(words, composition, labels, models)
        manifest = replace(manifest, imported=joint_record(source, models.values(), notes))
        sources = {name: each.bundle.folder for name, each in made.items()}
        bundle = write_composed(output, manifest, sources, licence_text=f"{manifest.licence}\n", overwrite=overwrite)
    return Imported(bundle, notes)


def _stage_before(target: ModelFolder, name: str) -> ModelFolder:
    """The folder of the stage before, beside its own: of the same trainer and plans where there are several."""
    found = [each for each in find_model_folders(target.path.parent) if each.name == name]
    own = target.path.name.rpartition("__")[0]
    best = [each for each in found if each.path.name == f"{own}__{name}"] or found
    if len(best) != 1:
        msg = (
            f"{target.path.name} continues the answer of {name}, and beside it there are {len(best)} trained folders "
            f"of that name; give the folder of the data set, which holds {own}__{name} too"
        )
        raise ManifestError(msg)
    return best[0]


def _only(found: Sequence[ModelFolder], root: Path, path: Path) -> ModelFolder:
    if len(found) > 1:
        last = [each for each in found if each.previous_stage is not None]
        if len(last) == 1 and {last[0].previous_stage, last[0].name} == {each.name for each in found}:
            return last[0]
        msg = f"{path} holds several models: {_list(found, root)}; give one of these folders, or --configuration"
        raise ManifestError(msg)
    return found[0]


def _list(found: Sequence[ModelFolder], root: Path) -> str:
    return listed([str(each.path.relative_to(root)) for each in found], 10)
