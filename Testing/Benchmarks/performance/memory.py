"""How much memory something takes at its peak, as Linux counts it; on other systems nothing is known."""

import ctypes
import gc
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """The most resident memory of this process since it was made, beyond what it held then, in MiB.

    ``restart`` and ``since_restart`` ask the same of a part of that time.
    """

    def __init__(self) -> None:
        gc.collect()
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier work left would be used again and not be seen
            _RESET.write_text("5")
        except OSError:
            self._known = False
            return
        self._known = True
        self._begun = self._restarted = _mib("VmRSS")
        self._highest = 0.0

    def restart(self) -> None:
        """Begin a part."""
        if self._known:
            self._highest = max(self._highest, _mib("VmHWM"))
            _RESET.write_text("5")
            self._restarted = _mib("VmRSS")

    @property
    def since_restart(self) -> float | None:
        """Of the part so far; None where the system does not tell."""
        return _mib("VmHWM") - self._restarted if self._known else None

    @property
    def in_all(self) -> float | None:
        """Of the whole time so far; None where the system does not tell."""
        return max(self._highest, _mib("VmHWM")) - self._begun if self._known else None


def _mib(name: str) -> float:
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(name)) / 1024
