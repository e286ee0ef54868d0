"""An engine: a network made ready to answer windows of one shape, as fast as this machine can."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


class EngineRefused(Exception):
    """An engine cannot run this network, or runs it wrongly; the message is a sentence for the user."""


@dataclass(frozen=True, eq=False)
class Engine:
    """A network ready to run.

    Attributes:
        name: what the user is shown, e.g. "OpenVINO 2026.4.1 (float32)".
        run: ``(B, C, *S)`` -> logits ``(B, L, *S)``, a tensor of its own each time.
        remarks: sentences the user should hear, e.g. why another engine was not used.
        seconds: what making it ready took.
        from_cache: whether an earlier run's compiled network was used.
        hasty: whether a faster one was not made because too few passes were coming.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0
    from_cache: bool = False
    hasty: bool = False

    @property
    def description(self) -> str:
        """What the user is shown of it, with where a compiled network came from."""
        return f"{self.name}, compiled network from the cache" if self.from_cache else self.name

    def __call__(self, windows: Tensor) -> Tensor:
        """Logits of a batch of windows."""
        return self.run(windows)
