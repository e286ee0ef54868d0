"""Where a template lies in a patient: rigid, then affine, by mutual information, from several starts. SimpleITK only.

Images are handed to ITK with their RAS millimetres as they are: it never asks which way the axes point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import sitk
from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Affine, Image
from medseg.imaging.intensity import as_finite
from medseg.imaging.registration_inputs import below_top, mass_centre, middle, padded, shrunk, to_itk, windowed

_FINE_MM = 3.0
_COARSE_MM = 8.0
_BINS = 32
_SEED = 1
_Turn: TypeAlias = tuple[float, float, float]  # radians about R, A, S
_How: TypeAlias = tuple[int, float]  # voxels of the patient that are looked at in each step, least step in mm
_FEW: _How = (7_000, 0.03)
_MANY: _How = (15_000, 0.001)
_Level: TypeAlias = tuple[int, float]  # shrink factor, smoothing in mm
_LEVELS: tuple[_Level, ...] = ((2, 3.0), (1, 1.0))
_PITCHES = (0.0, -0.4, 0.4)  # radians: how far chins are down or up
SCALES = (0.72, 1.38)  # of heads, against the template
_STARTS = 2  # that are followed
_TURN = 0.5
_TURNS = tuple(
    (sign * a, sign * b, sign * c)
    for a, b, c in ((_TURN, 0.0, 0.0), (0.0, _TURN, 0.0), (0.0, 0.0, _TURN))
    for sign in (-1, 1)
)
_GOOD = 0.40  # a quality at which no other orientation is tried


@dataclass(frozen=True, eq=False)
class Template:
    """A head whose anatomy is known.

    Attributes:
        image: ``(1, I, J, K)``, whole head.
        regions: ``(1, I, J, K)`` on the same grid: 0 outside the brain, 1 its fluid, 2 grey, 3 white matter, 4 the
            rest of the brain.
    """

    image: Image
    regions: Image


@dataclass(frozen=True, eq=False)
class Registration:
    """How a template lies in a patient.

    Attributes:
        to_patient: ``(4, 4)``, template mm -> patient mm, both RAS.
        quality: how much the two have in common inside the head, 0..1: the correlation of two normal variables
            with the same mutual information.
    """

    to_patient: Affine
    quality: float  # 0 where no head has such a size


def looks_like_ct(image: Image) -> bool:
    """Whether the values of the first channel are Hounsfield units: air around -1000, and soft tissue around 50."""
    values = image.array[0, ::2, ::2, ::2]
    values = values[np.isfinite(values)]
    if values.size == 0 or values.min() > -800:
        return False
    soft = np.mean((values > -150) & (values < 150))
    return bool(np.mean(values < -800) > 0.02 and soft > 0.05)


def register(image: Image, template: Template) -> Registration:
    """Find the affine that brings a template to a patient.

    The same answer every time: samples are drawn with a fixed seed, in one thread.

    Args:
        image: ``(C, I, J, K)`` of any orientation; the first channel counts.
        template: a whole head; the patient may be stripped of its skull.
    """
    prepared = windowed(Image(as_finite(image.array[:1]), image.affine), is_ct=looks_like_ct(image))
    target = padded(windowed(template.image, is_ct=False))
    air = float(target.array.min())
    brain = Image(np.where(padded(template.regions).array > 0, target.array, air), target.affine)
    fine = shrunk(prepared, _FINE_MM)
    pairs = [
        (_Pair.of(shrunk(fine, _COARSE_MM), shrunk(moving, _COARSE_MM)), _Pair.of(fine, moving))
        for moving in (target, brain)  # the patient may be stripped, too
    ]
    search = _Search(pairs, template, fine)
    best = search.from_turns([(pitch, 0.0, 0.0) for pitch in _PITCHES])
    if best.quality < _GOOD:
        best = max(best, search.from_turns(_TURNS), key=lambda found: found.quality)
    return best


@dataclass(frozen=True, eq=False)
class _Pair:
    """The patient, and the template that is moved to it."""

    fixed: Any
    moving: Any

    @classmethod
    def of(cls, fixed: Image, moving: Image) -> Self:
        return cls(to_itk(fixed), to_itk(moving))


@dataclass(frozen=True, eq=False)
class _Search:
    """Two resolutions of both images, and what says how well they agree."""

    pairs: list[tuple[_Pair, _Pair]]  # coarse and fine: the whole template, and its brain alone
    template: Template
    patient: Image

    def from_turns(self, turns: Sequence[_Turn]) -> Registration:
        """Begin at several centres with each turn, keep the best after the coarse level, and finish that."""
        (whole, fine), (coarse_brain, fine_brain) = self.pairs
        head, brain = self._head(whole, fine, turns), self._brain(coarse_brain, fine_brain, turns)
        return max(head, brain, key=lambda found: found.quality)

    def _head(self, coarse: _Pair, fine: _Pair, turns: Sequence[_Turn]) -> Registration:
        """With the skull: coarse and middle level rigid, then the affine at the middle and the fine level."""
        rigid = self._begin(coarse, turns, rate=4.0, steps=20, how=_FEW)
        self._descend(fine, rigid, rate=3.0, steps=25, how=_FEW, levels=_LEVELS[:1])
        affine = _as_affine(rigid)
        self._descend(fine, affine, rate=2.0, steps=30, how=_FEW, levels=_LEVELS[:1])
        self._descend(fine, affine, rate=1.0, steps=40, how=_FEW, levels=_LEVELS[1:])
        return self._registration(affine)

    def _brain(self, coarse: _Pair, fine: _Pair, turns: Sequence[_Turn]) -> Registration:
        """Without it: the affine begins at the coarse level, by all of its voxels."""
        affine = _as_affine(self._begin(coarse, turns, rate=4.0, steps=40, how=_MANY))
        self._descend(coarse, affine, rate=2.0, steps=60, how=_MANY)
        self._descend(fine, affine, rate=1.0, steps=60, how=_MANY)
        return self._registration(affine)

    def _begin(self, coarse: _Pair, turns: Sequence[_Turn], *, rate: float, steps: int, how: _How) -> Any:
        """The best of the starts at the coarse level."""
        starts = [self._rigid(centre, shift, turn) for centre, shift in self._centres(coarse) for turn in turns]
        chosen = sorted(starts, key=lambda start: _value(coarse, start))[:_STARTS]
        done = [self._descend(coarse, start, rate=rate, steps=steps, how=how) for start in chosen]
        return min(done, key=lambda each: each[0])[1]

    def _registration(self, affine: Any) -> Registration:
        try:
            to_patient = np.linalg.inv(_matrix(affine)).astype(np.float64)
        except np.linalg.LinAlgError:
            return Registration(np.eye(4), 0.0)
        scales = np.linalg.svd(to_patient[:3, :3])[1]
        if scales.min() < SCALES[0] or scales.max() > SCALES[1]:
            return Registration(to_patient, 0.0)
        return Registration(to_patient, quality(self.patient, self.template, to_patient))

    @staticmethod
    def _centres(pair: _Pair) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Points of the patient, and the way from each to its point of the template."""
        fixed, moving = pair.fixed, pair.moving
        pairs = [(mass_centre(fixed), mass_centre(moving)), (middle(fixed), middle(moving))]
        pairs.append((below_top(fixed), below_top(moving)))
        return [(a, b - a) for a, b in pairs]

    @staticmethod
    def _rigid(centre: NDArray[np.float64], shift: NDArray[np.float64], turn: _Turn) -> Any:
        transform = sitk.Euler3DTransform()
        transform.SetCenter(centre.tolist())
        transform.SetTranslation(shift.tolist())
        transform.SetRotation(*turn)
        return transform

    @staticmethod
    def _descend(
        pair: _Pair, transform: Any, *, rate: float, steps: int, how: _How, levels: Sequence[_Level] = ((1, 0.0),)
    ) -> tuple[float, Any]:
        method = _method()
        voxels = pair.fixed.GetNumberOfPixels()
        samples, least_step = how
        if samples < voxels:
            shares = [min(1.0, samples * shrink**3 / voxels) for shrink, _ in levels]
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentagePerLevel(shares, _SEED)
        method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
        method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
        method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
        method.SetOptimizerAsRegularStepGradientDescent(rate, least_step, steps, gradientMagnitudeTolerance=1e-5)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(pair.fixed, pair.moving)
        except RuntimeError:  # they lost each other, or the image is a few voxels thin: the start stays as it was
            return np.inf, transform
        return float(method.GetMetricValue()), transform


def quality(patient: Image, template: Template, to_patient: Affine) -> float:
    """How much a patient has in common with a template that was moved to it, as ``Registration`` says it."""
    step = 2
    regions = template.regions.array[0, ::step, ::step, ::step]
    brain = regions > 0
    grid = template.image.affine @ np.diag([step, step, step, 1.0])
    seen = resample_to(patient, brain.shape, to_patient @ grid, order="linear", outside=np.nan).array[0]
    known = brain & np.isfinite(seen)
    if known.sum() < 1000:
        return 0.0
    own = template.image.array[0, ::step, ::step, ::step]
    information = _mutual_information(seen[known], own[known]) * known.sum() / brain.sum()
    return float(np.sqrt(1 - np.exp(-2 * information)))


def _mutual_information(first: NDArray[Any], second: NDArray[Any]) -> float:
    """In nats, of 16 equally filled bins each."""
    bins = [np.searchsorted(np.quantile(each, np.linspace(0, 1, 17)[1:-1]), each) for each in (first, second)]
    joint = np.bincount(16 * bins[0] + bins[1], minlength=256).reshape(16, 16) / len(first)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def _method() -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _value(pair: _Pair, transform: Any) -> float:
    method = _method()
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(pair.fixed, pair.moving))
    except RuntimeError:  # they hardly overlap
        return np.inf


def _as_affine(rigid: Any) -> Any:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine.SetCenter(rigid.GetCenter())
    return affine


def _matrix(affine: Any) -> NDArray[np.float64]:
    linear, centre = np.array(affine.GetMatrix()).reshape(3, 3), np.array(affine.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = np.array(affine.GetTranslation()) + centre - linear @ centre
    return matrix
