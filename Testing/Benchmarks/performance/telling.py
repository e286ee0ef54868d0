"""Progress lines, on the error stream: the other one carries a child's answer."""

import sys
import time


def tell(line: str) -> None:
    """Say something with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
