"""Writing an ONNX graph by hand: one method call a node, constants shared, names made up.

The ``onnx`` package is imported when a graph is made, and only then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.extras import require
from cnnrnn.core.manifest import TensorSpec

# Readable by ONNX Runtime 1.16 and newer, TensorRT 10.3 and newer.
OPSET = 17
IR_VERSION = 8

# onnx.TensorProto's codes of the two types that graphs here cast to.
FLOAT32 = 1
INT32 = 6
INT64 = 7


class GraphWriter:
    """Collects nodes; every method returns the name of the tensor that it defines.

    Raises:
        MissingDependencyError: ``onnx`` is not installed.
    """

    def __init__(self) -> None:
        self._onnx = require("onnx", "export")
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], tuple[str, NDArray[Any]]] = {}
        self._count = 0

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; ``name`` names it where it is an output of the graph."""
        return self.ops(kind, *inputs, names=(name,), **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, names: tuple[str | None, ...], **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with as many outputs as ``names``; None lets a name be made up."""
        self._count += 1
        node = f"{kind}_{self._count}"
        outputs = tuple(name or f"{node}_{index}" for index, name in enumerate(names))
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, outputs, name=node, **attributes))
        return outputs

    def constant(self, value: Any, dtype: str) -> str:
        """A constant tensor; equal ones are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        key = (dtype, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = (f"constant_{len(self._constants)}", array)
        return self._constants[key][0]

    def slice(self, tensor: str, axis: int, start: int, end: int) -> str:
        """``tensor[start:end]`` along one axis; ``end`` may be negative."""
        bounds = (self.constant([value], "int64") for value in (start, end, axis))
        return self.op("Slice", tensor, *bounds)

    def pick(self, tensor: str, axis: int, place: int) -> str:
        """``tensor[place : place + 1]`` along one axis; to gather one place is faster than to slice it."""
        return self.op("Gather", tensor, self.constant([place], "int64"), axis=axis)

    def unsqueeze(self, tensor: str, *axes: int) -> str:
        return self.op("Unsqueeze", tensor, self.constant(axes, "int64"))

    def squeeze(self, tensor: str, *axes: int) -> str:
        return self.op("Squeeze", tensor, self.constant(axes, "int64"))

    def top(self, tensor: str, count: int, *, axis: int, largest: int = 1) -> tuple[str, str]:
        """The ``count`` largest values along an axis, in order, and their int64 places; of ties the first."""
        size = self.constant([count], "int64")
        values, places = self.ops("TopK", tensor, size, names=(None, None), axis=axis, largest=largest)
        return values, places

    def model(
        self,
        name: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        made: Mapping[str, str] | None = None,
    ) -> bytes:
        """The finished graph, checked by ``onnx.checker`` with full shape inference, serialised.

        Args:
            made: by output, the tensor that it is; an output that is not in it is a tensor of its own name.
        """
        helper, numpy_helper = self._onnx.helper, self._onnx.numpy_helper
        self._bind(made or {}, {spec.name for spec in inputs})
        graph = helper.make_graph(
            self._nodes,
            name,
            [self._value(spec) for spec in inputs],
            [self._value(spec) for spec in outputs],
            initializer=[numpy_helper.from_array(array, key) for key, array in self._constants.values()],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="cnnrnn",
        )
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _bind(self, made: Mapping[str, str], inputs: set[str]) -> None:
        """Give tensors the names of the outputs that they are; one that has a name gets a copy."""
        renamed: dict[str, str] = {}
        for output, tensor in made.items():
            if tensor in inputs or tensor in renamed:
                self.op("Identity", tensor, name=output)
            else:
                renamed[tensor] = output
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [renamed.get(entry, entry) for entry in names]

    def _value(self, spec: TensorSpec) -> Any:
        helper = self._onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        return helper.make_tensor_value_info(spec.name, kind, list(spec.shape))
