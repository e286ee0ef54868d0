"""Installed models put together by a recipe: a JSON file with the stages and the names of the segments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from medseg.bundles.catalogue import Bundle, open_bundle
from medseg.bundles.compose import Words, composed_manifest, write_composed
from medseg.bundles.json_file import read_object
from medseg.bundles.label_specs import label_specs
from medseg.spec.errors import FieldError, ManifestError
from medseg.spec.fields import read_record
from medseg.spec.labels import LabelSpec
from medseg.spec.manifest import ModelManifest
from medseg.spec.stages import Composition, Join, StageSpec


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the file says.

    Attributes:
        labels: names of the segments, from value 1.
        stages: as in a manifest.
        join: as in a manifest.
        models: id or folder of the model in each folder of ``stages``; one that is not listed has the folder's name.
        title: for people; empty: the model's id.
        description: empty: the models are named.
    """

    labels: tuple[str, ...]
    stages: tuple[StageSpec, ...]
    join: Join = "overwrite"
    models: dict[str, str] = field(default_factory=dict)
    title: str = ""
    description: str = ""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        ManifestError: when the file is missing or not JSON, or a field is unknown, missing or impossible.
    """
    try:
        return read_record(Recipe, read_object(path), "")
    except FieldError as error:
        msg = f"{path}: {error}; see Models/README.md for stages"
        raise ManifestError(msg) from error


def compose_by(recipe: Recipe, output: Path, model_id: str, *, overwrite: bool = False) -> Bundle:
    """Write the model of a recipe, with copies of the models it names.

    Raises:
        ModelNotFound: when there is no such model.
        ManifestError: when they do not fit.
        OutputExists: when the folder is there and overwriting is not allowed.
    """
    composition = Composition(stages=recipe.stages, join=recipe.join)
    places = dict.fromkeys(stage.place for stage in recipe.stages)
    bundles = {place: open_bundle(recipe.models.get(place, place)) for place in places}
    models = {place: bundle.manifest for place, bundle in bundles.items()}
    named = ", ".join(model.model_id for model in models.values())
    words = Words(
        model_id=model_id,
        title=recipe.title or model_id,
        description=recipe.description or f"{named}, run one after the other.",
    )
    manifest = composed_manifest(words, composition, _labels(recipe, models), models)
    sources = {place: bundle.folder for place, bundle in bundles.items()}
    return write_composed(output, manifest, sources, licence_text=f"{manifest.licence}\n", overwrite=overwrite)


def _labels(recipe: Recipe, models: Mapping[str, ModelManifest]) -> tuple[LabelSpec, ...]:
    """Segments with the codes of the labels that answer for them; a colour that is taken gives way to another."""
    made = {spec.value: spec for spec in label_specs(recipe.labels)}
    for stage in recipe.stages:
        model = models[stage.place]
        for label in (*model.labels, *model.located_labels):
            plain = made.get(stage.answers.get(label.name, 0))
            if plain is None:
                continue
            taken = label.color in [each.color for each in made.values()]
            made[plain.value] = replace(
                label, value=plain.value, name=plain.name, color=plain.color if taken else label.color
            )
    return tuple(made.values())
