"""What TensorRT refuses, said so that it can be mended: node, operator, tensor types, module, what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine.library import Library
from cnnrnn.runtime.engine.log import Messages
from cnnrnn.runtime.engine.onnx_nodes import Node, read_nodes
from cnnrnn.runtime.engine.report import read_dtype

# Operators whose output's shape depends on values, which a static engine has not.
_DATA_DEPENDENT = {"NonZero", "NonMaxSuppression", "Unique", "Compress"}
_DYNAMIC_LAYERS = {"NON_ZERO", "NMS"}
_FIXED = "The engine's shapes are fixed: write the model with a mask of fixed shape instead"
_SHORT = 600
_WORKSPACE = "give a larger one (--workspace-mib), or none at all"

# What a refused build says, and what to do about it.
_ADVICE = (
    (
        r"no tactics to implement the operation within workspace limit|workspace",
        _WORKSPACE,
    ),
    (
        r"must have same input types|must have type|types? .* (?:Float|Half|BFloat16)",
        "the graph mixes types that TensorRT does not: export the bundle again with this version of cnnrnn",
    ),
    (
        r"missing values for shape input tensor",
        f"the values of this input decide a tensor's shape. {_FIXED}",
    ),
    (
        r"FP32 GEMM is not supported",
        "compute capability 7.5 has no float32 matrix products in TensorRT-RTX: build precision fp16 for it, "
        "or leave 7.5 out",
    ),
    (
        r"contains HW-specific datatypes: b16",
        "compute capability 7.5 has no bfloat16: build precision fp16 for it, or leave 7.5 out",
    ),
    (
        r"libnvinfer_lean|lean runtime",
        "a version-compatible engine needs the lean runtime: pip install tensorrt-lean of the same version",
    ),
    (
        r"driver version is insufficient|CUDA_SUCCESS|cudaError|no CUDA-capable device",
        "this build needs a GPU and its driver: run it where cnnrnn doctor shows one",
    ),
    (r"[Oo]ut of memory|OUT_OF_MEMORY", "free memory on the GPU, or build smaller buckets"),
)


def parser_error(library: Library, graph: bytes, name: str, parser: Any, network: Any) -> EngineError:
    """The error for a graph that the ONNX parser refused.

    Args:
        graph: the ONNX bytes; the node's own tensors are looked up in it.
        name: the graph's file, for the message.
        parser, network: TensorRT's, as the refusal left them.
    """
    first = parser.get_error(0) if parser.num_errors else None
    if first is None:
        return EngineError(f"{name}: {library.title} cannot read this graph, and says no more about it")
    nodes = read_nodes(graph)
    index = first.node()
    node = nodes[index] if 0 <= index < len(nodes) else None
    label = first.node_name() or (node.name if node else "") or (f"number {index}" if index >= 0 else "")
    kind = first.node_operator() or (node.kind if node else "")
    said = _without_noise(first.desc())
    if not label:
        return EngineError(
            f"{name}: {library.title} cannot read this graph of {len(graph)} bytes: {_shorten(said)}. Export "
            "the bundle again with this version of cnnrnn"
        )
    parts = [f"{name}: {library.title} refuses node {label!r}"]
    if kind:
        parts.append(f", operator {kind}")
    if node is not None and node.inputs:
        parts.append(f", of {_types(node, _known_types(network))}")
    parts.append(module_of(label))
    return EngineError(f"{''.join(parts)}: {_reason(said, library, kind)}. {_parser_advice(kind, said)}")


def dynamic_error(library: Library, name: str, network: Any) -> EngineError | None:
    """The error for a network that has a tensor whose shape depends on values; None where there is none.

    TensorRT runs such a layer by asking the host for memory in the middle of a step.
    """
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if str(layer.type).rpartition(".")[2] in _DYNAMIC_LAYERS:
            kind = str(layer.type).rpartition(".")[2]
            return EngineError(
                f"{name}: {library.title} would run layer {layer.name!r}{module_of(layer.name)}, {kind}, "
                f"whose output's shape depends on values. {_FIXED}"
            )
    return None


def build_error(
    library: Library, name: str, messages: Messages, workspace_mib: int | None = None
) -> EngineError:
    """The error for a network that was parsed and could not be built with this workspace."""
    found = messages.errors()
    text = _shorten(" | ".join(found)) or "it gave no reason (another logger of this process may have it)"
    advice = _advice(" ".join(found))
    if advice == _WORKSPACE and workspace_mib is not None:
        advice = f"a workspace of {workspace_mib} MiB is too small; {advice}"
    node = re.search(r"operation '([^']+)'|I\w+Layer ([^:]+):", " ".join(found))
    where = module_of(next(filter(None, node.groups()))) if node else ""
    return EngineError(
        f"{name}: {library.title} cannot build this graph{where}: {text}. "
        f"{_sentence(advice or 'run it again with --verbose to see all that TensorRT says')}"
    )


def module_of(node: str) -> str:
    """`` (module decoder.cells.0)`` for a node that export named after its module, else nothing."""
    module, slash, _ = node.partition("/")
    return f" (module {module} of the model)" if slash and module else ""


def _known_types(network: Any) -> dict[str, str]:
    """The types of the tensors that were made before the refusal, by name."""
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        tensors += [layer.get_output(number) for number in range(layer.num_outputs)]
    known = {}
    for tensor in tensors:
        # What stands behind an ill-typed layer has no type yet, and says so by raising.
        with contextlib.suppress(RuntimeError):
            if tensor is not None:
                known[tensor.name] = read_dtype(tensor)
    return known


def _types(node: Node, known: Mapping[str, str]) -> str:
    return ", ".join(f"{tensor!r} {known.get(tensor, '(a constant)')}" for tensor in node.inputs if tensor)


def _reason(text: str, library: Library, kind: str) -> str:
    """The parser's own words, or, where these are a bare condition, what they stand for."""
    if text in ("", "false") or "creator" in text:
        return f"{library.title} has no {kind or 'such operator'} for these types"
    return _shorten(text)


def _without_noise(text: str) -> str:
    """Without what is said of CUDA wherever there is no driver."""
    return "\n".join(line for line in text.strip().splitlines() if "catchCudaError" not in line)


def _parser_advice(kind: str, reason: str) -> str:
    if kind in _DATA_DEPENDENT:
        return f"{kind} makes a tensor whose shape depends on values. {_FIXED}"
    advice = _advice(reason)
    return _sentence(advice or f"Write the model's module without {kind or 'it'}, and export it again")


def _advice(text: str) -> str:
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, text)), "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shorten(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    return text if len(text) <= _SHORT else f"{text[:_SHORT]} ..."


def names(values: Iterable[str]) -> str:
    """Names in a row, or a word for none."""
    return ", ".join(values) or "none"
