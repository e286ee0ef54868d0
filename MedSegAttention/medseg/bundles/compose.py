"""Several models become one: their folders lie in ``stages/`` of a bundle that says how they work together."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.bundles.stages import FOLDER, open_stages
from medseg.bundles.write import drafted
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntensityRule, LabelSpec, ModelManifest
from medseg.spec.stages import STAGED, Composition


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of a model as a whole; None: what its stages say, each sentence once."""

    model_id: str
    title: str
    description: str
    anatomy: str | None = None
    licence: str | None = None
    intended_use: str | None = None
    training_data: str | None = None
    version: str = "1.0.0"


def composed_manifest(
    words: Words, composition: Composition, labels: tuple[LabelSpec, ...], models: Mapping[str, ModelManifest]
) -> ModelManifest:
    """Describe a model of several stages.

    Window, spacing and axes are those of the last stage that answers, for those who want to see one figure; what runs
    is each stage's own.

    Args:
        words: of the whole.
        composition: its stages and how they are joined.
        labels: of the result.
        models: what each folder in ``stages/`` says of itself.

    Raises:
        ManifestError: when stages and labels do not fit.
    """
    if not composition.answering:
        msg = "a composition has a stage that answers, got none; give one of them answers"
        raise ManifestError(msg)
    used = [models[stage.place] for stage in composition.stages]
    main = models[composition.answering[-1].place]
    return ModelManifest(
        model_id=words.model_id,
        title=words.title,
        version=words.version,
        description=words.description,
        network=STAGED,
        labels=labels,
        channels=used[0].channels,
        intensity=IntensityRule(kind="none"),
        orientation=main.orientation,
        spacing_mm=main.spacing_mm,
        window_shape=main.window_shape,
        slices=main.slices if all(model.slices == main.slices for model in used) else None,
        overlap=main.overlap,
        mirror_axes=tuple(sorted({axis for model in used for axis in model.mirror_axes} - _across(main))),
        composition=composition,
        overlapping=main.overlapping,
        anatomy=words.anatomy or _each([model.anatomy for model in used]),
        licence=words.licence or _each([model.licence for model in used]),
        intended_use=words.intended_use or _each([model.intended_use for model in used]),
        authors=_each([model.authors for model in used]),
        training_data=words.training_data or _each([model.training_data for model in used]),
        references=tuple(dict.fromkeys(reference for model in used for reference in model.references)),
    )


def write_composed(
    folder: Path, manifest: ModelManifest, stages: Mapping[str, Path], *, licence_text: str, overwrite: bool = False
) -> Bundle:
    """Write a bundle of several stages; it appears whole, with a copy of each stage.

    Args:
        folder: of the new bundle.
        manifest: with its composition.
        stages: for each folder in ``stages/``, the bundle that is copied there.
        licence_text: becomes ``LICENSE``.
        overwrite: replace a folder that is there.

    Raises:
        ManifestError: when a stage is missing, or does not fit the others.
        OutputExists: as ``write_bundle`` raises it.
    """
    with drafted(folder, manifest, licence_text, overwrite=overwrite) as draft:
        for place, source in stages.items():
            shutil.copytree(source, draft / FOLDER / place)
        open_stages(Bundle(draft, read_manifest(metadata_path(draft))))
    return Bundle(folder, read_manifest(metadata_path(folder)))


def _across(main: ModelManifest) -> set[int]:
    return set() if main.slices is None else {main.slices.axis}


def _each(texts: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
