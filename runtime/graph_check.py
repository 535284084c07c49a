"""Whether graphs are what the manifest says, and fit one another: checked once, when a bundle is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from cnnrnn.core.errors import BundleError
from cnnrnn.core.manifest import GraphSpec, Manifest

_ORT_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "bfloat16",
    "tensor(float)": "float32",
    "tensor(bool)": "bool",
}


class OrtTensor(Protocol):
    """What ONNX Runtime says of a graph's input or output (``onnxruntime.NodeArg``)."""

    name: str
    type: str
    shape: Sequence[Any]


def check_tensors(spec: GraphSpec, inputs: Iterable[OrtTensor], outputs: Iterable[OrtTensor]) -> None:
    """Compare a loaded graph's tensors with the manifest's: names, dtypes, ranks and every fixed dimension.

    Raises:
        BundleError: naming the graph's file, the tensor, what it is and what the manifest says.
    """
    for role, said, found in (("input", spec.inputs, inputs), ("output", spec.outputs, outputs)):
        tensors = {tensor.name: tensor for tensor in found}
        wanted = {tensor.name for tensor in said}
        if set(tensors) != wanted:
            raise BundleError(
                f"{spec.file}: the graph's {role}s are {_names(tensors)}, the manifest says {_names(wanted)}"
            )
        for tensor in said:
            actual = tensors[tensor.name]
            dtype = _ORT_DTYPES.get(actual.type, actual.type)
            if dtype != tensor.dtype or not _same_shape(tensor.shape, actual.shape):
                raise BundleError(
                    f"{spec.file}: {role} {tensor.name!r} is {dtype} {list(actual.shape)}, "
                    f"the manifest says {tensor.dtype} {list(tensor.shape)}"
                )


def check_contract(manifest: Manifest, precision: str) -> None:
    """Check that the encoder's, the step's and the select graphs' tensors fit one another and the manifest.

    Raises:
        BundleError: naming the graph and the tensor.
    """
    pair = manifest.precisions[precision]
    encoder, step = pair["encoder"], pair["step"]
    image = manifest.image
    _expect(encoder, "input", "image", "uint8", (None, image.height, image.width, 3))
    if manifest.question is not None:
        _expect(encoder, "input", "question", "int32", (None, manifest.question.max_length))
        _expect(encoder, "input", "question_length", "int32", (None,))
    _expect(step, "input", "tokens", "int32", (None, None))
    _expect(step, "input", "parents", "int32", (None, None))
    _expect(step, "output", "logits", "float32", (None, None, manifest.vocabulary.size))
    made = {tensor.name: tensor for tensor in encoder.outputs}
    carried = {tensor.name for tensor in step.outputs}
    for tensor in step.inputs:
        if tensor.name in ("tokens", "parents"):
            continue
        source = made.get(tensor.name)
        if source is None or source.dtype != tensor.dtype:
            raise BundleError(
                f"{step.file}: input {tensor.name!r} ({tensor.dtype}) is not an output of {encoder.file}"
            )
        if tensor.name.startswith("state_") and f"next_{tensor.name}" not in carried:
            raise BundleError(f"{step.file}: no output 'next_{tensor.name}' for the next step")
    _check_alignment(manifest, step)


def _check_alignment(manifest: Manifest, step: GraphSpec) -> None:
    found = [tensor for tensor in step.outputs if tensor.name == "alignment"]
    grid = manifest.alignment_grid
    if grid is None:
        return
    if not found:
        raise BundleError(
            f"{step.file}: the manifest has an alignment_grid, but the graph no output 'alignment'"
        )
    positions = found[0].shape[-1]
    if isinstance(positions, int) and positions != grid[0] * grid[1]:
        raise BundleError(
            f"{step.file}: alignment has {positions} positions, "
            f"the manifest's alignment_grid {grid[0]} x {grid[1]}"
        )


def _expect(graph: GraphSpec, role: str, name: str, dtype: str, shape: tuple[int | None, ...]) -> None:
    """The graph has this tensor; None stands for a dimension that may be fixed or not."""
    listed = graph.inputs if role == "input" else graph.outputs
    found = next((tensor for tensor in listed if tensor.name == name), None)
    if found is None:
        raise BundleError(
            f"{graph.file}: no {role} {name!r}; it has {_names(entry.name for entry in listed)}"
        )
    fits = len(found.shape) == len(shape) and all(
        wanted is None or isinstance(size, str) or size == wanted
        for size, wanted in zip(found.shape, shape, strict=True)
    )
    if found.dtype != dtype or not fits:
        text = ", ".join("any" if size is None else str(size) for size in shape)
        raise BundleError(
            f"{graph.file}: {role} {name!r} is {found.dtype} {list(found.shape)}; {dtype} [{text}] is needed"
        )


def _same_shape(said: tuple[int | str, ...], found: Sequence[Any]) -> bool:
    """Ranks agree and so does each dimension: the same number, or dynamic in both whatever its letter."""
    return len(said) == len(found) and all(
        one == other if isinstance(one, int) else not isinstance(other, int)
        for one, other in zip(said, found, strict=True)
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
