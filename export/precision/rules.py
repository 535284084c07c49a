"""Which nodes compute in the lower precision, and which stay float32: the rules, before any measurement.

What stays float32 by itself is what 10 bits of mantissa, or a largest number of 65,504, are known to spoil:
softmax and other sums over many numbers, normalisation's statistics, powers and roots, what comes of the
picture's bytes before the first weights, and a node with a constant that the precision cannot hold. The
rest is for the precision gate to judge, and for the doctor to cure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

ELEMENT_TYPES = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}

# The distance of 1 to the next number: what rounding may change, at most half of it, relative to a number.
SPACING = {"fp16": 2.0**-10, "bf16": 2.0**-7}
LARGEST = {"fp16": 65504.0, "bf16": 3.3895313892515355e38}
SMALLEST = {"fp16": 2.0**-24, "bf16": 2.0**-133}
SMALLEST_NORMAL = {"fp16": 2.0**-14, "bf16": 2.0**-126}

FLOAT32_OPERATORS = frozenset(
    {
        "Softmax",
        "LogSoftmax",
        "Exp",
        "Log",
        "Pow",
        "Sqrt",
        "Reciprocal",
        "CumSum",
        "ReduceSum",
        "ReduceMean",
        "ReduceProd",
        "ReduceSumSquare",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "LayerNormalization",
        "GroupNormalization",
        "InstanceNormalization",
        "MeanVarianceNormalization",
        "LpNormalization",
        "LRN",
        # TensorRT before 10.14 has them in float32 alone.
        "LSTM",
        "RNN",
    }
)

# These only hand numbers on, so they take them in the type in which they are.
MOVING_OPERATORS = frozenset(
    {
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Pad",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)

# Of the picture's bytes and constants alone these make pixels still, not features.
PIXEL_OPERATORS = MOVING_OPERATORS | {"Add", "Sub", "Mul", "Div", "Clip"}

# With weights worth reading in the precision even where the result is to be float32.
MATRIX_OPERATORS = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})

INTEGERS = frozenset(
    {
        onnx.TensorProto.BOOL,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT8,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
    }
)

# A bound beyond the largest number is the largest number, and means the same.
BOUNDED_OPERATORS = frozenset({"Clip", "Pad"})

# Inputs that are float32 whatever the node computes in, by operator.
FIXED_INPUTS: Mapping[str, frozenset[int]] = {"Resize": frozenset({1, 2}), "Upsample": frozenset({1})}


def holds(precision: str, number: NDArray[np.float32]) -> bool:
    """Whether a single constant is, in the precision, the same number but for its rounding."""
    value = float(number.reshape(-1)[0])
    if value == 0 or not np.isfinite(value):
        return True
    rounded = float(narrowed(precision, number).astype(np.float32).reshape(-1)[0])
    return abs(rounded - value) <= SPACING[precision] * abs(value)


def narrowed(precision: str, array: NDArray[np.float32], *, bounded: bool = False) -> NDArray[np.generic]:
    """An array rounded to the precision; beyond its largest number infinite or, ``bounded``, that number."""
    if bounded:
        limit = np.float32(LARGEST[precision])
        array = np.where(np.isfinite(array), np.clip(array, -limit, limit), array)
    with np.errstate(over="ignore"):
        return array.astype(onnx.helper.tensor_dtype_to_np_dtype(ELEMENT_TYPES[precision]))
