"""What this computer can run networks on, as a worker told it last."""

from collections.abc import Callable

from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.spec.errors import MedSegError
from medseg.spec.events import Described, Device


class DeviceList:
    """Asks a worker, and keeps its answer.

    Args:
        describe: asks; the answer comes to ``heard``.
        gate: knows whether a worker could answer; None: it can.
        say: hears why nobody could be asked.
        on_change: hears what a worker told; no devices where it could not.
    """

    def __init__(
        self,
        describe: Callable[[], None],
        gate: DependencyInstaller | None,
        say: Callable[[str], None],
        on_change: Callable[[tuple[Device, ...]], None],
    ) -> None:
        self.known: tuple[Device, ...] = ()
        self._describe, self._gate, self._say, self._on_change = describe, gate, say, on_change

    @property
    def can_be_asked(self) -> bool:
        """Whether a worker has what it needs; where packages are missing none can know."""
        return self._gate is None or self._gate.is_ready()

    def ask(self) -> None:
        """Ask a worker."""
        try:
            self._describe()
        except MedSegError as error:
            self._say(str(error))

    def heard(self, event: Described) -> None:
        """Take the answer."""
        self.known = event.devices or self.known
        self._on_change(event.devices)
