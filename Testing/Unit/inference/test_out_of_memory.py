"""Errors of real libraries in real need of memory, and errors that only look like it."""

import errno
import os

import numpy as np
import pytest
import SimpleITK
import torch

from medseg.inference.out_of_memory import is_out_of_memory

HUGE = 2**46  # bytes; no system promises so many


def too_much_of(library):
    """Ask a library for more than there is."""
    match library:
        case "python":
            bytearray(HUGE)
        case "numpy":
            np.empty(HUGE, dtype=np.uint8)
        case "torch":
            torch.empty(HUGE, dtype=torch.uint8)
        case "itk":
            SimpleITK.Image([2**16, 2**15, 2**15], SimpleITK.sitkUInt8)


@pytest.mark.parametrize("library", ["python", "numpy", "torch", "itk"])
def test_a_library_that_asks_for_too_much_is_out_of_memory(library):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        too_much_of(library)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried to "
                     "allocate 1234 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB, max allowed: 5.10 GB)."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("Check 'ptr' failed at src/common/conditional.cpp:1:\nFailed to allocate 4096 bytes of memory"),
        RuntimeError("could not create a memory"),
        RuntimeError("could not create a memory object"),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
        RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:223:\nstd::bad_alloc\n"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=str,
)  # fmt: skip
def test_the_words_of_the_libraries_are_known(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("the memory format option is only supported by strided tensors"),
        ValueError("DefaultCPUAllocator: can't allocate memory"),  # of no allocator
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        KeyboardInterrupt(),
        AssertionError("out of memory"),
    ],
    ids=str,
)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_a_real_error_of_a_network_is_not_taken_for_it():
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Conv3d(2, 2, 3)(torch.zeros(1, 1, 4, 4, 4))
    assert not is_out_of_memory(caught.value)
