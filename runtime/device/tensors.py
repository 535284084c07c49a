"""What the three graphs of a search read and write, by who carries it from where to where.

Letters: B images, K beams, V vocabulary, T steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cnnrnn.core.errors import BackendError
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.engine.bucket import input_shapes, output_shapes
from cnnrnn.runtime.select import POOL

Role = Literal["encoder", "step", "select"]
ROLES: tuple[Role, ...] = ("encoder", "step", "select")

Tensors = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape by name

# What of the search's state is kept of every step, beside what a step chose and where the decoder looked.
_KEPT = ("scores", *POOL, "done")
_ALIGNMENT = "alignment"


@dataclass(frozen=True)
class SearchGraphs:
    """The graphs of one search, and the size of each letter in their shapes."""

    encoder: GraphSpec
    step: GraphSpec
    select: GraphSpec
    letters: Mapping[str, int]

    def spec(self, role: Role) -> GraphSpec:
        """The graph of a role."""
        spec: GraphSpec = getattr(self, role)
        return spec

    def inputs(self, role: Role) -> Tensors:
        """A graph's inputs, with their sizes.

        Raises:
            BundleError: a size is not known before the graph runs.
        """
        spec = self.spec(role)
        shapes = input_shapes(spec, self.letters)
        return {tensor.name: (tensor.dtype, shapes[tensor.name]) for tensor in spec.inputs}

    def outputs(self, role: Role) -> Tensors:
        """As `inputs`, of what it writes."""
        spec = self.spec(role)
        shapes = output_shapes(spec, self.letters)
        return {tensor.name: (tensor.dtype, shapes[tensor.name]) for tensor in spec.outputs}


@dataclass(frozen=True)
class SearchTensors:
    """All tensors of a search, each in one of these groups.

    Attributes:
        image: what the encoder reads: pictures, and questions where it reads any.
        first: the model's state (B, ...) as the encoder makes it.
        memory: what the encoder makes for every step, and nothing changes.
        hidden: the model's state (B, K, ...), from step to step.
        row: what is kept of every step: ``tokens``, ``parents``, ``scores``, the pool, ``done`` and, where
            there is one, the alignment, last.
        state: the search's, from step to step, beside what is in ``row``.
        constant: the search's numbers, which stay the same.
        logits: of a step, and ``all_done``.
        limit: T, for how many steps there is room.
        what: is searched, in messages: ``"1 image, 5 beams"``.
    """

    image: Tensors
    first: Tensors
    memory: Tensors
    hidden: Tensors
    row: Tensors
    state: Tensors
    constant: Tensors
    logits: Tensors
    limit: int
    what: str

    @property
    def streamed(self) -> list[str]:
        """What of a row a host that follows the search gets to see: all but the alignment."""
        return [name for name in self.row if name != _ALIGNMENT]


def search_tensors(graphs: SearchGraphs, limit: int) -> SearchTensors:
    """Put every tensor of three graphs into its group.

    Raises:
        BackendError: the search wants an alignment, and the decoder gives none.
        BundleError: a tensor's size is not known before the graphs run.
    """
    encoder, step, select = (graphs.inputs(role) for role in ROLES)
    encoded, stepped, selected = (graphs.outputs(role) for role in ROLES)
    if _ALIGNMENT in select and _ALIGNMENT not in stepped:
        raise BackendError(f"coverage_penalty needs an alignment, and {graphs.step.file} gives none")
    row = {name: selected[name] for name in ("tokens", "parents")} | {name: select[name] for name in _KEPT}
    if _ALIGNMENT in stepped:
        row[_ALIGNMENT] = stepped[_ALIGNMENT]
    moving = {name.removeprefix("next_") for name in selected if name.startswith("next_")}
    letters = graphs.letters
    answered = "question" if "question" in encoder else "image"
    return SearchTensors(
        image=encoder,
        first={name: kind for name, kind in encoded.items() if name.startswith("state_")},
        memory={name: kind for name, kind in encoded.items() if not name.startswith("state_")},
        hidden={name: kind for name, kind in step.items() if name.startswith("state_")},
        row=row,
        state={name: select[name] for name in select if name in moving and name not in row},
        constant={
            name: select[name] for name in select if name not in moving | row.keys() | {"logits", _ALIGNMENT}
        },
        logits={"logits": stepped["logits"], "all_done": selected["all_done"]},
        limit=limit,
        what=f"{_several(letters['B'], answered)}, {_several(letters['K'], 'beam')}",
    )


def written(names: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What step and select write, by their own names, and the name that the next step reads it by."""
    for name in names:
        yield name, name.removeprefix("next_")


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")
