from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.rigs.compiler import Compiler


@pytest.fixture(scope="session")
def compiler() -> Iterator[Compiler]:
    """TensorRT-RTX in processes of its own; skips, or fails, where it is not installed."""
    compiler = Compiler()
    yield compiler
    compiler.close()
