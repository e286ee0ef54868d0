"""Which file of a MONAI bundle holds the weights, and other files that its configuration reads."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medseg.bundles.importing.checkpoint import read_content
from medseg.bundles.importing.config_reader import Config, NotALiteral
from medseg.spec.errors import WeightsError

_WEIGHTS = ("model.safetensors", "model.pt", "model.pth")
_LARGEST_TABLE = 2**24  # bytes of a file that a configuration reads numbers from


def find_weights(folder: Path, config: Config) -> Path:
    """The file that the bundle's ``CheckpointLoader`` loads, or one with a usual name.

    Raises:
        WeightsError: when there is none, or the loader's lies outside the bundle.
    """
    named = [_inside(folder, path) for path in _loaded(config)]
    for path in [*named, *(folder / "models" / name for name in _WEIGHTS)]:
        if path.is_file():
            return path
    found = sorted(path.name for path in (folder / "models").glob("*")) if (folder / "models").is_dir() else []
    known = ", ".join(dict.fromkeys([*(path.name for path in named), *_WEIGHTS]))
    msg = f"the bundle's models folder has none of {known}; it holds {', '.join(found) or 'nothing'}"
    raise WeightsError(msg)


def known_calls(folder: Path) -> Mapping[str, Callable[[Any], Any]]:
    """What a configuration may call: ``torch.load`` of a file of numbers in the bundle, read without running it."""

    def load(name: Any) -> Any:
        path = _inside(folder, Path(str(name)))
        if not path.is_file():
            msg = f"{path} is missing, which the configuration reads; put it there"
            raise WeightsError(msg)
        if path.stat().st_size > _LARGEST_TABLE:
            msg = f"{path} is larger than {_LARGEST_TABLE} bytes, too large for numbers of a configuration"
            raise WeightsError(msg)
        return read_content(path)

    return {"torch.load": load, "torch.from_numpy": lambda numbers: numbers}


def _loaded(config: Config) -> Iterator[Path]:
    """Paths of every checkpoint loader in the configuration, as far as they are known."""
    handlers = config.content.get("handlers")
    for entry in [*(handlers if isinstance(handlers, list) else []), *config.content.values()]:
        if not isinstance(entry, dict) or str(entry.get("_target_")).rpartition(".")[2] != "CheckpointLoader":
            continue
        try:
            yield Path(str(config.resolve(entry.get("load_path"), "CheckpointLoader.load_path")))
        except NotALiteral:
            continue


def _inside(folder: Path, path: Path) -> Path:
    """Refuse a file that the bundle does not hold itself."""
    whole = (folder / path).resolve()
    if not whole.is_relative_to(folder.resolve()):
        msg = f"{path} lies outside the bundle {folder} and is not read; put it there"
        raise WeightsError(msg)
    return whole
