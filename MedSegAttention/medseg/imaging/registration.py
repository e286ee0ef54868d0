"""Where a template lies in a patient: rigid, then affine, by mutual information, from several starts. SimpleITK only.

Images are handed to ITK with their RAS millimetres as they are: it never asks which way the axes point.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import sitk
from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Affine, Image
from medseg.imaging.intensity import as_finite
from medseg.imaging.registration_inputs import below_top, mass_centre, middle, shrunk, to_itk, windowed

_FINE_MM = 3.0
_COARSE_MM = 8.0
_BINS = 32
_SEED = 1
_SHARE, _MOST_SAMPLES = 0.15, 30_000  # of the patient's voxels that are looked at in each step
_LEAST_STEP_MM = 1e-3
_Turn: TypeAlias = tuple[float, float, float]  # radians about R, A, S
_Levels: TypeAlias = Sequence[tuple[int, float]]  # shrink factor, smoothing in mm
_RIGID: _Levels = ((4, 6.0), (2, 3.0))
_AFFINE: _Levels = ((2, 3.0), (1, 1.0))
_UPRIGHT: _Turn = (0.0, 0.0, 0.0)
_TILT = 0.45  # radians between the orientations that are tried
_TURNS: tuple[_Turn, ...] = tuple(
    (about_r, about_a, about_s)
    for about_r, about_a, about_s in product((-_TILT, 0.0, _TILT), repeat=3)
    if (about_r, about_a, about_s) != _UPRIGHT
)
SCALES = (0.72, 1.38)  # of heads, against the template
_STARTS = 2  # that are followed
_GOOD = 0.50  # a quality at which no other orientation is tried
_SURE, _GAIN, _AGAIN = 0.60, 0.02, 4  # a quality that is not improved further; what is worth another descent; descents


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
    target = windowed(template.image, is_ct=False)
    air = float(target.array.min())
    brain = Image(np.where(template.regions.array > 0, target.array, air), target.affine)
    fine = shrunk(prepared, _FINE_MM)
    fixed, coarse = to_itk(fine), to_itk(shrunk(fine, _COARSE_MM))
    pairs = [  # the patient may be stripped, too
        _Pair(fixed, to_itk(moving), coarse, to_itk(shrunk(moving, _COARSE_MM))) for moving in (target, brain)
    ]
    search = _Search(pairs, template, fine)
    with _one_thread():
        best = search.upright()
        if best.quality < _GOOD:
            best = max(best, search.turned(), key=lambda found: found.quality)
    return best


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK's metric add in one order: a method's own number of threads does not reach it, the global one does."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The patient, and the template that is moved to it: whole, or its brain alone."""

    fixed: Any
    moving: Any
    coarse_fixed: Any
    coarse_moving: Any

    def starts(self, centre: Callable[[Any], NDArray[np.float64]], turns: Sequence[_Turn]) -> list[Any]:
        """Lay a point of the template on the same of the patient, turned in each way."""
        own, theirs = centre(self.fixed), centre(self.moving)
        transforms = []
        for turn in turns:
            transform = sitk.Euler3DTransform()
            transform.SetCenter(own.tolist())
            transform.SetTranslation((theirs - own).tolist())
            transform.SetRotation(*turn)
            transforms.append(transform)
        return transforms

    def value(self, transform: Any) -> float:
        """The metric at a coarse resolution, less is better."""
        method = _metric()
        method.SetInitialTransform(transform)
        try:
            return float(method.MetricEvaluate(self.coarse_fixed, self.coarse_moving))
        except RuntimeError:  # they hardly overlap
            return np.inf

    def descend(self, transform: Any, *, rate: float, steps: int, levels: _Levels) -> Any:
        """Improve a transform in place; one that loses the patient stays where it was lost."""
        method = _method(self.fixed, levels)
        method.SetOptimizerAsRegularStepGradientDescent(rate, _LEAST_STEP_MM, steps, gradientMagnitudeTolerance=1e-5)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        with suppress(RuntimeError):  # they lost each other, or the image is a few voxels thin
            method.Execute(self.fixed, self.moving)
        return transform


@dataclass(frozen=True, eq=False)
class _Search:
    """Both forms of the template, and what says how well they agree."""

    pairs: Sequence[_Pair]
    template: Template
    patient: Image

    def upright(self) -> Registration:
        """Begin with the head as it usually lies in a scanner."""
        return self._finish([(pair, pair.starts(below_top, [_UPRIGHT])) for pair in self.pairs])

    def turned(self) -> Registration:
        """Begin with the best of other orientations and centres."""
        chosen = []
        for pair in self.pairs:
            starts = [start for centre in (below_top, mass_centre, middle) for start in pair.starts(centre, _TURNS)]
            chosen.append((pair, sorted(starts, key=pair.value)[:_STARTS]))
        return self._finish(chosen)

    def _finish(self, starts: Sequence[tuple[_Pair, Sequence[Any]]]) -> Registration:
        """Follow each start rigidly, and the best of each form of the template to an affine, until one is good."""
        rigid = []
        for pair, own in starts:
            done = [_as_affine(pair.descend(start, rate=4.0, steps=80, levels=_RIGID)) for start in own]
            scored = [(self._registration(each).quality, each) for each in done]
            rigid.append((pair, *max(scored, key=lambda each: each[0])))
        best = Registration(np.eye(4), 0.0)
        for pair, _, affine in sorted(rigid, key=lambda each: -each[1]):
            best = max(best, self._affine(pair, affine), key=lambda found: found.quality)
            if best.quality >= _GOOD:
                break
        return best

    def _affine(self, pair: _Pair, transform: Any) -> Registration:
        """Descend; where the two do not agree well yet, again for as long as that helps: a tilt takes many steps."""
        best = Registration(np.eye(4), 0.0)
        for _ in range(_AGAIN):
            found = self._registration(pair.descend(transform, rate=2.0, steps=100, levels=_AFFINE))
            gained = found.quality - best.quality
            best = max(best, found, key=lambda each: each.quality)
            if found.quality >= _SURE or gained < _GAIN:
                break
        return best

    def _registration(self, affine: Any) -> Registration:
        try:
            to_patient = np.linalg.inv(_matrix(affine)).astype(np.float64)
        except np.linalg.LinAlgError:
            return Registration(np.eye(4), 0.0)
        scales = np.linalg.svd(to_patient[:3, :3])[1]
        if scales.min() < SCALES[0] or scales.max() > SCALES[1]:
            return Registration(to_patient, 0.0)
        return Registration(to_patient, quality(self.patient, self.template, to_patient))


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


def _metric() -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _method(fixed: Any, levels: _Levels) -> Any:
    method = _metric()
    voxels = fixed.GetNumberOfPixels()
    shares = [min(_SHARE, _MOST_SAMPLES * shrink**3 / voxels) for shrink, _ in levels]
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(shares, _SEED)
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    return method


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
