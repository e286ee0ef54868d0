"""Pickles of plain values and numpy arrays, read without a single function that the file could choose.

Names in the file stand for the few stand-ins below; any other name is refused before anything is made.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medseg.spec.errors import WeightsError

# what a damaged or hostile pickle makes the reader raise; nothing but the stand-ins has run by then
DAMAGED = (
    pickle.UnpicklingError, ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip
_PLAIN_KINDS = "biufSU"  # booleans, numbers and text; no objects


class Dtype:
    """Stands for ``numpy.dtype``: plain kinds only."""

    def __init__(self, code: str, *_: object) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in _PLAIN_KINDS or self.dtype.names is not None:
            msg = f"arrays of type {code!r} are not read"
            raise pickle.UnpicklingError(msg)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order, the only part of the state that plain kinds have."""
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class Array:
    """Stands for ``numpy.ndarray`` while it is read."""

    array: NDArray[Any]

    def __init__(self, *_: object) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        """Fill the array from its bytes; ``state`` is (version, shape, dtype, column-major, bytes)."""
        _, shape, kind, column_major, raw = state
        if not isinstance(kind, Dtype) or not isinstance(raw, bytes):
            msg = "an array of objects is not read"
            raise pickle.UnpicklingError(msg)
        flat = np.frombuffer(raw, dtype=kind.dtype)
        self.array = flat.reshape(shape, order="F" if column_major else "C").copy()


def _scalar(kind: Any, raw: Any) -> Any:
    """Stands for numpy's maker of single numbers."""
    if not isinstance(kind, Dtype) or not isinstance(raw, bytes):
        msg = "a numpy object is not read"
        raise pickle.UnpicklingError(msg)
    return np.frombuffer(raw, dtype=kind.dtype, count=1)[0].item()


def _encode(text: Any, encoding: Any) -> bytes:
    """Stands for the function that old pickles write bytes with."""
    if not isinstance(text, str) or encoding != "latin1":
        msg = "bytes in an unknown encoding are not read"
        raise pickle.UnpicklingError(msg)
    return text.encode("latin1")


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> Array:
    """Stands for the maker of arrays that the newest pickles write."""
    made = Array()
    made.__setstate__((1, shape, kind, order == "F", bytes(raw) if isinstance(raw, bytearray) else raw))
    return made


_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
STAND_INS: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": Dtype,
    "numpy.ndarray": Array,
    "_codecs.encode": _encode,
    **{f"{module}._reconstruct": lambda *_: Array() for module in _NUMPY},
    **{f"{module}.scalar": _scalar for module in _NUMPY},
    **{f"{package}.numeric._frombuffer": _from_buffer for package in ("numpy.core", "numpy._core")},
}
"""Every name a pickle may hold, and what is taken instead."""


class _Reader(pickle.Unpickler):
    """Finds ``STAND_INS`` and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in STAND_INS:
            msg = f"it names {full}, which could run code"
            raise pickle.UnpicklingError(msg)
        return STAND_INS[full]

    def persistent_load(self, pid: Any) -> Any:
        msg = f"it refers to something outside itself ({pid!r})"
        raise pickle.UnpicklingError(msg)


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of containers, numbers, texts and numpy arrays; arrays come as numpy arrays.

    Raises:
        WeightsError: when the file names anything else, or is damaged.
    """
    try:
        with path.open("rb") as file:
            return plain(_Reader(file).load())
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); check the path"
        raise WeightsError(msg) from error
    except DAMAGED as error:
        msg = f"{path} is not opened: {error}; export the weights alone, as safetensors or a state dict"
        raise WeightsError(msg) from error


def plain(value: Any) -> Any:
    """Put numpy arrays and text in place of the stand-ins, in every container."""
    if isinstance(value, Array):
        return value.array
    if isinstance(value, Dtype):
        return str(value.dtype)
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
