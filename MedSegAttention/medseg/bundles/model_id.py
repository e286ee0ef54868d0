"""A model's id out of a folder's name."""

from pathlib import Path


def model_id_of(output: Path) -> str:
    """An id out of a folder's name: small letters, digits, dots, dashes and underscores.

    Example:
        >>> model_id_of(Path("Models/My Model (2)"))
        'my-model-2'
    """
    kept = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._-") else " " for sign in output.name.lower()
    )
    return "-".join(kept.split()).lstrip("._-") or "model"
