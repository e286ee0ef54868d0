"""The learned answer: strokes of the simulated user on training cases, and a fit of what each voxel near them is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.imaging.correction.answer import Answer
from medseg.imaging.correction.corrector import Corrector
from medseg.imaging.correction.rule import Rule
from strokes.cases import Case, emptied, noisy
from strokes.user import User, grid_of, largest_error

Inputs = NDArray[np.float32]
HIDDEN = 32


@dataclass(frozen=True)
class Lesson:
    """Voxels that were asked about, and whether each has the stroke's label in truth."""

    inputs: Inputs
    truth: NDArray[np.bool_]


def joined(lessons: Sequence[Lesson]) -> Lesson:
    return Lesson(np.concatenate([each.inputs for each in lessons]), np.concatenate([each.truth for each in lessons]))


def first_guess(inputs: Inputs) -> NDArray[np.float32]:
    """Before anything is learnt: yes within half the width of the error, no further away."""
    return 3 - 3 * inputs[:, 2]


class Overheard:
    """An answer that keeps what it was asked."""

    def __init__(self, answer: Callable[[Inputs], NDArray[np.float32]]) -> None:
        self._answer = answer
        self.inputs: Inputs = np.empty((0, 0), np.float32)

    def __call__(self, inputs: Inputs) -> NDArray[np.float32]:
        self.inputs = inputs
        return self._answer(inputs)


def lessons(
    cases: Sequence[Case],
    strokes: int,
    answer: Callable[[Inputs], NDArray[np.float32]],
    doubt: float,
    random: np.random.Generator,
    kept: int = 250,
) -> Lesson:
    """Let the user correct cases with the present answer, and keep what was asked.

    Half of the clicks miss the innermost voxel by one; three in ten are strokes in one of the planes; one case in ten
    has no image, and the reach varies by a fifth.
    """
    found = []
    for case in cases:
        heard = Overheard(answer)
        corrector = Corrector(grid_of(case, image=random.random() > 0.1), answer=heard, rule=Rule(doubt=doubt))
        ways = random.choice(["click", "i", "j", "k"], strokes, p=[0.7, 0.1, 0.1, 0.1])
        user = User(seed=int(random.integers(2**31)))
        for way in ways:
            error = largest_error(corrector.grid.labels, case.truth, case.spacing)
            if error is None:
                break
            user.way, user.jitter = way, int(random.random() < 0.5)
            reach = min(100.0, case.reach * float(np.exp(random.uniform(-0.2, 0.2))))
            stroke = user.stroke(error, replace(case, reach=reach))
            question = corrector.question(stroke, error.value)
            truth = (case.truth[question.place.box] == error.value)[question.near]
            corrector.apply(stroke, error.value)
            some = random.permutation(len(truth))[:kept]
            found.append(Lesson(heard.inputs[some], truth[some]))
    return joined(found)


def fit(lesson: Lesson, *, steps: int = 6000, seed: int = 0) -> Answer:
    """Fit two hidden layers by binary cross-entropy; the scales of the inputs end up in the first layer's weights."""
    torch.manual_seed(seed)
    mean, scale = lesson.inputs.mean(axis=0), lesson.inputs.std(axis=0) + 1e-2
    inputs = torch.from_numpy((lesson.inputs - mean) / scale)
    truth = torch.from_numpy(lesson.truth.astype(np.float32))
    layers = [torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.Linear(HIDDEN, 1)]
    network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    optimiser = torch.optim.AdamW(network.parameters(), 4e-3, weight_decay=1e-3)
    for step in range(steps):
        some = torch.randint(len(inputs), (2048,))
        optimiser.param_groups[0]["lr"] = 4e-3 * (1 - step / steps) + 1e-5
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(inputs[some])[:, 0], truth[some])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    (first, bias), *others = [(each.weight.detach().numpy().T, each.bias.detach().numpy()) for each in layers]
    scaled = (first / scale[:, None]).astype(np.float32)
    return Answer(((scaled, (bias - (mean / scale) @ first).astype(np.float32)), *others))


def train(good: Sequence[Case], blurred: Sequence[Case], other: Callable[[], list[Case]], seed: int = 0) -> Answer:
    """Three rounds, each on the answer of the one before; the lessons of all are fitted together."""
    random = np.random.default_rng(seed)
    answer: Callable[[Inputs], NDArray[np.float32]] = first_guess
    heard: list[Lesson] = []
    for number, doubt in enumerate((1.0, 0.8, 0.5)):
        begun = time.perf_counter()
        slight = [noisy(case, random, sigma=random.uniform(1.5, 3.5), size=random.uniform(0.5, 3)) for case in good]
        strong = [noisy(case, random, sigma=3, size=random.uniform(0.7, 2.4), shift=2) for case in good[::2]]
        nothing = [emptied(case) for case in good[number::4]]
        fine = some_plain([*good, *slight], 2)
        coarse = some_plain([*strong, *blurred, *nothing, *other()], 3)
        heard.append(lessons(fine, 9, answer, doubt, random))
        heard.append(lessons(coarse, 7, answer, doubt / 2, random))
        fitted = fit(joined(heard))
        count = sum(len(each.truth) for each in heard)
        print(f"round {number + 1}: {count} voxels, {time.perf_counter() - begun:.0f} s", flush=True)
        answer = fitted
    return fitted


def some_plain(cases: Sequence[Case], every: int) -> list[Case]:
    """Every so many of the cases from labels alone."""
    return [replace(case, plain=number % every == every - 1) for number, case in enumerate(cases)]
