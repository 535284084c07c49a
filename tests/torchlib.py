"""Exports in the tests do once a session what torch does anew for every graph.

It parses the source of its whole library of ONNX functions, and looks through all of its own operators for
those that it may decompose, which together takes as long as tracing a tiny captioner. Nor does it look again
through what was imported for garbage, or keep the shapes of operators that it meets once.
"""

from __future__ import annotations

import copy
import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest


@contextmanager
def read_once() -> Iterator[None]:
    """For as long as this is open; where torch keeps these elsewhere, nothing changes."""
    try:
        from torch._dynamo import config
        from torch._export import utils
        from torch.onnx._internal.exporter import _registration
    except ImportError:
        yield
        return
    with ExitStack() as opened:
        patch = opened.enter_context(pytest.MonkeyPatch.context())
        registry: Any = _registration.ONNXRegistry
        build = functools.cache(registry.from_torchlib.__func__)
        patch.setattr(registry, "from_torchlib", classmethod(_fresh(build)))
        for name in ("_materialize_cpp_cia_ops", "_collect_all_valid_cia_ops_for_namespace"):
            found = getattr(utils, name, None)
            if found is not None:
                patch.setattr(utils, name, functools.cache(found))
        opened.enter_context(config.patch(fake_tensor_cache_enabled=False))
        gc.freeze()
        opened.callback(gc.unfreeze)
        yield


def _fresh(build: Callable[..., Any]) -> Callable[..., Any]:
    """A registry of its own for every export, which may register more in it, without reading it anew."""

    def from_torchlib(*arguments: Any, **others: Any) -> Any:
        registry = copy.copy(build(*arguments, **others))
        registry.functions = {target: list(found) for target, found in registry.functions.items()}
        return registry

    return from_torchlib
