"""A training program's checkpoint becomes a state dict; a file that would run code is refused."""

import pickle  # for its error alone
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from medseg.bundles.importing.archive import is_archive
from medseg.bundles.importing.plain_pickle import DAMAGED, STAND_INS, plain, read_plain_pickle
from medseg.spec.errors import WeightsError

_NESTED = ("state_dict", "model", "model_state_dict", "network_weights", "network", "net", "weights")
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_REFUSES = (*DAMAGED, RuntimeError, OSError)


def read_state(path: Path) -> dict[str, Tensor]:
    """Find the weights in a checkpoint.

    Understood are safetensors; files of ``torch.save``, old and new, whose weights lie at the top or under one of the
    usual names (``state_dict`` as nnU-Net 1 and Lightning write it, ``network_weights`` of nnU-Net 2, ``model``, ...);
    and pickles of numpy arrays. Nothing in the file is run: torch's own restricted reader opens it, and numpy's
    makers, which nnU-Net's checkpoints name, are replaced by harmless stand-ins.

    Args:
        path: the file.

    Returns:
        name -> tensor on the CPU, in the file's order.

    Raises:
        WeightsError: when the file is missing, damaged, names code, is TorchScript, or holds no weights.
    """
    if not path.is_file():
        msg = f"{path} is missing; give the file of weights"
        raise WeightsError(msg)
    content = _load(path)
    found = weights_in(content)
    if not found:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        msg = f"{path} holds no weights where they are expected (at the top or under {', '.join(_NESTED)}): {keys}"
        raise WeightsError(msg)
    return found


def read_content(path: Path) -> Any:
    """Everything in a checkpoint or a plain pickle, e.g. the plans beside nnU-Net's weights; raises as above."""
    return _load(path)


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            msg = f"{path} is not a whole safetensors file ({error}); fetch or export it again"
            raise WeightsError(msg) from error
    if not _is_of_torch(path):
        return read_plain_pickle(path)
    _refuse_torchscript(path)
    allowed: list[Any] = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    try:
        with torch.serialization.safe_globals(allowed):
            return plain(torch.load(path, map_location="cpu", weights_only=True))
    except _TORCH_REFUSES as error:
        msg = f"{path} is not opened: {_reason(error)}; export the weights alone, as safetensors or a state dict"
        raise WeightsError(msg) from error


def _is_of_torch(path: Path) -> bool:
    """Whether ``torch.save`` wrote the file: a ZIP archive, or a pickle that begins with torch's number."""
    if is_archive(path):
        return True
    with path.open("rb") as file:
        return _TORCH_MAGIC.to_bytes(10, "little") in file.read(32)


def _refuse_torchscript(path: Path) -> None:
    if not is_archive(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        msg = f"{path} is damaged ({error}); fetch it again"
        raise WeightsError(msg) from error
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        msg = f"{path} is TorchScript, a program and not weights, and is not opened; give a state dict or safetensors"
        raise WeightsError(msg)


def _reason(error: Exception) -> str:
    """What to say of a refusal; whatever it says, the file stays closed.

    torch has no error with the refused name in it, and ``get_unsafe_globals_in_checkpoint`` reads new files alone: the
    name is taken out of the middle of much advice about allowing code.
    """
    text = str(error)
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL " in text:
        return f"it names {text.partition('GLOBAL ')[2].split()[0]}, which could run code"
    return " ".join(text.split())[:200]


def weights_in(content: Any) -> dict[str, Tensor]:
    """The tensors of a content, at the top or under one of the usual names; none where there is anything else."""
    if not isinstance(content, Mapping):
        return {}
    for name in _NESTED:
        if name in content and (inner := weights_in(content[name])):
            return inner
    tensors = {key: _tensor(value) for key, value in content.items() if isinstance(key, str)}
    kept = {key: value for key, value in tensors.items() if value is not None}
    return kept if len(kept) == len(content) else {}


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        is_plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        return value.detach() if is_plain and not value.is_complex() else None
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(value.astype(value.dtype.newbyteorder("="))))
    return None
