from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.driver.build import missing
from tests.driver.rig import Rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The stand-in driver; skips where it cannot be built, or where cuda.core is not installed."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    pytest.importorskip("cuda.core", reason="cuda.core is not installed: pip install cuda-core cuda-bindings")
    rig = Rig(tmp_path_factory.mktemp("driver"))
    yield rig
    rig.close()
