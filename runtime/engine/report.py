"""What a build made: tensors, layers, what was fused, sizes and times."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from cnnrnn.runtime.engine.log import Messages

# By name of TensorRT's DataType, NumPy's name where it has one.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
    "FP8": "float8",
    "INT4": "int4",
}
FLOATS = frozenset({"float32", "float16", "bfloat16"})
_ENGINE_LAYER = re.compile(r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*),", re.MULTILINE)
_ONNX_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


@dataclass(frozen=True)
class TensorReport:
    """An engine's input or output."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class EngineLayer:
    """One layer of the built engine: mostly one kernel.

    Attributes:
        name, kind: as TensorRT has them (``"kgen"`` is a kernel that it wrote itself, ``"gemm"``).
        nodes: the ONNX nodes that it does the work of, or a part of it.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class EngineReport:
    """What was built, and what it took.

    Attributes:
        name: the graph and its size, as it was asked for: ``"fp16/step.onnx (1 × 5)"``.
        library, version, architecture: what built it, and for which GPUs.
        inputs, outputs: with the one shape that the engine has.
        layers: of TensorRT's network, as the parser made it of the graph, before anything is fused.
        casts: how many of these change a type: of stored weights and of sizes, which are done while building,
            and of tensors.
        float_casts: of these, those that change one float type of a computed tensor into another: what mixed
            precision costs.
        layer_types: ``layers`` by type.
        engine_layers: of the engine, after fusing, as TensorRT's log names them; None where it did not.
        bytes: the engine's size.
        build_seconds: parsing and building.
        weights_bytes, activation_bytes: on the GPU, as the log has them; None where it has not.
        warnings: TensorRT's.
    """

    name: str
    library: str
    version: str
    architecture: str
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]
    layers: int
    casts: int
    float_casts: int
    layer_types: dict[str, int]
    engine_layers: tuple[EngineLayer, ...] | None
    bytes: int
    build_seconds: float
    weights_bytes: int | None = None
    activation_bytes: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def fused(self) -> tuple[EngineLayer, ...]:
        """Those layers of the engine that do the work of two ONNX nodes or more."""
        return tuple(layer for layer in self.engine_layers or () if len(layer.nodes) > 1)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dataclasses.asdict(self)


def read_dtype(tensor: Any) -> str:
    """The type of a tensor of TensorRT's network, by NumPy's name where it has one."""
    dtype = str(tensor.dtype).rpartition(".")[2]
    return DTYPES.get(dtype, dtype.lower())


def read_tensor(tensor: Any) -> TensorReport:
    """A tensor of TensorRT's network."""
    return TensorReport(tensor.name, read_dtype(tensor), tuple(tensor.shape))


def count_layers(network: Any) -> dict[str, int]:
    """How many layers of each type a network has, in lower case, the most frequent first."""
    types = (network.get_layer(index).type for index in range(network.num_layers))
    counted = Counter(str(kind).rpartition(".")[2].lower() for kind in types)
    return dict(counted.most_common())


def count_float_casts(network: Any, cast: Any) -> int:
    """How many casts take a float tensor that is computed to another float type.

    Args:
        cast: TensorRT's ``LayerType.CAST``.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    stored = {
        layer.get_output(0).name for layer in layers if str(layer.type).rpartition(".")[2] == "CONSTANT"
    }
    found = 0
    for layer in layers:
        if layer.type == cast and layer.get_input(0).name not in stored:
            ends = (read_dtype(layer.get_input(0)), read_dtype(layer.get_output(0)))
            found += all(dtype in FLOATS for dtype in ends) and ends[0] != ends[1]
    return found


def read_engine_layers(messages: Messages) -> tuple[EngineLayer, ...] | None:
    """The engine's layers out of the log's last list of them; None where there is none."""
    text = messages.starting("Layers:")
    if text is None:
        return None
    starts = [match.start() for match in _ENGINE_LAYER.finditer(text)]
    layers = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        match = _ENGINE_LAYER.match(part)
        if match is not None:
            nodes = tuple(dict.fromkeys(_ONNX_NODE.findall(part)))
            layers.append(EngineLayer(match["name"], match["kind"], nodes))
    return tuple(layers)


def read_bytes(messages: Messages, what: str) -> int | None:
    """The number of a line such as ``Total Activation Memory: 8247296 bytes``."""
    match = re.match(rf"{what}: (\d+) bytes", messages.starting(what) or "")
    return int(match.group(1)) if match else None
