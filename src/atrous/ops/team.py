"""Work for all threads that PyTorch computes with.

PyTorch's threads are those of OpenMP. A compiled function is handed to the very same ones, by the
entry point that compilers call for a parallel region: it starts in microseconds, nothing else has
threads of its own that would take the cores from PyTorch's, and what is said to PyTorch
(`torch.set_num_threads`, one thread in workers of a DataLoader) holds. From several Python threads
at once each has a team, as with PyTorch's operators. Where OpenMP is not found, the calling thread
does all.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Numbers = npt.NDArray[np.int64]


def run(address: int, numbers: Numbers, parts: int) -> None:
    """Call a compiled function on every thread.

    Args:
        address: of a function of one argument, the address of the numbers. It is called by each
            thread, and takes parts for as long as there are any: the first number counts those
            taken, the second is how many there are.
        numbers: what the function is told; the first two are set here.
        parts: how many there are; a single one is done by the calling thread.

    Raises:
        MemoryError: if no thread took the parts, as it does once it has its buffers.
    """
    numbers[0], numbers[1] = 0, parts
    threads = torch.get_num_threads()
    team = _team() if threads > 1 and parts > 1 and not _is_child else None
    if team is None:
        _signature(address)(numbers.ctypes.data)
    else:
        # Another number of threads than PyTorch's would make OpenMP start them anew.
        team(address, numbers.ctypes.data, threads, 0)
    if numbers[0] < parts:
        raise MemoryError("a compiled loop must get memory for its buffers, and got none.")


@cache
def _team() -> Any:
    """OpenMP's entry to parallel regions; None where there is none."""
    for name in _names():
        try:
            entry = ctypes.CDLL(name).GOMP_parallel
        except (OSError, AttributeError):
            continue
        entry.restype, entry.argtypes = (
            None,
            [ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_uint] * 2,
        )
        return entry
    return None


def _names() -> list[str]:
    """Libraries of OpenMP that this process has loaded: another copy would have other threads."""
    if sys.platform != "linux":
        return []
    maps = Path("/proc/self/maps").read_text()
    found = set(re.findall(r"/\S*lib(?:gomp|iomp5|omp)[^/\s]*", maps))
    # Other packages bring their own: PyTorch's lies beside it.
    own = str(Path(torch.__file__).parent)
    return sorted(found, key=lambda path: (not path.startswith(own), path))


def _forget() -> None:
    """In a forked child OpenMP waits for threads that are no more: the calling one does all."""
    global _is_child
    _is_child = True


_is_child = False
_signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
