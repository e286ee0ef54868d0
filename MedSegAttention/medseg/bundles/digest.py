"""Which weights exactly: the SHA-256 of a bundle's file. No torch."""

import hashlib
import threading
from functools import lru_cache
from pathlib import Path

from medseg.bundles.catalogue import Bundle
from medseg.bundles.stages import weights_files


def weights_digest(bundle: Bundle) -> str | None:
    """SHA-256 of the weights in hexadecimal, of several stages that of theirs together; None where one is not readable.

    A file is read once: again only when its size or the time of its last change is another.
    """
    try:
        found = [_digest_now(path) for path in weights_files(bundle)]
    except OSError:
        return None
    return found[0] if len(found) == 1 else hashlib.sha256("\n".join(found).encode()).hexdigest()


def begin_digest(bundle: Bundle) -> None:
    """Read the weights in another thread, so that a later ``weights_digest`` does not wait."""
    threading.Thread(target=weights_digest, args=(bundle,), name="weights digest", daemon=True).start()


def _digest_now(path: Path) -> str:
    file = path.stat()
    return _digest(path, file.st_size, file.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()
