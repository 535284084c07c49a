"""torch modules to ONNX: the current exporter, a fixed list of clean-up passes, dynamic images and beams."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer, rewriter
from onnxscript.onnx_opset import opset18
from onnxscript.rewriter.rules import common as rules
from torch import Tensor, nn

from cnnrnn.core.errors import ModelError
from cnnrnn.core.manifest import TensorSpec
from cnnrnn.export.asking import example_questions
from cnnrnn.export.graphs import EncoderGraph, StepGraph
from cnnrnn.export.signature import TRACE_BEAMS, TRACE_IMAGES, Signature, repeat_beams
from cnnrnn.export.tidy import OPSET, tidy

_log = logging.getLogger(__name__)

_SIMPLIFYING = (
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.cast_cast_rule,
    rules.transpose_transpose_rule,
    rules.reshape_reshape_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.squeeze_reshape_1d_rule,
    rules.slice_split_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
    rules.cast_constant_of_shape_rule,
    rules.successive_relu_rule,
    rules.successive_clip_rule,
    rules.mul_by_1_rule,
    rules.add_0_rule,
    rules.sub_0_rule,
    rules.div_by_1_rule,
    rules.dropout_zero_rule,
    rules.dropout_inference_rule,
)
_FOLDING_BATCH_NORM = (
    rules.fuse_batchnorm_into_conv_rule,
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.fuse_batchnorm_into_gemm_rule,
)


def step_graph(
    model: Any, signature: Signature, *, fold_batch_norm: bool = True
) -> tuple[onnx.ModelProto, Signature]:
    """Export one decoding step.

    Args:
        model: follows `CaptionModel`, in ``eval`` mode, on the CPU.
        signature: of `trace_signature`.
        fold_batch_norm: multiply batch normalisation into the weights before it. False keeps every weight as
            the model has it, which lossless fp16 storage needs; ONNX Runtime and TensorRT then fold it when
            they load the graph.

    Returns:
        The graph, and the signature without the memory that the step never uses.

    Raises:
        ModelError: the model cannot be traced with dynamic images and beams, or uses an operator that
            TensorRT cannot run.
    """
    # Every argument is a tensor of its own: the exporter takes one tensor given twice for one input.
    state = [tensor.clone() for tensor in repeat_beams(signature.state, TRACE_BEAMS).values()]
    memory = [tensor.clone() for tensor in signature.memory.values()]
    tokens, parents = torch.zeros(2, TRACE_IMAGES, TRACE_BEAMS, dtype=torch.int32).unbind()
    images, beams = torch.export.Dim("B"), torch.export.Dim("K")
    both, one = {0: images, 1: beams}, {0: images}
    shapes = (both, both, (*(both for _ in state), *(one for _ in memory)))
    proto = _export(
        StepGraph(model, signature),
        (tokens.clone(), parents.clone(), *state, *memory),
        shapes,
        signature.step_inputs(),
        signature.step_outputs(),
        fold_batch_norm,
    )
    used = {name for node in proto.graph.node for name in node.input}
    kept = signature.with_memory(frozenset(name for name in signature.memory if f"memory_{name}" in used))
    return tidy(proto, kept.step_inputs(), kept.step_outputs()), kept


def encoder_graph(model: Any, signature: Signature, *, fold_batch_norm: bool = True) -> onnx.ModelProto:
    """Export preprocessing, ``encode`` and ``initial_state`` as one graph; all else as in `step_graph`."""
    spec = signature.image
    image = torch.zeros(TRACE_IMAGES, spec.height, spec.width, 3, dtype=torch.uint8)
    example: tuple[Tensor, ...] = (image,)
    shapes: tuple[Any, ...] = ({0: torch.export.Dim("B")},)
    if signature.question is not None:
        # One more question than pictures, lest the two be taken for the same size.
        words, lengths = example_questions(signature.question, TRACE_IMAGES + 1)
        asked = {0: torch.export.Dim("B")}
        example = (image, words.int(), lengths.int())
        shapes = ({0: torch.export.Dim("I")}, (asked, asked))
    proto = _export(
        EncoderGraph(model, signature),
        example,
        shapes,
        signature.encoder_inputs(),
        signature.encoder_outputs(),
        fold_batch_norm,
    )
    return tidy(proto, signature.encoder_inputs(), signature.encoder_outputs())


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    shapes: tuple[Any, ...],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    fold_batch_norm: bool,
) -> onnx.ModelProto:
    module.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=[spec.name for spec in inputs],
                output_names=[spec.name for spec in outputs],
                dynamic_shapes=shapes,
                custom_translation_table={
                    torch.ops.cnnrnn.gather_beams.default: _gather_beams_onnx,
                    torch.ops.cnnrnn.for_each_question.default: _for_each_question_onnx,
                },
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # the exporter wraps every cause in its own exception
        raise ModelError(_explain(module, error)) from error
    assert program is not None
    return ir.to_proto(_simplify(program.model, fold_batch_norm))


def _gather_beams_onnx(state: Any, parents: Any) -> Any:
    """How `gather_beams` is written in ONNX: rows picked within each image, hence ``batch_dims=1``."""
    rows = opset18.Unsqueeze(
        opset18.Cast(parents, to=onnx.TensorProto.INT64), opset18.Constant(value_ints=[2])
    )
    return opset18.GatherND(state, rows, batch_dims=1)


def _for_each_question_onnx(seen: Any, question: Any) -> Any:
    """How `for_each_question` is written in ONNX: Expand makes B of one, and leaves B as they are."""
    questions = opset18.Shape(question, start=0, end=1)
    others = opset18.Expand(opset18.Constant(value_ints=[1]), opset18.Shape(opset18.Shape(seen, start=1)))
    return opset18.Expand(seen, opset18.Concat(questions, others, axis=0))


def _simplify(model: ir.Model, fold_batch_norm: bool) -> ir.Model:
    """Inline, fold constants, rewrite and prune: a fixed list, so that a graph is the same tomorrow."""
    chosen = (*_SIMPLIFYING, *(_FOLDING_BATCH_NORM if fold_batch_norm else ()))
    passes.InlinePass()(model)
    for _ in range(2):
        optimizer.fold_constants(model, onnx_shape_inference=True)
        rewriter.RewritePass(chosen)(model)
        passes.RemoveUnusedNodesPass()(model)
    _run(
        model,
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        passes.RemoveUnusedOpsetsPass(),
    )
    return model


def _run(model: ir.Model, *steps: Callable[[ir.Model], object]) -> None:
    for step in steps:
        step(model)


def _explain(module: nn.Module, error: Exception) -> str:
    part = "encode and initial_state" if isinstance(module, EncoderGraph) else "step"
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    first = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    return (
        f"torch cannot trace the model's {part} for every number of images and beams: {first} Sizes must "
        "come from the tensors (tokens.shape), not from numbers; no Python 'if' or loop may depend on a "
        "tensor's values; and no .item(), .tolist() or numpy may be used."
    )
