"""The stages of a model made of several: their folders, what each says of itself, and whether they fit. No torch."""

from dataclasses import dataclass, replace
from pathlib import Path

from medseg.bundles.catalogue import Bundle, metadata_path
from medseg.bundles.metadata import read_manifest
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ModelManifest
from medseg.spec.stages import Composition, StageSpec

FOLDER = "stages"


@dataclass(frozen=True)
class Stage:
    """One stage and its model."""

    spec: StageSpec
    bundle: Bundle

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels it may give: its own, and those of the boxes where it may be located."""
        manifest = self.bundle.manifest
        return tuple(dict.fromkeys(label.name for label in (*manifest.labels, *manifest.located_labels)))


def open_stages(bundle: Bundle) -> tuple[Stage, ...]:
    """Read what the stages of a model say of themselves; none for a model that is one network.

    Raises:
        ManifestError: when one is missing or broken, or does not fit the others; names the stage.
    """
    composition = bundle.manifest.composition
    if composition is None:
        return ()
    stages = []
    for spec in composition.stages:
        folder = bundle.folder / FOLDER / spec.place
        stages.append(Stage(spec, Bundle(folder, read_manifest(metadata_path(folder)))))
    _check(stages, bundle.manifest, composition, metadata_path(bundle.folder))
    return tuple(stages)


def alone(bundle: Bundle) -> tuple[Stage, ...]:
    """The stages of a model, or the model itself as the one stage that it is."""
    return open_stages(bundle) or (Stage(StageSpec(name="whole"), bundle),)


def weights_files(bundle: Bundle) -> tuple[Path, ...]:
    """The files of weights of a model, each once: one, or those of its stages. They need not be there."""
    composition = bundle.manifest.composition
    if composition is None:
        return (bundle.weights_path,)
    places = dict.fromkeys(spec.place for spec in composition.stages)
    return tuple(replace(bundle, folder=bundle.folder / FOLDER / place).weights_path for place in places)


def _check(stages: list[Stage], manifest: ModelManifest, composition: Composition, path: Path) -> None:
    by_name = {stage.spec.name: stage for stage in stages}
    for stage in stages:
        spec, own = stage.spec, stage.bundle.manifest
        place = f"{path}: medseg.composition: the stage {spec.name!r}"
        if own.composition is not None:
            _refuse(place, "a model that is one network, since stages have no stages", own.model_id)
        if own.overlapping != manifest.overlapping:
            _refuse(place, "labels that overlap as those of the whole do, or do not", own.model_id)
        if len(own.channels) != len(manifest.channels):
            _refuse(place, f"the {len(manifest.channels)} channel(s) of the whole", len(own.channels))
        if unknown := sorted(set(spec.answers) - set(stage.label_names)):
            _refuse(place, f"answers out of its labels {', '.join(stage.label_names)}", unknown)
        if composition.join == "mean" and spec.answers and own.locate is not None:
            _refuse(place, "a model that goes over the whole image, to be averaged", own.model_id)
        if spec.within is not None:
            known = by_name[spec.within.stage].label_names
            if unknown := sorted(set(spec.within.labels) - set(known)):
                _refuse(f"{place}, within", f"labels of {spec.within.stage}: {', '.join(known)}", unknown)
        shown = 0 if own.nnunet is None else own.nnunet.previous_labels
        given = len(by_name[spec.previous].bundle.manifest.labels) if spec.previous else 0
        is_painted = own.overlapping is not None  # its stage's labels are those that its regions are painted with
        if bool(shown) != bool(given) if is_painted else shown != given:
            _refuse(place, f"a network that is shown {given} label(s) of an earlier stage", shown)


def _refuse(place: str, expected: str, found: object) -> None:
    msg = f"{place}: expected {expected}, got {found!r}; mend the manifest, or import the model again"
    raise ManifestError(msg)
