"""Compiled networks kept in a folder of the user's, whole or not at all, each under what it was made from."""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import nn

import medseg.networks
from medseg.spec.places import home_folder

ENVIRONMENT_NAME = "MEDSEG_ENGINE_CACHE"
_SUFFIX = ".compiled"
_UNFINISHED = ".part"
_KEPT = 8
_LONGEST_WRITE_S = 3600.0
_DIGEST_BYTES = hashlib.sha256().digest_size
_PLAIN = (int, float, str, bool, tuple, list, type(None))


def default_folder() -> Path:
    """Where compiled networks are kept: MEDSEG_ENGINE_CACHE, else the system's place for a user's caches."""
    if chosen := os.environ.get(ENVIRONMENT_NAME):
        return Path(chosen)
    home = home_folder()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "medseg" / "engines"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "medseg" / "engines"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "medseg" / "engines"


def fingerprint(network: nn.Module, words: Iterable[object]) -> str:
    """A name that changes with the network's weights, structure, settings and code, and with the words.

    Args:
        network: any network.
        words: whatever else matters, e.g. the engine's version, the processor, the window.
    """
    digest = hashlib.sha256()
    for word in (_code(), torch.__version__, repr(network), *words):
        digest.update(f"{word}\n".encode())
    for name, module in network.named_modules():
        plain = {key: value for key, value in vars(module).items() if key[0] != "_" and isinstance(value, _PLAIN)}
        digest.update(f"{name} {sorted(plain.items())}\n".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@cache
def _code() -> str:
    """Digest of the code networks are made of and prepared by, once a process: later edits are not what it runs."""
    digest = hashlib.sha256()
    for folder in (Path(medseg.networks.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_compiled(folder: Path, key: str) -> bytes | None:
    """What was kept under a key; None where nothing was, or what is there is not whole."""
    path = folder / (key + _SUFFIX)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # where the folder may only be read
        os.utime(path)  # the ones used last are kept
    digest, compiled = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return compiled if hashlib.sha256(compiled).digest() == digest else None


def keep_compiled(folder: Path, key: str, compiled: bytes) -> bool:
    """Keep something under a key and drop what was unused for longest; whether that worked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=_UNFINISHED)
    except OSError:
        return False
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(compiled).digest())
            stream.write(compiled)
        temporary.replace(folder / (key + _SUFFIX))
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        return False
    drop_compiled(folder, keep=_KEPT)
    return True


def kept_size(folder: Path) -> tuple[int, int]:
    """How many compiled networks a folder holds, and their bytes."""
    sizes = []
    for path in folder.glob("*" + _SUFFIX):
        with suppress(OSError):  # another process drops what was unused for longest
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def drop_compiled(folder: Path, *, keep: int = 0) -> None:
    """Remove all but the ones used last, and what processes left that were ended while they wrote."""
    with suppress(OSError):
        for path in folder.glob("*" + _UNFINISHED):
            if time.time() - path.stat().st_mtime > _LONGEST_WRITE_S:
                path.unlink()
        found = sorted(folder.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[keep:]:
            path.unlink()
