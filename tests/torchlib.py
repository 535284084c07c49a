"""Exports in the tests read torch's library of ONNX functions once.

torch parses the source of all of them anew for every graph, which takes longer than exporting a tiny one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def read_once() -> Iterator[None]:
    """For as long as this is open; where torch keeps the library elsewhere, nothing changes."""
    try:
        from torch.onnx._internal.exporter import _registration
    except ImportError:
        yield
        return
    library: Any = getattr(_registration, "onnxscript_apis", None)
    read = getattr(library, "get_torchlib_ops", None)
    with pytest.MonkeyPatch.context() as patch:
        if read is not None:
            patch.setattr(library, "get_torchlib_ops", functools.cache(read))
        yield
