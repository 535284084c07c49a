"""The graphs that a backend runs, as bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import BundleError, MissingDependencyError
from cnnrnn.core.manifest import GraphSpec, Manifest
from cnnrnn.runtime.select import SelectKind, make_select, select_spec

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Graphs:
    """The three graphs as bytes: `read` gives the file of a `GraphSpec`, from a bundle or from memory.

    ``manifest`` needs only what the graphs are about: its files and its reports are not looked at.
    """

    manifest: Manifest
    precision: str
    read: Callable[[str], bytes]

    @classmethod
    def of(cls, bundle: Bundle, precision: str) -> Graphs:
        """The graphs of one of a bundle's precisions."""
        return cls(bundle.manifest, precision, bundle.graph)


def select_graph(graphs: Graphs, kind: SelectKind) -> tuple[GraphSpec, bytes]:
    """The bundle's select graph of this kind, or a new one where the bundle carries none.

    Raises:
        BundleError: the bundle's is of another version.
        OptionsError, MissingDependencyError: there is none, and none can be made.
    """
    manifest = graphs.manifest
    wanted = select_spec(f"select/{kind.name}.onnx", kind)
    carried = manifest.select.get(kind.name)
    if carried is not None:
        if (carried.inputs, carried.outputs) != (wanted.inputs, wanted.outputs):
            raise BundleError(
                f"{carried.file}: its tensors in the manifest are not those of {kind.name} in this version"
            )
        return carried, graphs.read(carried.file)
    try:
        data = make_select(kind)
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"bundle {manifest.name!r} carries {len(manifest.select)} graphs of the search, {kind.name} not "
            "among them (cnnrnn inspect lists them); the package onnx makes it: pip install onnx",
            name="onnx",
        ) from error
    _log.debug("made the select graph %s: %d bytes", kind.name, len(data))
    return wanted, data
