"""Storing float32 weights in half the bytes, without changing a single value of the graph.

Two halves of one rule. `round_weights` rounds a model's matrices to what fp16 can hold and keeps them
float32: the rounded model *is* the model that is exported, and the one that the parity gate takes as its
reference. `store_fp16` then stores those float32 initialisers as fp16 ones with a Cast behind each, which is
lossless, and which ONNX Runtime and TensorRT fold away when they load the graph. Vectors (biases,
normalisation) stay as they are: they are small, and rounding them costs more than it saves.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from cnnrnn.core.errors import ModelError

_log = logging.getLogger(__name__)

FP16_MAX = 65504.0
_FEWEST_ELEMENTS = 256
_FEWEST_DIMENSIONS = 2


def round_weights(model: Any) -> Any:
    """Return a deep copy of ``model`` whose matrices hold only values that fp16 can hold.

    Every float32 parameter and buffer of two or more dimensions and at least 256 elements is rounded to the
    nearest fp16 value and widened again; everything else is copied as it is.

    Args:
        model: an object that follows `CaptionModel`; its modules are found as attributes.

    Raises:
        ModelError: a weight is not finite or beyond fp16's 65504.
    """
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in named_tensors(rounded):
            if not _is_matrix(tensor.dtype == torch.float32, tensor.dim(), tensor.numel()):
                continue
            largest = float(tensor.abs().max())
            if not largest <= FP16_MAX:
                raise ModelError(
                    f"weight {name!r} reaches {largest:g}, and fp16 holds at most {FP16_MAX:g}; export with "
                    "weight_storage='fp32'"
                )
            tensor.copy_(tensor.half().float())
    return rounded


def named_tensors(model: Any) -> list[tuple[str, torch.Tensor]]:
    """Every parameter and buffer of a module, or of the modules that a plain object holds as attributes."""
    modules = [("", model)] if isinstance(model, torch.nn.Module) else held_modules(model)
    found: list[tuple[str, torch.Tensor]] = []
    for prefix, module in modules:
        start = f"{prefix}." if prefix else ""
        found += [(start + name, tensor) for name, tensor in module.named_parameters()]
        found += [(start + name, tensor) for name, tensor in module.named_buffers()]
    return found


def held_modules(model: Any) -> list[tuple[str, torch.nn.Module]]:
    """The modules that an object which is no module itself holds as attributes."""
    attributes = getattr(model, "__dict__", {})
    return [(name, value) for name, value in attributes.items() if isinstance(value, torch.nn.Module)]


def store_fp16(graph: onnx.ModelProto) -> int:
    """Store, in place, every float32 initialiser that fp16 holds exactly as fp16 with a Cast to float32.

    An initialiser with a value that fp16 would change stays float32, so this never changes a result. The
    Cast takes the initialiser's name, the stored tensor is called ``NAME.fp16``.

    Returns:
        Bytes saved.
    """
    saved = 0
    casts: list[onnx.NodeProto] = []
    for index, tensor in enumerate(graph.graph.initializer):
        elements = int(np.prod(tensor.dims, dtype=np.int64))
        if not _is_matrix(tensor.data_type == onnx.TensorProto.FLOAT, len(tensor.dims), elements):
            continue
        wide = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float16)
        if not np.array_equal(narrow.astype(np.float32), wide):
            _log.info("%s stays float32: fp16 would change it", tensor.name)
            continue
        name = tensor.name
        stored = numpy_helper.from_array(narrow, f"{name}.fp16")
        graph.graph.initializer[index].CopyFrom(stored)
        casts.append(
            helper.make_node("Cast", [stored.name], [name], name=f"widen/{name}", to=onnx.TensorProto.FLOAT)
        )
        saved += wide.nbytes - narrow.nbytes
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return saved


def _is_matrix(is_float32: bool, dimensions: int, elements: int) -> bool:
    return is_float32 and dimensions >= _FEWEST_DIMENSIONS and elements >= _FEWEST_ELEMENTS
