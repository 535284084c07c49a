"""What TensorRT refuses is said in terms of the model, with what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine.builder import build_engine
from cnnrnn.runtime.engine.library import TENSORRT_RTX, Library, load_library
from cnnrnn.runtime.engine.log import Messages
from cnnrnn.runtime.engine.onnx_nodes import read_nodes
from cnnrnn.runtime.engine.options import BuildOptions, check
from cnnrnn.runtime.engine.parser_errors import build_error, dynamic_error, module_of, parser_error
from tests.engine import onnx_graphs
from tests.engine.rigs import bindings

TENSORRT = Library("tensorrt", ModuleType("tensorrt"), "10.3.0")


@pytest.fixture(scope="module")
def rtx() -> Library:
    bindings.rtx_libraries()
    return load_library(TENSORRT_RTX)


def refusal(library: Library, graph: bytes, capability: str = "8.6", **more: tuple[int, ...]) -> str:
    options = check(BuildOptions(compute_capabilities=(capability,)), library)
    with pytest.raises(EngineError) as raised:
        build_engine(library, graph, {**onnx_graphs.SHAPES, **more}, options, name="fp32/step.onnx")
    message = str(raised.value)
    assert message.startswith("fp32/step.onnx: TensorRT-RTX 1.")
    assert "catchCudaError" not in message
    return message


def test_an_operator_that_it_does_not_have(rtx: Library) -> None:
    message = refusal(rtx, onnx_graphs.unknown_operator())
    for words in (
        "refuses node 'decoder.mask/Wild'",
        "operator Wild",
        "'x' float32",
        "(module decoder.mask of the model)",
        "Write the model's module without Wild, and export it again",
    ):
        assert words in message


def test_a_shape_that_depends_on_values(rtx: Library) -> None:
    message = refusal(rtx, onnx_graphs.places_of_values())
    assert "node 'decoder.mask/NonZero'" in message
    assert "mask of fixed shape" in message
    message = refusal(rtx, onnx_graphs.shape_by_value(), s=(2,))
    assert "shape input tensor s" in message
    assert "mask of fixed shape" in message


def test_mixed_types(rtx: Library) -> None:
    message = refusal(rtx, onnx_graphs.mixed_types())
    for words in (
        "'encoder.cell/",
        "float16",
        "module encoder.cell",
        "mixes types",
        "export the bundle again",
    ):
        assert words in message
    assert "GPU" not in message


def test_float32_matrix_products_for_turing(rtx: Library) -> None:
    message = refusal(rtx, onnx_graphs.product(), "7.5")
    for words in ("decoder.out/MatMul", "module decoder.out", "7.5", "fp16", "leave 7.5 out"):
        assert words in message


def test_bytes_that_are_no_graph(rtx: Library) -> None:
    assert "cannot read this graph of 8 bytes" in refusal(rtx, b"no graph")
    assert "finds no output in its 0 bytes" in refusal(rtx, b"")


@dataclass
class Tensor:
    """A tensor of a network; one without a type raises as TensorRT's do."""

    name: str
    type: str = ""

    @property
    def dtype(self) -> str:
        if not self.type:
            raise RuntimeError("Could not get tensor type.")
        return f"DataType.{self.type}"

    @property
    def shape(self) -> tuple[int, ...]:
        raise RuntimeError("Could not get tensor shape.")


@dataclass
class Layer:
    name: str
    type: str
    outputs: list[Tensor | None] = field(default_factory=list)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_output(self, index: int) -> Tensor | None:
        return self.outputs[index]


@dataclass
class Network:
    inputs: list[Tensor] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]


def parser(*errors: dict[str, Any]) -> Any:
    made = [
        SimpleNamespace(**{key: lambda value=value: value for key, value in one.items()}) for one in errors
    ]
    return SimpleNamespace(num_errors=len(made), get_error=made.__getitem__)


def test_a_tensor_whose_type_cannot_be_asked_for() -> None:
    """Behind a layer that TensorRT refuses stand tensors that raise when they are asked."""
    graph = onnx_graphs.mixed_types()
    layer = Layer("a", "CAST", [Tensor("h", "HALF"), Tensor("z"), None])
    network = Network([Tensor("x", "FLOAT")], [layer])
    said = {"node": 2, "node_name": "", "node_operator": "", "desc": "must have same input types"}
    message = str(parser_error(TENSORRT, graph, "fp16/step.onnx", parser(said), network))
    assert "node 'encoder.cell/Add', operator Add, of 'h' float16, 'z' (a constant)" in message


def test_a_parser_that_says_nothing() -> None:
    message = str(parser_error(TENSORRT, b"", "fp16/step.onnx", parser(), Network()))
    assert message == "fp16/step.onnx: TensorRT 10.3.0 cannot read this graph, and says no more about it"


@pytest.mark.parametrize("kind", ["NON_ZERO", "NMS"])
def test_a_layer_that_asks_for_memory_while_it_runs(kind: str) -> None:
    """TensorRT proper takes such a graph, and would stop at the host in every step."""
    layers = [Layer("plain", "LayerType.ACTIVATION"), Layer("decoder.mask/NonZero", f"LayerType.{kind}")]
    error = dynamic_error(TENSORRT, "fp16/step.onnx", Network(layers=layers))
    assert isinstance(error, EngineError)
    assert "layer 'decoder.mask/NonZero' (module decoder.mask of the model)" in str(error)
    assert "mask of fixed shape" in str(error)
    assert dynamic_error(TENSORRT, "fp16/step.onnx", Network(layers=layers[:1])) is None


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "no tactics to implement the operation within workspace limit",
            "64 MiB is too small",
        ),
        ("libnvinfer_lean.so.10: cannot open", "pip install tensorrt-lean"),
        ("CUDA driver version is insufficient for CUDA runtime version", "needs a GPU and its driver"),
        ("contains HW-specific datatypes: b16", "build precision fp16"),
        ("OutOfMemory: out of memory", "smaller buckets"),
        ("something never heard of", "--verbose"),
    ],
)
def test_what_to_do_about_a_build_that_fails(said: str, advice: str) -> None:
    messages = Messages([("INFO", "begins"), ("ERROR", "In catchCudaError"), ("INTERNAL_ERROR", said)])
    message = str(build_error(TENSORRT, "fp16/step.onnx", messages, 64))
    assert said in message
    assert advice in message
    assert "catchCudaError" not in message


def test_a_build_that_fails_without_a_word() -> None:
    assert "it gave no reason" in str(build_error(TENSORRT, "fp16/step.onnx", Messages()))


def test_modules_of_nodes() -> None:
    assert module_of("decoder.cells.0/Sigmoid_1") == " (module decoder.cells.0 of the model)"
    assert module_of("Sigmoid_1") == ""


def test_nodes_are_read_without_onnx() -> None:
    nodes = read_nodes(onnx_graphs.mixed_types())
    assert [node.kind for node in nodes] == ["ConstantOfShape", "Cast", "Add", "MatMul"]
    assert nodes[2].name == "encoder.cell/Add"
    assert (nodes[2].inputs, nodes[2].outputs) == (("h", "z"), ("w",))


@pytest.mark.parametrize("size", range(0, 200, 7))
def test_cut_bytes_have_no_nodes_or_fewer(size: int) -> None:
    graph = onnx_graphs.mixed_types()
    assert len(read_nodes(graph[:size])) <= 4
