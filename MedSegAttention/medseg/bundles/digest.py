"""Which weights exactly: the SHA-256 of a bundle's file. No torch."""

import hashlib

from medseg.bundles.catalogue import Bundle


def weights_digest(bundle: Bundle) -> str | None:
    """SHA-256 of the weights in hexadecimal; None where they cannot be read."""
    try:
        with bundle.weights_path.open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest()
    except OSError:
        return None
