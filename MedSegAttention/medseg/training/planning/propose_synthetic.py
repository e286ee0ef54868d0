"""Plan a training on images drawn from label maps: no image says what intensities are like, so that any must do."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from medseg.bundles.build import label_argument
from medseg.bundles.label_specs import label_specs
from medseg.bundles.model_id import model_id_of
from medseg.imaging.image import Image
from medseg.imaging.steps import Reorient
from medseg.io.dataset import CaseFiles, Dataset, read_case_labels
from medseg.networks import NETWORKS
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import FOLDED, ChannelSpec, IntensityRule, IntTriple, LabelSpec, ModelManifest, Triple
from medseg.spec.sides import has_side
from medseg.training.planning.config import TrainingConfig
from medseg.training.planning.helpers import unfolded
from medseg.training.planning.network_plan import CAREFUL_RATE, LEARNING_RATES, needs_slices
from medseg.training.planning.plan import Plan, Recipe
from medseg.training.planning.propose import DEFAULT_NETWORK, decided_arguments
from medseg.training.planning.propose_window import MemoryBudget, choose_batch, choose_window
from medseg.training.planning.side_heads import storable
from medseg.training.planning.synthesis import TISSUES, Synthesis, TissueFile, plain_tissues, read_tissues

_STEPS = 20_000
PERCENTILES = (0.5, 99.5)  # of an image's brightness, which become 0 and 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelMapFacts:
    """What the label maps of a data set are like, turned to RAS."""

    names: tuple[str, ...]
    shapes: tuple[IntTriple, ...]
    spacings_mm: tuple[Triple, ...]
    values: tuple[int, ...]  # found in any map, without 0
    problems: tuple[str, ...] = ()  # one sentence for each map that is left out

    @property
    def spacing_mm(self) -> Triple:
        """Median along each axis."""
        i, j, k = (float(f"{mm:.5g}") for mm in np.median(self.spacings_mm, axis=0))
        return i, j, k

    def median_shape(self, spacing_mm: Triple) -> Triple:
        """Median size in voxels of the given spacing."""
        i, j, k = np.median(np.array(self.shapes) * self.spacings_mm / spacing_mm, axis=0).tolist()
        return i, j, k


def read_ras(files: CaseFiles) -> Image:
    """Read the labels of a case, turned to RAS.

    Raises:
        ImageError: when they cannot be read.
    """
    labels, _warnings = read_case_labels(files)
    return Reorient.to_orientation(labels, "RAS").apply(labels)


def survey(dataset: Dataset) -> LabelMapFacts:
    """Read every label map once; one that cannot be read is left out.

    Raises:
        JobError: when none is left, or none has a labelled voxel.
    """
    names, shapes, spacings, problems, values = [], [], [], [], set[int]()
    for files in dataset.cases.values():
        try:
            labels = read_ras(files)
        except ImageError as error:
            problems.append(f"{files.name}: {error}")
        else:
            names.append(files.name)
            shapes.append(labels.shape)
            spacings.append(labels.spacing)
            values |= {int(value) for value in np.unique(labels.array)} - {0}
    if not values:
        msg = f"no label map of {dataset.layout} has a labelled voxel{''.join(f'; {each}' for each in problems)}"
        raise JobError(msg)
    return LabelMapFacts(
        names=tuple(names),
        shapes=tuple(shapes),
        spacings_mm=tuple(spacings),
        values=tuple(sorted(values)),
        problems=tuple(problems),
    )


def propose_synthetic(
    dataset: Dataset,
    facts: LabelMapFacts,
    config: TrainingConfig,
    source: ModelManifest | None,
    device: torch.device,
    on_note: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Plan the training of a network on images drawn from label maps.

    Args:
        dataset: what its folder says.
        facts: of its label maps.
        config: what the user has decided.
        source: the model to go on from, whose network, grid and labels stay; None: a new one.
        device: where training will run.
        on_note: hears where the meaning of the values comes from.

    Raises:
        JobError: when the network reads slices, values are no tissue, or a model to go on from has other labels.
        ManifestError: when the network cannot be as the user decided.
    """
    meaning = _meaning(dataset, facts, config, on_note)
    labels = label_specs(meaning.labels)
    reasons: dict[str, str] = {}
    if source is not None:
        model = _like(source, labels, config)
    else:
        model = _new(dataset, facts, labels, config, device, reasons)
    arguments = {name: value for name, value in model.arguments.items() if name != label_argument(model.network)}
    spacing = model.spacing_mm or facts.spacing_mm
    budget = MemoryBudget(model.network, arguments, 1, len(labels) + 1, spacing, None, device)
    batch = 1
    if device.type == "cuda" and config.batch is None:
        batch = choose_batch(budget, model.window_shape, reasons)
    else:
        reasons["training.batch"] = "every image has another contrast: more steps teach more than larger ones"
    reasons["training.steps"] = "images never repeat, so that longer is better; a time limit may end it sooner"
    rate = LEARNING_RATES.get(model.network, CAREFUL_RATE)
    recipe = Recipe(
        steps=config.steps or _STEPS,
        batch=batch,
        learning_rate=rate,
        foreground=0.0,
        synthesis=Synthesis(tissues=meaning.tissues, ranges=meaning.ranges, helpers=meaning.helpers),
    )
    return Plan(model=model, training=recipe, reasons=reasons)


def _meaning(
    dataset: Dataset, facts: LabelMapFacts, config: TrainingConfig, on_note: Callable[[str], None]
) -> TissueFile:
    folder = config.dataset if config.dataset.is_dir() else config.dataset.parent
    path = config.tissues or folder / TISSUES
    if config.tissues is None and not path.is_file():
        on_note(f"every value of the label maps is a label with a brightness of its own; {path} can say otherwise")
        return plain_tissues(facts.values, dict(dataset.label_names))
    meaning = read_tissues(path)
    known = {tissue.value for tissue in meaning.tissues} | {0}
    if strange := sorted(set(facts.values) - known):
        msg = f"{path} lists every value of the label maps, but not {strange}; add them, with label 0 if not wanted"
        raise JobError(msg)
    return meaning


def _like(source: ModelManifest, labels: tuple[LabelSpec, ...], config: TrainingConfig) -> ModelManifest:
    helpers = source.arguments.get(FOLDED, 0)
    theirs = [label.name for label in (*source.labels, *labels[len(labels) - helpers :])]
    ours = [label.name for label in labels]
    if [name.lower() for name in theirs] != [name.lower() for name in ours] or len(source.channels) != 1:
        msg = f"{source.model_id} goes on with its own labels, {', '.join(theirs)}, of one channel, got {ours}"
        raise JobError(msg)
    model_id = source.model_id if config.start is None else model_id_of(config.output)
    model = unfolded(source, labels)
    return dataclasses.replace(
        model, model_id=model_id, arguments=storable(model), scores=(), timings=(), imported=None
    )


def _new(
    dataset: Dataset,
    facts: LabelMapFacts,
    labels: tuple[LabelSpec, ...],
    config: TrainingConfig,
    device: torch.device,
    reasons: dict[str, str],
) -> ModelManifest:
    network = config.network or DEFAULT_NETWORK
    if needs_slices(network):
        msg = f"images are drawn in 3D, and {network} reads slices; choose a 3D network, see 'medseg networks'"
        raise JobError(msg)
    decided = decided_arguments(config)
    if network in NETWORKS:
        decided = {"norm": "instance"} | decided
        reasons["model.arguments.norm"] = "statistics of other images mean nothing where every image has its contrast"
    spacing = config.spacing or facts.spacing_mm
    budget = MemoryBudget(network, decided, 1, len(labels) + 1, spacing, None, device)
    window = config.window or choose_window(budget, facts.median_shape(spacing), reasons)
    reasons["model.intensity"] = "the images are drawn with any brightness and scaled like this"
    if any(has_side(label) for label in labels):
        reasons["model.mirror_axes"] = "labels have a side, so a mirrored patient would be labelled wrongly"
    return ModelManifest(
        model_id=model_id_of(config.output),
        title=f"{dataset.title} ({network}, any contrast)",
        version="1.0.0",
        description=f"Segments {', '.join(label.name for label in labels)} in images of any contrast.",
        network=network,
        arguments=budget.arguments(window),
        labels=labels,
        channels=(ChannelSpec(name="any contrast", modality="MR"),),
        orientation="RAS",
        spacing_mm=spacing,
        intensity=IntensityRule(kind="percentile", lower=PERCENTILES[0], upper=PERCENTILES[1]),
        window_shape=window,
        anatomy=dataset.title,
        intended_use="Research. Not a medical device: every result must be checked by a person who knows the anatomy.",
        licence=dataset.licence or "not stated; ask the owners of the label maps before sharing",
        authors="not stated",
        training_data=f"Images drawn from the {len(facts.names)} label maps of {dataset.title}; no real image",
        references=(
            "Billot et al.: SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without "
            "retraining. Medical Image Analysis 86:102789, 2023",
            *((dataset.reference,) if dataset.reference else ()),
        ),
    )
