"""What a run will take, in one line."""

from medseg.inference.forecast import Forecast


def forecast_words(expected: Forecast) -> str:
    """Say windows, memory and time, e.g. "forecast: 12 windows, about 600 MiB of memory, about 5 s in the network"."""
    windows = "1 window" if expected.windows == 1 else f"{expected.windows} windows"
    passes = "" if expected.passes == 1 else f" x {expected.passes} passes"
    parts = [windows + passes, f"about {expected.memory_mb} MiB of memory"]
    if expected.device_memory_mb is not None:
        parts.append(f"about {expected.device_memory_mb} MiB on the graphics card")
    if expected.seconds is None:
        parts.append("time unknown: never measured")
    else:
        digits = 1 if expected.seconds < 10 else 0
        parts.append(f"about {expected.seconds:.{digits}f} s in the network")
    return f"forecast: {', '.join(parts)}"
