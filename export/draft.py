"""A bundle before it is a folder: what is proven is exactly what would be written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.onnx_weights import inline_weights
from cnnrnn.core.search import SearchOptions, options_for
from cnnrnn.runtime.graphs import Graphs

GATE_BEAMS = 5


@dataclass(frozen=True)
class Draft:
    """A manifest, whose ``files`` are not looked at, and the bytes of every file but the manifest."""

    manifest: Manifest
    files: dict[str, bytes]

    @staticmethod
    def of(bundle: Bundle) -> Draft:
        """All of a bundle that is there, each file verified.

        Raises:
            BundleError: a file is missing or altered.
        """
        return Draft(bundle.manifest, {name: bundle.read(name) for name in bundle.manifest.files})

    def graph(self, name: str) -> bytes:
        """A graph with its weights, wherever they are stored."""
        folder = str(PurePosixPath(name).parent)
        return inline_weights(self.files[name], folder, self.files.__getitem__, name)

    def graphs(self, precision: str) -> Graphs:
        """What a backend runs."""
        return Graphs(self.manifest, precision, self.graph)

    def searches(self) -> list[SearchOptions]:
        """What the gates search with: greedily, with 5 beams or as many as there may be, and by default."""
        search = self.manifest.search
        widths = sorted({1, min(GATE_BEAMS, search.max_beams), search.beams})
        return [options_for(self.manifest, beams=beams) for beams in widths]
