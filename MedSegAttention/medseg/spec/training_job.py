"""One training asked for by another program: labelled cases in, the folder of a model out."""

from dataclasses import dataclass
from math import inf, isnan

from medseg.spec.errors import JobError
from medseg.spec.manifest import LabelSpec


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What to train on, what to begin with, and for how long; None means: decide for me.

    Attributes:
        dataset: folder of labelled cases, or its ``dataset.json``.
        output: folder of the new model, named like it; it must not exist.
        title: what people call the new model.
        start: folder or id of the model to begin with.
        network: what to train from nothing; exactly one of ``start`` and ``network`` is given.
        labels: names, colours and codes of the values 1, 2, ...; empty: as the data set names them.
        seconds: the training ends, with a finished schedule, after this time.
        steps: or after so many steps, whichever comes first.
        device: auto, cpu, cuda, cuda:1, mps.
        subjects: CSV file with the columns ``case`` and ``subject``: no subject is on both sides of the division into
            cases that train and cases that score.
        seed: of all random choices.
    """

    dataset: str
    output: str
    title: str
    start: str | None = None
    network: str | None = None
    labels: tuple[LabelSpec, ...] = ()
    seconds: float = 1800.0
    steps: int | None = None
    device: str = "auto"
    subjects: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if (self.start is None) == (self.network is None):
            msg = f"a training begins with a model or with a network, got {self.start!r} and {self.network!r}; name one"
            raise JobError(msg)
        if not self.title.strip():
            msg = f"a model has a name, got {self.title!r}; write one"
            raise JobError(msg)
        if isnan(self.seconds) or not 0 < self.seconds < inf:
            msg = f"a training takes a time above 0 s, got {self.seconds}; give it some minutes"
            raise JobError(msg)
        if self.steps is not None and self.steps < 1:
            msg = f"a training has at least 1 step, got {self.steps}; leave it out or give a number"
            raise JobError(msg)
