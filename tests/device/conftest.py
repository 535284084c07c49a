from __future__ import annotations

from tests.driver.conftest import provider, pycuda, rig

__all__ = ["provider", "pycuda", "rig"]
