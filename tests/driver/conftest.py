from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.driver.build import missing
from tests.driver.build_pycuda import FOLDER
from tests.driver.rig import Rig
from tests.engine.rigs.bindings import absent


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


@pytest.fixture(scope="session")
def pycuda() -> str:
    """The provider's name; skips, or fails, where `make pycuda` could not build it."""
    if not (FOLDER / "pycuda").is_dir():
        absent(f"pycuda is not in {FOLDER}; `make pycuda` puts it there, or says why not")
    return "pycuda"


@pytest.fixture(params=["cuda-core", "pycuda"])
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider's name."""
    name: str = request.param
    if name == "pycuda":
        request.getfixturevalue("pycuda")
    return name
