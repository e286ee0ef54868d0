"""Images drawn from label maps while training, so that a network learns anatomy in any contrast.

After Billot et al., "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining",
Medical Image Analysis 86 (2023) 102789: a label map is deformed at random, every tissue gets a random brightness, and
blur, slice thickness, coil sensitivity, noise and skull stripping differ as scanners and software do. No image is
needed. What is drawn follows from the seed and the number of the image alone; all of it runs on the device of the maps.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.networks.layers import GaussianFilter
from monai.transforms.utils import create_rotate, create_shear
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from medseg.spec.manifest import IntTriple, Triple
from medseg.training.data.cases import Case
from medseg.training.data.label_maps import LabelMap
from medseg.training.planning.propose_synthetic import PERCENTILES
from medseg.training.planning.synthesis import Synthesis

_STREAM, _HELD_OUT_STREAM = 3, 4  # patches draw from stream 1, batches from stream 2
_FULL = 255.0  # brightness is drawn from 0 to this
_BEND_KNOTS, _BIAS_KNOTS = (4, 9), (2, 5)  # points along an axis between which a random field is interpolated
_SIMILAR = 0.05  # of the full range: how far the brightness of a tissue is from a known contrast
_DARK_AIR = 0.8  # part of the images


class SyntheticImages(Dataset[dict[str, Tensor]]):
    """Image number n of a run that never ends."""

    def __init__(
        self,
        maps: Sequence[LabelMap],
        synthesis: Synthesis,
        shape: IntTriple,
        spacing_mm: Triple,
        *,
        seed: int = 0,
        stream: int = _STREAM,
    ) -> None:
        """Remember what is drawn from.

        Args:
            maps: on one device, where images are drawn.
            synthesis: what their values mean and how far images go.
            shape: voxels of an image.
            spacing_mm: of its voxels.
            seed: of the run.
            stream: of random numbers, so that images to score on are none to learn from.
        """
        self.maps, self.shape, self.spacing_mm, self.ranges = list(maps), shape, spacing_mm, synthesis.ranges
        self.seed, self._stream, self.device = seed, stream, maps[0].tissue.device
        tissues = synthesis.tissues
        place = {tissue.value: n for n, tissue in enumerate(tissues, start=1)}
        groups = [tissue.group or f"value {tissue.value}" for tissue in tissues]
        names = sorted(set(groups))
        self._groups = np.array([0, *(1 + names.index(group) for group in groups)])
        self._inside = np.array([False, *(tissue.inside for tissue in tissues)])
        self._rim = np.array([False, *(tissue.rim for tissue in tissues)])
        contrasts = sorted({name for tissue in tissues for name in tissue.brightness})
        self._contrasts = [
            np.array([np.nan, *(tissue.brightness.get(name, np.nan) for tissue in tissues)]) for name in contrasts
        ]
        self._outputs = torch.tensor([0, *(tissue.label for tissue in tissues)], dtype=torch.uint8, device=self.device)
        mirrors = [0, *(place.get(tissue.value if t is None else t, 0) for tissue in tissues for t in [tissue.mirror])]
        self._mirrors = torch.tensor(mirrors, device=self.device)
        self._label_count = int(self._outputs.max()) + 1

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """One image: ``image`` (1, i, j, k) in 0..1, ``labels`` (1, i, j, k), ``known`` (L,), ``number`` ()."""
        image, labels = self.draw(number)
        known = torch.ones(self._label_count, dtype=torch.bool)
        return {"image": image, "labels": labels, "known": known, "number": torch.tensor(number)}

    @torch.no_grad()
    def draw(self, number: int) -> tuple[Tensor, Tensor]:
        """Image ``(1, I, J, K)`` float32 in 0..1 and its labels ``(1, I, J, K)`` uint8."""
        random = np.random.default_rng((self.seed, self._stream, number))
        noise = torch.Generator(self.device).manual_seed(int(random.integers(2**31)))
        tissue = self._deform(self.maps[int(random.integers(len(self.maps)))], random, noise)
        image = self._scan(self._light(tissue, random, noise), random, noise)
        # every other voxel along each axis tells as much and sorts eight times faster
        sorted_ = image[::2, ::2, ::2].flatten().sort().values
        low, high = (sorted_[round(percent / 100 * (len(sorted_) - 1))] for percent in PERCENTILES)
        image = ((image - low) / (high - low + 1e-6)).clamp(0, 1) ** math.exp(random.normal(0, self.ranges.gamma))
        return image[None], self._outputs[tissue][None]

    def _deform(self, source: LabelMap, random: np.random.Generator, noise: torch.Generator) -> Tensor:
        """Tissue ``(I, J, K)`` in every voxel of the image: affine, bent, perhaps with left and right exchanged."""
        r = self.ranges
        turn = create_rotate(3, np.radians(random.uniform(-r.turn, r.turn, 3)).tolist())[:3, :3]
        shear = create_shear(3, random.uniform(-r.shear, r.shear, 6).tolist())[:3, :3]
        matrix = turn @ shear @ np.diag(random.uniform(1 - r.scale, 1 + r.scale, 3))
        shift = source.centre * source.spacing_mm + random.uniform(-r.shift_mm, r.shift_mm, 3)
        mirrored = random.random() < r.mirrored
        knots = [int(random.integers(*_BEND_KNOTS))] * 3
        bend = torch.cat([self._normal(knots, noise) for _ in range(3)], dim=1) * random.uniform(0, r.bend_mm)
        place = F.interpolate(bend, self.shape, mode="trilinear", align_corners=True)[0]
        place += self._column(shift)
        for axis, (count, step) in enumerate(zip(self.shape, self.spacing_mm, strict=True)):
            along = (torch.arange(count, dtype=torch.float32, device=self.device) - (count - 1) / 2) * step
            place += self._column(matrix[:, axis]) * along.view([-1 if n == axis else 1 for n in range(3)])
        place /= self._column(source.spacing_mm)
        if mirrored:
            place[0] = 2 * float(source.centre[0]) - place[0]
        nearest, size = place.round_().long(), source.tissue.shape
        inside = torch.ones_like(nearest[0], dtype=torch.bool)
        flat = torch.zeros_like(nearest[0])
        for index, count in zip(nearest, size, strict=True):
            inside &= (index >= 0) & (index < count)
            flat = flat * count + index.clamp_(0, count - 1)
        tissue = source.tissue.flatten()[flat].long() * inside
        return self._mirrors[tissue] if mirrored else tissue

    def _light(self, tissue: Tensor, random: np.random.Generator, noise: torch.Generator) -> Tensor:
        """Brightness before the scanner: a mean and a spread for each group of tissues."""
        r, groups = self.ranges, self._groups
        count = groups.max() + 1
        mean = random.uniform(0, _FULL, count)[groups]
        if self._contrasts and random.random() < r.familiar:
            known = self._contrasts[int(random.integers(len(self._contrasts)))] * _FULL
            mean = np.where(np.isnan(known), mean, known + random.normal(0, _SIMILAR * _FULL, count)[groups])
        spread = random.uniform(0, r.deviation * _FULL, count)[groups]
        if random.random() < _DARK_AIR:
            mean[0], spread[0] = random.uniform(0, _FULL / 16), random.uniform(0, _FULL / 50)
        if random.random() < r.stripped:
            gone = ~self._inside | (self._rim if random.random() < 0.5 else False)
            mean[gone], spread[gone] = 0, 0
        means, spreads = (torch.tensor(each, dtype=torch.float32, device=self.device) for each in (mean, spread))
        return means[tissue] + spreads[tissue] * self._normal(tissue.shape, noise)[0, 0]

    def _scan(self, image: Tensor, random: np.random.Generator, noise: torch.Generator) -> Tensor:
        """Point spread, thick slices, coil sensitivity and noise."""
        r = self.ranges
        sigma = [float(mm / step) for mm, step in zip(random.uniform(*r.blur_mm, 3), self.spacing_mm, strict=True)]
        image = GaussianFilter(3, sigma, truncated=2.0).to(self.device)(image[None, None])
        if random.random() < r.thick:
            axis = int(random.integers(3))
            thickness = random.uniform(self.spacing_mm[axis], max(r.thickest_mm, self.spacing_mm[axis]))
            fewer = list(self.shape)
            fewer[axis] = max(1, round(self.shape[axis] * self.spacing_mm[axis] / thickness))
            image = F.interpolate(image, fewer, mode="area")
            image += random.uniform(0, r.noise) * _FULL * self._normal(fewer, noise)
            image = F.interpolate(image, self.shape, mode="trilinear")
        field = self._normal([int(random.integers(*_BIAS_KNOTS))] * 3, noise) * random.uniform(0, r.bias)
        image = image * F.interpolate(field, self.shape, mode="trilinear", align_corners=True).exp()
        return (image + random.uniform(0, r.noise) * _FULL * self._normal(self.shape, noise))[0, 0]

    def _normal(self, shape: Sequence[int], noise: torch.Generator) -> Tensor:
        return torch.randn((1, 1, *shape), generator=noise, device=self.device)

    def _column(self, values: Sequence[float] | NDArray[np.float64]) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=torch.float32, device=self.device).view(3, 1, 1, 1)


def held_out_cases(
    maps: Sequence[LabelMap], synthesis: Synthesis, shape: IntTriple, spacing_mm: Triple, *, seed: int
) -> list[Case]:
    """One image of each map, the same in every run of a seed, to score on."""
    cases = []
    for number, one in enumerate(maps):
        images = SyntheticImages([one], synthesis, shape, spacing_mm, seed=seed, stream=_HELD_OUT_STREAM)
        drawn = images[number]
        image, labels = drawn["image"].cpu().numpy(), drawn["labels"].cpu().numpy()
        cases.append(Case(one.name, image, labels, {}, drawn["known"].numpy()))
    return cases
