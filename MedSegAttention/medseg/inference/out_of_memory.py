"""Whether an error says that memory ran out: each library has its own words for it."""

import errno
import re

import torch

# What libraries say that raise a bare RuntimeError, with no class or number of its own for this: the one place where
# their words are read. What has a class is asked for its class below.
_WORDS = re.compile(
    "|".join(
        (
            r"not enough memory: you tried to allocate",  # PyTorch on Windows
            r"MPS backend out of memory",
            r"CUDA error: out of memory",  # of a context or a launch; the allocator has its own class
            r"CU(BLAS|DNN|SOLVER|FFT)_STATUS_ALLOC_FAILED",
            r"could not create a (memory( object)?|primitive)\s*$",  # oneDNN; a primitive descriptor is another matter
            r"\bstd::bad_alloc\b|^bad allocation\b",  # C++, on Windows the second; OpenVINO puts a place before it
            r"([Ff]ailed to|[Cc]ould not|[Cc]annot|[Cc]an't) allocate (\d+ bytes of )?memory",  # PyTorch, ITK, OpenVINO
        )
    )
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell an error that less memory would mend from every other one.

    Known are Python, NumPy, PyTorch on CUDA, Apple's graphics and processors, oneDNN, OpenVINO, ITK and the system.

    Args:
        error: whatever was raised.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):  # NumPy's is a MemoryError
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _WORDS.search(str(error)) is not None
