"""Cases to correct: an image, its truth, and a start that is good, blurred, spoilt or empty."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import medseg
from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Affine, Image
from medseg.io.read import read_image, read_labels

MODEL = "hippocampus-ultralight3d"
_BLUR = 4.8 / 2.355  # voxels of 1 mm: 4.8 mm full width at half maximum


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """Something to correct.

    Attributes:
        image: ``(I, J, K)``.
        truth: ``(I, J, K)`` labels.
        probabilities: ``(L, I, J, K)`` float32 of the start.
        affine: ``(4, 4)``, voxel -> RAS mm.
        plain: whether the corrector sees labels alone.
        reach: mm.
    """

    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    affine: Affine
    plain: bool = False
    reach: float = 10.0

    @property
    def spacing(self) -> tuple[float, float, float]:
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities of ``(L, I, J, K)`` logits."""
    powers = np.exp(logits - logits.max(axis=0))
    return (powers / powers.sum(axis=0)).astype(np.float32)


def hippocampi(
    folder: Path, part: str, cache: Path, *, count: int | None = None, step: int = 1, blurred: bool = False
) -> list[Case]:
    """Cases of fold 0 as the shipped model segments them; what was segmented once is kept in ``cache``.

    Args:
        folder: MSD's Task04 with ``splits_final.json``.
        part: "train" or "val".
        cache: folder.
        count: the first so many.
        step: every so many alone.
        blurred: whether the network sees the image blurred to 4.8 mm; the corrector sees the sharp one.
    """
    names = json.loads((folder / "splits_final.json").read_text(encoding="utf-8"))[0][part]
    cases = []
    for name in (sorted(names) if part == "train" else names)[::step][:count]:
        kept = cache / f"{'blurred' if blurred else 'good'}-{name}.npz"
        if not kept.is_file():
            _segment(folder, name, kept, blurred=blurred)
        with np.load(kept, allow_pickle=False) as stored:
            cases.append(Case(**{key: stored[key] for key in ("image", "truth", "probabilities", "affine")}))
    return cases


def _segment(folder: Path, name: str, kept: Path, *, blurred: bool) -> None:
    image = read_image(folder / "imagesTr" / f"{name}.nii.gz").image
    truth = read_labels(folder / "labelsTr" / f"{name}.nii.gz")
    values = image.array[0].astype(np.float32)
    seen = ndimage.gaussian_filter(values, _BLUR) if blurred else values
    found = medseg.segment(Image(seen[None], image.affine), model=MODEL, device="cpu", probabilities=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    probabilities = found.probabilities.array.astype(np.float32)
    np.savez(kept, image=values, truth=truth.array[0], probabilities=probabilities, affine=image.affine)


def emptied(case: Case) -> Case:
    """Nothing but strokes: every voxel is background, as surely as the protocol has it (0.79 of three labels)."""
    logits = np.zeros_like(case.probabilities)
    logits[0] = 2
    return replace(case, probabilities=softmax(logits))


def noisy(case: Case, random: np.random.Generator, *, sigma: float, size: float, shift: int = 0) -> Case:
    """A start made worse: its logits smoothed and moved by up to ``shift`` voxels, and smooth noise added.

    Args:
        case: the start.
        random: where the noise comes from.
        sigma: of the noise, in voxels.
        size: its standard deviation, in logits.
        shift: voxels; 0: the logits are not smoothed either.
    """
    logits = np.log(np.maximum(case.probabilities, 1e-6))
    if shift:
        width = random.uniform(0.45, 1.5)
        logits = np.stack([ndimage.gaussian_filter(each, width) for each in logits])
        logits = np.roll(logits, random.integers(-shift, shift + 1, 3), (1, 2, 3))
    noise = np.stack([ndimage.gaussian_filter(random.standard_normal(case.truth.shape), sigma) for _ in logits])
    return replace(case, probabilities=softmax(logits + noise * (size / noise.std())))


def spoilt(case: Case, random: np.random.Generator, size: float = 2.5) -> Case:
    """A start of two labels: the true signed distance in mm, plus smooth noise of this standard deviation."""
    mask, spacing = case.truth > 0, case.spacing
    inside, outside = (ndimage.distance_transform_edt(each, sampling=spacing) for each in (mask, ~mask))
    noise = ndimage.gaussian_filter(random.standard_normal(mask.shape[::-1]), 3).T  # as the protocol drew it
    field = np.clip(inside - outside, -8, 8) + noise / noise.std() * size
    return replace(case, probabilities=softmax(np.stack([-field / 2, field / 2])))


def volume(image: Path, labels: Path) -> tuple[Image, Image]:
    """An image and its labels on one grid."""
    scan, found = read_image(image).image, read_labels(labels)
    return scan, resample_to(found, scan.shape, scan.affine, order="nearest")


def cut(scan: Image, mask: NDArray[np.bool_], low: Sequence[int], high: Sequence[int], step: int = 1) -> Case:
    """A box of a volume with one structure; ``step`` leaves out slices along the last axis."""
    (i, j, k), ends = (max(int(a), 0) for a in low), [int(b) for b in high]
    box = (slice(i, ends[0]), slice(j, ends[1]), slice(k, ends[2], step))
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    affine[:3, 2] *= step
    image, truth = scan.array[0][box].astype(np.float32), mask[box].astype(np.uint8)
    nothing = softmax(np.stack([np.ones(truth.shape), -np.ones(truth.shape)]))
    return Case(image=image, truth=truth, probabilities=nothing, affine=affine)


FOREIGN = {
    "aorta": ("03_ct_aorta_1p5mm/ct.nii.gz", "03_ct_aorta_1p5mm/seg_aorta_pseudo.nii.gz"),
    "lesion": ("11_brain_nrrd_roi/brain1_image.nrrd", "11_brain_nrrd_roi/brain1_label.nrrd"),
}


def foreign(folder: Path) -> Iterator[tuple[str, Case]]:
    """A CT aorta and an MR lesion in thick slices that no training saw, each from a spoilt and an empty start."""
    for name, (image, labels) in FOREIGN.items():
        scan, truth = volume(folder / image, folder / labels)
        mask = truth.array[0] > 0
        where = np.argwhere(mask)
        low = np.maximum(where.min(axis=0) - 12, 0)
        case = cut(scan, mask, low, np.minimum(where.max(axis=0) + 13, low + 96))
        yield f"{name}, spoilt", spoilt(case, np.random.default_rng(0))
        yield f"{name}, empty", case


LEARNT = {
    "CT organs": ("01_ct_torso_3mm/ct_slab.nii.gz", "01_ct_torso_3mm/ct_slab_seg_multiorgan_pseudo.nii.gz"),
    "CT vertebrae": ("01_ct_torso_3mm/ct.nii.gz", "01_ct_torso_3mm/seg_vertebrae_pseudo.nii.gz"),
    "MR organs": ("04_mr_torso_slab/mr.nii.gz", "04_mr_torso_slab/seg_multiorgan_pseudo.nii.gz"),
    "MR brain": ("10_brain_ch2_aal/t1.nii.gz", "10_brain_ch2_aal/seg_aal116.nii.gz"),
    "MS lesions": ("05_ms_brain_4channel/flair.nii.gz", "05_ms_brain_4channel/seg_ms_lesion_expert.nii.gz"),
}


def other_anatomies(folder: Path, count: int, random: np.random.Generator) -> list[Case]:
    """Structures of CT and MR volumes to learn from, in boxes, from spoilt and empty starts, some in thick slices."""
    volumes = [volume(folder / image, folder / labels) for image, labels in LEARNT.values()]
    cases: list[Case] = []
    while len(cases) < count:
        scan, labels = volumes[random.integers(len(volumes))]
        values = np.unique(labels.array)
        mask = labels.array[0] == random.choice(values[values > 0])
        where = np.argwhere(mask)
        centre, half = where[random.integers(len(where))], np.array([12 if mm > 2 else 30 for mm in scan.spacing])
        step = int(random.integers(2, 5)) if random.random() < 0.5 else 1
        case = cut(scan, mask, centre - half, centre + half, step=step)
        if case.truth.sum() < 30 or min(case.truth.shape) < 4:
            continue
        if random.random() > 0.25:
            scale = max(1.0, min(case.spacing) / 1.5)
            case = spoilt(case, random, random.uniform(0.7, 4) * scale)
        cases.append(replace(case, reach=10.0 * max(1.0, min(case.spacing) / 1.5) if random.random() < 0.5 else 10.0))
    return cases
