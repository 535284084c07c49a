"""Writing an ONNX graph by hand: one method call a node, constants shared, names made up.

The ``onnx`` package is imported when a graph is made, and only then.
"""

from __future__ import annotations

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

    def model(self, name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> bytes:
        """The finished graph, checked by ``onnx.checker`` with full shape inference, serialised."""
        helper, numpy_helper = self._onnx.helper, self._onnx.numpy_helper
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

    def _value(self, spec: TensorSpec) -> Any:
        helper = self._onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        return helper.make_tensor_value_info(spec.name, kind, list(spec.shape))
