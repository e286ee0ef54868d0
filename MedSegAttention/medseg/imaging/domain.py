"""Whether a scan, and what a model found in it, are what the model was made for: a sentence for each thing that is not.

Every rule is a comparison that a reader can follow; none of them decides anything, the user is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Affine, Image
from medseg.imaging.locate import LocatedBox
from medseg.imaging.registration import Template, looks_like_ct
from medseg.spec.manifest import LabelSpec, ModelManifest

_TISSUES = ((1, "fluid"), (2, "grey matter"), (3, "white matter"))  # regions of a template, in the order of T1
_PROJECTIONS = ("CR", "DX")
_SAYS_NOTHING = ("", "OT", "SC")  # modalities: not given, other, secondary capture
_LEAST_VOXELS = 50  # of a tissue, for a median
_LEAST_CONTRAST = 0.08  # between two tissues, of the whole range from fluid to white matter
_EDGE_SHARE = 0.02  # of a box beyond the image that is worth a word
_NOT_A_RESULT = 0.25  # of the least volume that an adult has: less is no structure but a few stray voxels


def check_scan(image: Image, manifest: ModelManifest) -> Iterator[str]:
    """Say what of a scan is not as the model knows it, by its values and its voxels.

    Args:
        image: ``(C, I, J, K)`` as it came.
        manifest: of the model.
    """
    yield from _check_modality(image, manifest)
    yield from _check_thickness(image, manifest)
    limit = None if manifest.locate is None else manifest.locate.slice_mm
    if limit is not None and max(image.spacing) > limit:
        yield (
            f"the slices are {max(image.spacing):.2g} mm apart, and {manifest.model_id} was made for voxels of at most "
            f"{limit:g} mm: volumes will be off, check the borders"
        )


def _check_modality(image: Image, manifest: ModelManifest) -> Iterator[str]:
    wanted = manifest.channels[0].modality
    made_for = f"{manifest.model_id} was made for {wanted}: what it finds here means nothing"
    if image.modality not in _SAYS_NOTHING and wanted not in _SAYS_NOTHING:
        if _kind(image.modality) != _kind(wanted):
            yield f"the image is {image.modality}, and {made_for}; choose a model for {image.modality}"
    elif wanted in ("MR", *_PROJECTIONS) and looks_like_ct(image):
        yield (f"this looks like a CT (air at -1000 HU, soft tissue around 0), and {made_for}; choose a CT model")


def _kind(modality: str) -> str:
    """Computed and digital radiography are one kind of image, read by one kind of model."""
    return "radiograph" if modality in _PROJECTIONS else modality


def _check_thickness(image: Image, manifest: ModelManifest) -> Iterator[str]:
    """A projection is one slice, and a network for volumes needs more than one."""
    thin = [axis for axis, size in zip("ijk", image.shape, strict=True) if size == 1]
    if thin and manifest.slices is None:
        along = ", ".join(thin)
        yield f"there is only 1 voxel along {along}, and {manifest.model_id} reads volumes: it may find nothing here"
    if not thin and manifest.channels[0].modality in _PROJECTIONS:
        size = " x ".join(map(str, image.shape))
        yield (
            f"this is a volume of {size} voxels, and {manifest.model_id} was made for radiographs, which are one voxel "
            "thick: what it finds here means nothing; choose a model for volumes"
        )


def check_contrast(image: Image, template: Template, to_patient: Affine, manifest: ModelManifest) -> Iterator[str]:
    """Say so when white matter, grey matter and fluid are not in the order of brightness that the model knows.

    Args:
        image: ``(C, I, J, K)``.
        template: its regions say where the tissues are.
        to_patient: template mm -> mm of the image.
        manifest: of the model.
    """
    if manifest.locate is None or manifest.locate.contrast != "T1":
        return
    regions = template.regions
    seen = resample_to(
        Image(image.array[:1], image.affine),
        regions.shape,
        to_patient @ regions.affine,
        order="linear",
        outside=np.nan,
    ).array[0]
    values = [seen[(regions.array[0] == value) & np.isfinite(seen)] for value, _ in _TISSUES]
    if any(len(each) < _LEAST_VOXELS for each in values):
        return
    medians = [float(np.median(each)) for each in values]
    least = _LEAST_CONTRAST * (max(medians) - min(medians))
    if all(below + least < above for below, above in pairwise(medians)):
        return
    words = ", ".join(f"{name} {median:.4g}" for (_, name), median in zip(_TISSUES, medians, strict=True))
    yield (
        f"the contrast is not that of T1 (median of {words}; in T1 each is brighter than the one before), and "
        f"{manifest.model_id} was made for T1: what it finds here is not to be relied on"
    )


def check_boxes(boxes: Sequence[LocatedBox]) -> Iterator[str]:
    """Say which boxes the image does not show whole."""
    for box in boxes:
        if 1 - box.inside > _EDGE_SHARE:
            yield f"{1 - box.inside:.0%} of the box of the {box.spec.name} lies beyond the image: parts may be missing"


def check_volumes(
    volumes_ml: Mapping[str, float], labels: Sequence[LabelSpec], manifest: ModelManifest
) -> Iterator[str]:
    """Say which volumes no adult has, and when two sides differ too much.

    Args:
        volumes_ml: by the name of the segment.
        labels: of the result: those of the boxes, or the model's own for a crop.
        manifest: of the model.
    """
    rule = manifest.locate
    if rule is None:
        return
    names = {label.name for label in labels}
    totals = []
    for box in rule.boxes:
        own = [label.name for label in box.labels if label.name in names] or [label.name for label in manifest.labels]
        is_crop = bool(box.labels) and own[0] not in {label.name for label in box.labels}
        total = sum(volumes_ml[name] for name in own)
        totals.append(total)
        if box.volume_ml is not None:
            yield from _check_volume(manifest.anatomy if is_crop else box.name, total, box.volume_ml)
        if is_crop:
            return
    if rule.asymmetry is not None and len(totals) == 2 and sum(totals) > 0:
        difference = abs(totals[0] - totals[1]) / (sum(totals) / 2)
        if difference > rule.asymmetry:
            both = " and ".join(f"{total:.2f} ml" for total in totals)
            yield (
                f"the two sides differ by {difference:.0%} ({both}), more than the {rule.asymmetry:.0%} that are "
                "usual: check both"
            )


def _check_volume(name: str, total: float, known: tuple[float, float]) -> Iterator[str]:
    low, high = known
    if total < _NOT_A_RESULT * low:
        yield (
            f"{total:.2f} ml of the {name} is not a result: an adult has {low:g} to {high:g} ml, so the model did not "
            "recognise it in this scan; do not use this volume"
        )
    elif not low <= total <= high:
        yield f"the {name} has {total:.2f} ml here, an adult {low:g} to {high:g} ml: check it before you use it"
