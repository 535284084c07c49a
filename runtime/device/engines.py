"""What the search asks of an inference engine: graphs of fixed shapes that run on a stream, at addresses.

A `Source` makes engines, one for each graph and size. An engine is shared by all searches; a `Context` is of
one search, and bound once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.device.protocol import Stream
from cnnrnn.runtime.device.tensors import Role


class Context(Protocol):
    """A graph with all its tensors bound."""

    def enqueue(self, stream: int) -> None:
        """Queue one run on the stream of this handle, which may be captured where the source captures.

        Raises:
            BackendError: the engine refused.
        """
        ...

    def close(self) -> None:
        """Let go of it; nothing that was queued may still run."""
        ...


class Engine(Protocol):
    """A graph that is ready to run in one size.

    Attributes:
        scratch_bytes: that a context works in while it runs.
    """

    @property
    def scratch_bytes(self) -> int: ...

    def context(self, places: Mapping[str, TensorPlace], scratch: int) -> Context:
        """A context whose tensors are at these places, by the graph's names.

        Args:
            scratch: the address of ``scratch_bytes`` bytes, which no other context uses at the same time; 0
                where none are asked for.

        Raises:
            BackendError: the engine refused.
        """
        ...

    def close(self) -> None:
        """Let go of it; its contexts are closed before."""
        ...


class Source(Protocol):
    """Makes engines of graphs. Calls come from one thread at a time, within the device's context.

    Attributes:
        captures: whether what a context queues can be captured in a graph.
        any_size: whether an engine of another size costs nothing; else batches are filled up to a few sizes.
        stream: that everything has to be queued on, where there is but one; None where each search may have
            its own.
    """

    @property
    def captures(self) -> bool: ...

    @property
    def any_size(self) -> bool: ...

    @property
    def stream(self) -> Stream | None: ...

    def engine(self, role: Role, spec: GraphSpec, graph: bytes, letters: Mapping[str, int]) -> Engine:
        """The engine of a graph in one size.

        Args:
            spec: its file and tensors.
            graph: ONNX bytes with the weights inside.
            letters: the size of each letter in its shapes.

        Raises:
            BackendError: the graph is refused, or an engine is not what the manifest says.
            CacheError: the folder of built engines cannot be used.
        """
        ...

    def close(self) -> None:
        """Let go of all; the engines are closed before."""
        ...
