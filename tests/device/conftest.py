from __future__ import annotations

from tests.driver.conftest import rig

__all__ = ["rig"]
