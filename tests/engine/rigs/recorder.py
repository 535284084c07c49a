"""A module with exactly one version's surface, which records what is asked of it.

What the version lacks is lacking here: an attribute raises AttributeError, a member of an enumeration too,
and an argument by another name, of another type or too many raises TypeError, as pybind11's own check does.
Behind the surface is as much of a builder as the building code can tell from one: the parser reads the ONNX
graph, a build goes through the progress monitor and gives bytes.
"""

from __future__ import annotations

import enum
import itertools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import onnx

from tests.engine.rigs.surface import Signature, Surface, signature_of

_NO_CONSTRUCTOR = ["(self, /, *args, **kwargs)"]
_DATA_TYPES = {
    "float32": "FLOAT",
    "float16": "HALF",
    "bfloat16": "BF16",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
    "uint8": "UINT8",
    "fp8": "FP8",
    "int4": "INT4",
    "fp4": "FP4",
    "e8m0": "E8M0",
}
_ONNX_TYPES = {1: "FLOAT", 2: "UINT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF", 16: "BF16"}
_numbers = itertools.count()
_LAYERS = {"Cast": "CAST", "MatMul": "MATRIX_MULTIPLY", "Conv": "CONVOLUTION", "Add": "ELEMENTWISE"}
_DEFAULTS = {"int": 0, "float": 0.0, "bool": True, "str": "", "None": None}
# What a configuration has before anybody sets it, as read from the real one.
_FIRST = {
    "builder_optimization_level": 3,
    "max_aux_streams": -1,
    "max_num_tactics": -1,
    "num_compute_capabilities": 1,
}


class Member(enum.Enum):
    """A member of one of TensorRT's enumerations: no number, and made into one by ``int``."""

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return int(self.value)


@dataclass(frozen=True)
class Call:
    """One call of a method, or one setting of a property (``name`` is ``"flags="`` then)."""

    owner: str
    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={_shown(value)}" for key, value in self.arguments.items())
        return f"{self.owner}.{self.name}({inside})"


@dataclass
class Recorder:
    """A module, and the calls that were made of it.

    Attributes:
        surface: of the version that is played.
        engine: what a build gives; None plays a build that fails.
        refusal: what the parser says of every graph, of which it makes the layers before ``node``; None for a
            parser that takes it.
        untyped: tensors that have no type yet, as those behind a layer whose inputs do not fit.
        foreign: the timing caches that are said to be of another TensorRT or GPU.
        steps: how many steps the build's progress monitor is told of.
        calls: in order.
    """

    surface: Surface
    engine: bytes | None = b"an engine"
    refusal: Mapping[str, Any] | None = None
    untyped: frozenset[str] = frozenset()
    foreign: frozenset[bytes] = frozenset()
    steps: int = 3
    calls: list[Call] = field(default_factory=list)
    classes: dict[str, type] = field(default_factory=dict)
    enums: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A name of its own, as modules have that are there together.
        self.module: Any = _Module(f"tensorrt_{next(_numbers)}")
        self.module.__version__ = self.surface.version
        for name, members in self.surface.enums.items():
            self.enums[name] = Member(name.rpartition(".")[2], members)  # type: ignore[call-overload]
        self.enums["Logger.Severity"] = self.enums["ILogger.Severity"]  # one class by two names
        for name in self.surface.classes:
            self._class(name)
        for name, made in {**self.enums, **self.classes}.items():
            owner, _, last = name.rpartition(".")
            setattr(self.classes[owner] if owner else self.module, last, made)
        for name in self.surface.constants:
            if name in _DATA_TYPES:
                setattr(self.module, name, self.enums["DataType"][_DATA_TYPES[name]])
        for name, signatures in self.surface.functions.items():
            setattr(self.module, name, _function(self, "", name, signatures))

    def called(self, name: str) -> list[Call]:
        """The calls of one method (``"set_flag"``), of whatever class."""
        return [call for call in self.calls if call.name == name]

    def flags(self) -> set[str]:
        """The builder flags that were set, by name, whichever way."""
        found = {
            call.arguments["flag"].name for call in self.called("set_flag") if call.owner == "IBuilderConfig"
        }
        for call in self.called("flags="):
            if call.owner == "IBuilderConfig":
                found |= self.decoded("BuilderFlag", call.arguments["value"])
        return found

    def decoded(self, enumeration: str, bits: int) -> set[str]:
        """The members that a number's bits stand for.

        Raises:
            AssertionError: a bit stands for none in this version.
        """
        found = {member.name for member in self.enums[enumeration] if bits >> int(member) & 1}
        assert bits == sum(1 << int(self.enums[enumeration][name]) for name in found), (
            f"{enumeration} {bits:#b}"
        )
        return found

    def _class(self, name: str) -> type:
        if name in self.classes:
            return self.classes[name]
        parts = self.surface.classes[name]
        bases = [self._class(base) for base in parts["bases"] if base in self.surface.classes] or [_Object]
        if name == "IHostMemory":
            bases.append(bytes)
        inside: dict[str, Any] = {"_recorder": self, "_surface_name": name}
        for key, kind in parts["properties"].items():
            inside[key] = _property(self, name, key, kind)
        for key, signatures in parts["methods"].items():
            inside[key] = _function(self, name, key, signatures)
        if name == "Runtime":
            inside["__init__"] = _no_driver
        for key, kind in parts["constants"].items():
            enumeration = f"{name}.{kind}" if f"{name}.{kind}" in self.enums else kind
            inside[key] = self.enums[enumeration][key]
        self.classes[name] = type(name, tuple(bases), inside)
        return self.classes[name]

    def make(self, name: str, /, *content: Any, **values: Any) -> Any:
        """An object of a class that has no constructor of its own."""
        made = self.classes[name].__new__(self.classes[name], *content)
        made._values.update(values)
        return made


class _Module(ModuleType):
    """A module whose lack of a name is named."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"module 'tensorrt' {self.__dict__.get('__version__')} has no attribute {name!r}"
        )


class _Object:
    """An object with the attributes of its class and no others; a subclass of the user's may add some."""

    _values: dict[str, Any]
    _recorder: Recorder
    _surface_name: str

    def __new__(cls, *arguments: Any, **_: Any) -> Any:
        made = bytes.__new__(cls, *arguments) if issubclass(cls, bytes) else object.__new__(cls)
        object.__setattr__(made, "_values", {})
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        if "_surface_name" in vars(type(self)) and not isinstance(getattr(type(self), name, None), property):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        object.__setattr__(self, name, value)


def _no_driver(self: Any, logger: Any) -> None:
    raise AssertionError("a Runtime was made: without a driver that crashes the process")


def _property(recorder: Recorder, owner: str, name: str, kind: str) -> property:
    writable, kind = kind.startswith("w "), kind.removeprefix("w ")

    def read(self: Any) -> Any:
        behaviour = _READ.get((owner, name))
        if behaviour is not None:
            return behaviour(self)
        return self._values.get(name, _FIRST.get(name, _DEFAULTS.get(kind)))

    def write(self: Any, value: Any) -> None:
        if not _fits(recorder, kind, value):
            raise TypeError(f"{owner}.{name} is {kind}, and was set to {value!r}")
        recorder.calls.append(Call(owner, f"{name}=", {"value": value}))
        self._values[name] = value

    return property(read, write if writable else None)


def _function(recorder: Recorder, owner: str, name: str, texts: list[str]) -> Callable[..., Any]:
    signatures = [signature_of(text) for text in texts]

    def function(*given: Any, **named: Any) -> Any:
        if name == "__init__" and texts == _NO_CONSTRUCTOR:
            raise TypeError(f"{owner}: No constructor defined!")
        who: Any = given[0] if owner else None
        values = given[1:] if owner else given
        signature, arguments = _bound(recorder, f"{owner}.{name}", signatures, values, named)
        recorder.calls.append(Call(owner, name, arguments))
        if owner and name != "__init__":
            who._values.setdefault("calls", []).append(name)
        if name == "__init__":
            who._values.update(arguments)
            return None
        behaviour = _CALLED.get((owner, name))
        if behaviour is not None:
            return behaviour(who, **arguments)
        if signature.returns in recorder.classes:
            return recorder.make(signature.returns)
        return _DEFAULTS.get(signature.returns)

    function.__name__ = name
    return function


def _bound(
    recorder: Recorder, what: str, signatures: list[Signature], given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Signature, dict[str, Any]]:
    for signature in signatures:
        try:
            bound = signature.parameters.bind(*given, **named)
        except TypeError:
            continue
        parameters = signature.parameters.parameters
        if all(_fits(recorder, parameters[key].annotation, value) for key, value in bound.arguments.items()):
            return signature, dict(bound.arguments)
    shown = ", ".join([*map(_shown, given), *(f"{key}={_shown(value)}" for key, value in named.items())])
    takes = " or ".join(str(signature.parameters) for signature in signatures)
    raise TypeError(
        f"{what}({shown}): incompatible arguments in {recorder.surface.version}, which takes {takes}"
    )


def _fits(recorder: Recorder, kind: str, value: Any) -> bool:
    """Whether pybind11 would take the value for an argument of this type."""
    if kind in recorder.enums:
        return isinstance(value, recorder.enums[kind])
    if kind == "Dims":
        return isinstance(value, (tuple, list, recorder.classes["Dims"])) and all(
            isinstance(size, int) for size in value
        )
    if kind in recorder.classes:
        return value is None or isinstance(value, recorder.classes[kind])
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "str":
        return value is None or isinstance(value, str)
    if kind == "float":
        return isinstance(value, (int, float))
    if kind.lower() == "buffer":
        return isinstance(value, (bytes, bytearray, memoryview))
    if kind == "int":
        try:
            operator.index(value)
        except TypeError:
            return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    return value.name if isinstance(value, Member) else repr(value)


# What stands behind the surface: as little as the building code can tell from the real thing.


def _parse(self: Any, model: Any, path: str | None = None) -> bool:
    recorder, network = self._recorder, self._values["network"]
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(bytes(model))).graph
    known = {tensor.name for tensor in graph.initializer}
    given = [item for item in graph.input if item.name not in known]
    tensors = {item.name: _tensor(recorder, item) for item in (*given, *graph.output, *graph.value_info)}
    for stored in graph.initializer:
        tensors[stored.name] = _made_tensor(recorder, stored.name, stored.data_type, tuple(stored.dims))
    network._values["inputs"] = [tensors[item.name] for item in given]
    network._values["outputs"] = [tensors[item.name] for item in graph.output]
    constants = [_layer(recorder, name, "CONSTANT", [], [tensors[name]]) for name in sorted(known)]
    network._values["layers"] = constants + [
        _layer(
            recorder,
            node.name,
            _LAYERS.get(node.op_type, "SHUFFLE"),
            [tensors.get(name) for name in node.input],
            [tensors.get(name) for name in node.output],
        )
        for node in graph.node[: None if recorder.refusal is None else recorder.refusal["node"]]
    ]
    return recorder.refusal is None


def _layer(recorder: Recorder, name: str, kind: str, inputs: list[Any], outputs: list[Any]) -> Any:
    return recorder.make(
        "ILayer", name=name, type=recorder.enums["LayerType"][kind], inputs=inputs, outputs=outputs
    )


def _tensor(recorder: Recorder, item: onnx.ValueInfoProto) -> Any:
    kind = item.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
    return _made_tensor(recorder, item.name, kind.elem_type, shape)


def _made_tensor(recorder: Recorder, name: str, kind: int, shape: tuple[int, ...]) -> Any:
    return recorder.make(
        "ITensor", name=name, shape=shape, dtype=recorder.enums["DataType"][_ONNX_TYPES[kind]]
    )


def _network(self: Any, flags: int = 0) -> Any:
    bits = self._recorder.decoded("NetworkDefinitionCreationFlag", flags)
    return self._recorder.make(
        "INetworkDefinition", flags=flags, flag_names=bits, inputs=[], outputs=[], layers=[]
    )


def _build(self: Any, network: Any, config: Any) -> Any:
    recorder, monitor = self._recorder, config._values.get("progress_monitor")
    if monitor is not None:
        monitor.phase_start("Building Engine", None, recorder.steps)
        for step in range(recorder.steps):
            if not monitor.step_complete("Building Engine", step):
                return None
        monitor.phase_finish("Building Engine")
    return None if recorder.engine is None else recorder.make("IHostMemory", recorder.engine)


def _build_to_stream(self: Any, network: Any, config: Any, writer: Any) -> bool:
    built = _build(self, network, config)
    return built is not None and writer.write(bytes(built)) == len(built)


def _capability(self: Any, compute_capability: Any, index: int) -> bool:
    return 0 <= index < self._values.get("num_compute_capabilities", 1)


def _set_cache(self: Any, cache: Any, ignore_mismatch: bool) -> bool:
    if cache._values["content"] in self._recorder.foreign and not ignore_mismatch:
        return False
    self._values["timing_cache"] = cache
    return True


def _dtype(self: Any) -> Any:
    if self._values["name"] in self._recorder.untyped:
        raise RuntimeError("the type of this tensor is not known")
    return self._values["dtype"]


_CALLED: dict[tuple[str, str], Callable[..., Any]] = {
    ("Builder", "create_network"): _network,
    ("Builder", "build_serialized_network"): _build,
    ("Builder", "build_serialized_network_to_stream"): _build_to_stream,
    ("INetworkDefinition", "get_input"): lambda self, index: self._values["inputs"][index],
    ("INetworkDefinition", "get_output"): lambda self, index: self._values["outputs"][index],
    ("INetworkDefinition", "get_layer"): lambda self, index: self._values["layers"][index],
    ("INetworkDefinition", "get_flag"): lambda self, flag: flag.name in self._values["flag_names"],
    ("ILayer", "get_input"): lambda self, index: self._values["inputs"][index],
    ("ILayer", "get_output"): lambda self, index: self._values["outputs"][index],
    ("OnnxParser", "parse"): _parse,
    ("OnnxParser", "get_error"): lambda self, index: self._recorder.make("ParserError"),
    ("IBuilderConfig", "create_timing_cache"): lambda self, serialized_timing_cache: self._recorder.make(
        "ITimingCache", content=bytes(serialized_timing_cache)
    ),
    ("IBuilderConfig", "set_timing_cache"): _set_cache,
    ("IBuilderConfig", "get_timing_cache"): lambda self: self._values.get("timing_cache"),
    ("IBuilderConfig", "set_compute_capability"): _capability,
    ("ITimingCache", "serialize"): lambda self: self._recorder.make(
        "IHostMemory", self._values["content"] + b"timed "
    ),
    **{
        ("ParserError", name): lambda self, name=name: self._recorder.refusal[name]
        for name in ("code", "desc", "file", "func", "line", "node", "node_name", "node_operator")
    },
}
_READ: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("INetworkDefinition", "num_inputs"): lambda self: len(self._values["inputs"]),
    ("INetworkDefinition", "num_outputs"): lambda self: len(self._values["outputs"]),
    ("INetworkDefinition", "num_layers"): lambda self: len(self._values["layers"]),
    ("ILayer", "num_inputs"): lambda self: len(self._values["inputs"]),
    ("ILayer", "num_outputs"): lambda self: len(self._values["outputs"]),
    ("ITensor", "dtype"): _dtype,
    ("IHostMemory", "nbytes"): lambda self: len(self),
    ("OnnxParser", "num_errors"): lambda self: int(self._recorder.refusal is not None),
}
