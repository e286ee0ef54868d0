"""A task of TotalSegmentator becomes one bundle: each of its models a stage, their classes merged by its class map."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from medseg.bundles.compose import Words, composed_manifest, write_composed
from medseg.bundles.importing.choices import Choices, Imported
from medseg.bundles.importing.nnunet.model_folder import ModelFolder
from medseg.bundles.importing.nnunet.preparation import read_outputs
from medseg.bundles.importing.nnunet.several import ImportFolder
from medseg.bundles.importing.nnunet.totalsegmentator.find_task import FoundTask
from medseg.bundles.importing.nnunet.totalsegmentator.labels import describe
from medseg.bundles.importing.nnunet.totalsegmentator.tasks import STEP_OVERLAP, Part, Task, all_tasks
from medseg.bundles.importing.put_in_place import joint_record
from medseg.bundles.write import refuse_existing
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ChannelSpec, ModelManifest
from medseg.spec.stages import Composition, FoundBox, StageSpec

_MARGIN_MM = 20.0  # around what the rough model found
_LICENCE = "As its authors state for these weights (those of the open tasks: Apache-2.0)."
_REFERENCE = (
    "Wasserthal et al., TotalSegmentator: robust segmentation of 104 anatomical structures in CT images, "
    "Radiology: Artificial Intelligence 5(5), e230024, 2023"
)


def import_task(
    found: FoundTask,
    source: Path,
    output: Path,
    choices: Choices,
    import_folder: ImportFolder,
    *,
    folds: Sequence[str] | None = None,
    overwrite: bool = False,
    scratch: Path | None = None,
) -> Imported:
    """Import the models of a task as one.

    Args:
        found: the task and its folders.
        source: what was handed over.
        output: folder of the new bundle.
        choices: of the whole; labels take the place of TotalSegmentator's own.
        import_folder: imports one of them.
        folds: of every model; None: as the task is run.
        overwrite: replace a folder that is there.
        scratch: folder for what is unfinished; None: the system's.

    Raises:
        ManifestError: when a model has another number of classes than the task, and as ``import_nnunet``.
        WeightsError, OutputExists: as ``import_nnunet``.
    """
    refuse_existing(output, overwrite=overwrite)  # before weights are read
    task = found.task
    with tempfile.TemporaryDirectory(prefix="medseg-stages-", dir=scratch) as unfinished:
        models, sources, notes = {}, {}, dict[str, None]()
        for part in _all_parts(task):
            folder, name = found.folders[part.dataset], str(part.dataset)
            own_labels = describe(_own_names(part, folder))
            channels = choices.channels or (ChannelSpec(name=task.modality, modality=task.modality),)
            own = replace(
                choices, model_id=f"{choices.model_id}-{name}", title=None, labels=own_labels, channels=channels
            )
            made = import_folder(
                folder, Path(unfinished) / name, own, folds=folds or _folds(task, folder), change=_as_run(part, task)
            )
            models[name], sources[name] = made.bundle.manifest, made.bundle.folder
            notes |= dict.fromkeys(made.notes)
        labels = choices.labels or describe(task.classes)
        manifest = composed_manifest(_words(task, choices), _composition(task), labels, models)
        said = ("images are resampled as nnU-Net does it, in one step, and mirrored nowhere", *notes)
        record = joint_record(source, models.values(), said)
        manifest = replace(manifest, references=(_REFERENCE,), imported=record)
        bundle = write_composed(output, manifest, sources, licence_text=f"{manifest.licence}\n", overwrite=overwrite)
    return Imported(bundle, said)


def _all_parts(task: Task) -> tuple[Part, ...]:
    """The models of a task, the rough one first."""
    if task.rough is None:
        return task.parts
    rough = next(part for each in all_tasks().values() for part in each.parts if part.dataset == task.rough)
    return rough, *task.parts


def _composition(task: Task) -> Composition:
    values = {name: value for value, name in enumerate(task.classes, start=1)}
    stages = [] if task.rough is None else [StageSpec(name=str(task.rough))]
    within = None
    if task.rough is not None:
        within = FoundBox(stage=str(task.rough), labels=task.around, margin_mm=_MARGIN_MM)
    for part in task.parts:
        answers = {name: values[name] for name in part.classes if name}
        stages.append(StageSpec(name=str(part.dataset), within=within, answers=answers))
    return Composition(stages=tuple(stages))


def _own_names(part: Part, folder: ModelFolder) -> list[str]:
    """Names of a model's classes: TotalSegmentator's, and the data set's own where that has none."""
    own = read_outputs(folder.dataset).names
    if len(own) != len(part.classes):
        msg = (
            f"{folder.path.parent.name} has {len(own)} classes, and TotalSegmentator's data set {part.dataset} has "
            f"{len(part.classes)}; it is another model, import it by itself"
        )
        raise ManifestError(msg)
    return [name or f"unused {theirs}" for name, theirs in zip(part.classes, own, strict=True)]


def _folds(task: Task, folder: ModelFolder) -> list[str] | None:
    return ["0"] if not task.all_folds and (folder.path / "fold_0").is_dir() else None


def _as_run(part: Part, task: Task) -> Callable[[ModelManifest], ModelManifest]:
    """Change a model to how TotalSegmentator runs it: images turned to RAS, windows further apart, no mirroring."""
    overlap = task.overlap if part in task.parts else STEP_OVERLAP

    def change(manifest: ModelManifest) -> ModelManifest:
        rule = None if manifest.nnunet is None else replace(manifest.nnunet, reorients=True)
        return replace(manifest, nnunet=rule, overlap=overlap, mirror_axes=())

    return change


def _words(task: Task, choices: Choices) -> Words:
    count = len(task.parts)
    models = "one model" if count == 1 else f"{count} models"
    around = f", in a box of {_MARGIN_MM:g} mm around what a rough model found" if task.around else ""
    return Words(
        model_id=choices.model_id,
        title=choices.title or task.title,
        description=f"TotalSegmentator's task {task.name}: {len(task.classes)} classes by {models} of nnU-Net{around}.",
        anatomy=choices.anatomy or ("whole body" if len(task.classes) > 20 else ", ".join(task.classes)),
        licence=choices.licence or _LICENCE,
    )
