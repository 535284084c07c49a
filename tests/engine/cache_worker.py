"""A process that uses an engine cache: fetches one key, and says what happened in one line a step.

Arguments: the cache's folder, the key's graph, the engine's size in bytes, seconds that a build takes. It
imports neither NumPy nor TensorRT, so that a hundred of them start fast.
"""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import CacheError
from cnnrnn.runtime.engine.cache import EngineCache, EngineKey


@dataclass(frozen=True)
class FakeReport:
    name: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True)
class FakeBuilt:
    engine: bytes
    report: FakeReport


def key_of(graph: str, **changed: Any) -> EngineKey:
    """A key whose graph has this hash's name."""
    options = (("beams", 5), ("shapes", (("tokens", (1, 5)),)))
    fields = {"library": "tensorrt", "library_version": "10.3.0", "architecture": "sm87", "options": options}
    return EngineKey(graph=hashlib.sha256(graph.encode()).hexdigest(), **{**fields, **changed})


def engine_of(graph: str, size: int = 1000) -> bytes:
    """Bytes that only this graph's engine has."""
    seed = hashlib.sha256(graph.encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def built(graph: str, size: int = 1000) -> FakeBuilt:
    return FakeBuilt(engine_of(graph, size), FakeReport(graph))


def main(folder: str, graph: str, size: str, seconds: str) -> int:
    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def build() -> FakeBuilt:
        say("building")
        time.sleep(float(seconds))
        return built(graph, int(size))

    try:
        found = EngineCache(Path(folder)).fetch(key_of(graph), build, lambda: say("waiting"))
    except CacheError as error:
        say(f"error: {error}")
        return 1
    good = found.engine == engine_of(graph, int(size)) and found.report == {"name": graph}
    say(f"{'built' if found.built else 'loaded'} {'good' if good else 'BAD'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
