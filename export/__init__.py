"""From a torch captioner to a bundle: the protocol, the checker, the graphs and the parity gate.

    >>> from cnnrnn.export import ExportOptions, check_model, export_bundle, wrap_rnn   # doctest: +SKIP

Needs the extra ``export`` (torch, onnx, onnxscript, onnxruntime).
"""

if __name__ != "cnnrnn.export":
    raise ImportError(f"import it as cnnrnn.export, not as {__name__}: this folder is a part of cnnrnn")

from cnnrnn.core.extras import require as _require

for _module in ("torch", "onnx", "onnxscript"):
    _require(_module, "export")

from cnnrnn.export.check import CheckReport, check_model  # noqa: E402
from cnnrnn.export.export import ExportOptions, export_bundle, export_checkpoint  # noqa: E402
from cnnrnn.export.gate_questions import GateQuestions  # noqa: E402
from cnnrnn.export.precision.add import add_precisions  # noqa: E402
from cnnrnn.export.precision.options import LoweringOptions  # noqa: E402
from cnnrnn.export.precision.report import PrecisionReport  # noqa: E402
from cnnrnn.export.protocol import AnswerModel, CaptionModel  # noqa: E402
from cnnrnn.export.report import Departure, ParityReport, SearchParity, StorageEffect, TensorParity  # noqa: E402
from cnnrnn.export.rnn import RnnCaptioner, wrap_rnn  # noqa: E402

__all__ = [
    "AnswerModel",
    "CaptionModel",
    "CheckReport",
    "Departure",
    "ExportOptions",
    "GateQuestions",
    "LoweringOptions",
    "ParityReport",
    "PrecisionReport",
    "RnnCaptioner",
    "SearchParity",
    "StorageEffect",
    "TensorParity",
    "add_precisions",
    "check_model",
    "export_bundle",
    "export_checkpoint",
    "wrap_rnn",
]
