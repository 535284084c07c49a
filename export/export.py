"""`export_bundle` and `export_checkpoint`: from a torch model to a bundle that was proven to say the same.

Everything is made in memory and decoded there. The bundle's folder appears, in one rename, after the parity
gate has passed; otherwise nothing is written.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import onnx
import onnxruntime
import torch

from cnnrnn.core.bundle import QUESTION_TOKENIZER, TOKENIZER, check_target, write_bundle
from cnnrnn.core.errors import BundleError, OptionsError, ParityError
from cnnrnn.core.manifest import (
    CtcSpec,
    GraphSpec,
    ImageSpec,
    LanguageSpec,
    Manifest,
    QuestionSpec,
    SearchDefaults,
    VocabularySpec,
)
from cnnrnn.core.search import SearchOptions
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.check import check_model
from cnnrnn.export.draft import Draft
from cnnrnn.export.gate_pictures import Pictures
from cnnrnn.export.gate_questions import GateQuestions
from cnnrnn.export.onnx_graph import encoder_graph, step_graph
from cnnrnn.export.parity import compare
from cnnrnn.export.partings import dealt
from cnnrnn.export.pictures import find_pictures, read_pictures
from cnnrnn.export.precision.options import FULL, LoweringOptions
from cnnrnn.export.report import ParityReport, StorageEffect
from cnnrnn.export.signature import Signature, trace_signature
from cnnrnn.export.tidy import graph_bytes
from cnnrnn.export.torch_backend import TorchBackend
from cnnrnn.export.weights import round_weights, store_fp16
from cnnrnn.runtime.backtrace import trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import SpecialTokens, decode
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.select import SelectKind, make_select, select_spec

if TYPE_CHECKING:
    from cnnrnn.training.checkpoint import LoadedModel

_log = logging.getLogger(__name__)

LEAST_PICTURES = 100
MOST_PICTURES = 256

WeightStorage: TypeAlias = Literal["fp32", "fp16"]
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExportOptions:
    """What a bundle says of itself, and how it is proven.

    Attributes:
        name: of the bundle: letters, digits, ``.``, ``_`` and ``-``.
        image: how a picture becomes the encoder's input.
        search: the search's defaults; ``max_beams`` select graphs are carried, one for each width.
        summary, license, provenance: for people; free.
        notice: what every result says beside its text; empty for nothing.
        sections: the words that each open a section of an answer; none for an answer of one piece.
        pictures: a folder of pictures for the parity gate; None for the shipped samples.
        alignment_grid: (rows, columns) of the alignment's positions; None where there is no such grid.
        questions: of a model that follows `AnswerModel`: questions of the kind that it will be asked, and how
            they are read. The gates ask one of each picture, and several of the first.
        ctc: of a model whose ``step`` gives the columns of a text line: its blank. The search's
            ``max_length`` is how many they are.
        weight_storage: ``"fp16"`` rounds the model's matrices to fp16 first and halves the files. The rounded
            model is then what is exported and proven, and the report says how many captions rounding changed.
        least_pictures: how few pictures are too few to prove anything.
        most_pictures: of a larger folder, as many are used.
        lowering: the precisions beside fp32, proven over the same ``pictures``.
    """

    name: str
    image: ImageSpec
    search: SearchDefaults = field(default_factory=SearchDefaults)
    summary: str = ""
    license: str = ""
    notice: str = ""
    sections: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    pictures: Path | None = None
    alignment_grid: tuple[int, int] | None = None
    questions: GateQuestions | None = None
    ctc: CtcSpec | None = None
    weight_storage: WeightStorage = "fp32"
    least_pictures: int = LEAST_PICTURES
    most_pictures: int = MOST_PICTURES
    lowering: LoweringOptions = field(default_factory=LoweringOptions)

    @property
    def question(self) -> QuestionSpec | None:
        """How the bundle reads questions."""
        return None if self.questions is None else self.questions.spec


def export_bundle(
    model: Any,
    tokenizer: Tokenizer,
    target: str | os.PathLike[str],
    *,
    options: ExportOptions,
    progress: Progress | None = None,
) -> ParityReport:
    """Export a model and, if it passes the parity gate, write its bundle.

    Args:
        model: follows `CaptionModel`, or with ``questions`` `AnswerModel`; in ``eval`` mode, float32, on the
            CPU. It is not changed.
        tokenizer: its size must be the model's V.
        target: the bundle's folder. A bundle there is replaced, anything else refused.
        options: see `ExportOptions`.
        progress: called with a stage's name and how much of how much is done.

    Returns:
        The gate's report, which is also in the manifest.

    Raises:
        OptionsError: an option is wrong, the target is no bundle, or there are too few pictures.
        ModelError: the model does not follow the protocol or cannot be traced.
        ParityError: torch and ONNX Runtime disagree; nothing was written. ``report`` is the report.
        PrecisionError: the same of a lower precision and fp32; ``report`` is the precision's.
        StorageError: the disk is full or not writable; what was at ``target`` is there still.
    """
    tell = progress or _tell_nobody
    folder = Path(target)
    _check_options(options, tokenizer)
    check_target(folder)
    paths, source = find_pictures(options.pictures, options.least_pictures, options.most_pictures)
    asked = None if options.questions is None else options.questions.read()
    lowered = options.lowering.precisions
    others = None
    if lowered:
        from cnnrnn.export.precision.judging import read_gate_pictures
        from cnnrnn.export.precision.prove import prove_precisions

        others = read_gate_pictures(options.pictures, options.image, options.lowering, asked)
    tell("check", 0, 1)
    check_model(
        model,
        options.image,
        vocabulary=tokenizer.size,
        alignment_grid=options.alignment_grid,
        question=options.question,
    ).raise_problems()
    pictures, skipped = read_pictures(paths, options.image, options.least_pictures, questions=asked)
    reference = round_weights(model) if options.weight_storage == "fp16" else model
    tell("graphs", 0, 1)
    draft = _build(reference, tokenizer, options)
    report = _prove(model, reference, draft, tokenizer, pictures, options, tell)
    report = dataclasses.replace(report, source=source, skipped=skipped)
    if not report.passed:
        raise ParityError(f"nothing was written to {folder}: {report}", report)
    if others is not None:
        draft, reports = prove_precisions(draft, options.lowering, tokenizer, others, tell)
        report = dataclasses.replace(report, precisions=reports)
    tell("write", 0, 1)
    write_bundle(folder, dataclasses.replace(draft.manifest, parity=report.to_dict()), draft.files)
    _log.info("%s", report)
    return report


def export_checkpoint(
    checkpoint: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **changes: Any,
) -> ParityReport:
    """Export a checkpoint of ``cnnrnn train``.

    Args:
        checkpoint: the file; it knows its tokenizer, picture size, search defaults and name.
        changes: fields of `ExportOptions` to set otherwise; those that are None are left as they are.

    Raises:
        CheckpointError: the file is missing, altered or of another version.
        OptionsError: a change that is no field of `ExportOptions`; else as `export_bundle`.
    """
    from cnnrnn.training.checkpoint import load_model

    check_changes(changes)
    check_target(Path(target))
    loaded = load_model(Path(checkpoint))
    options = ExportOptions(
        name=loaded.name,
        image=loaded.image,
        search=loaded.search,
        summary=loaded.summary,
        license=loaded.license,
        notice=loaded.notice,
        sections=loaded.sections,
        provenance=loaded.provenance,
        alignment_grid=loaded.alignment_grid,
        questions=_gate_questions(loaded),
        ctc=loaded.ctc,
    )
    options = with_changes(options, changes)
    return export_bundle(loaded.model, loaded.tokenizer, target, options=options, progress=progress)


def check_changes(changes: Mapping[str, Any]) -> None:
    """See that each is a field of `ExportOptions`.

    Raises:
        OptionsError: one is not.
    """
    known = {entry.name for entry in dataclasses.fields(ExportOptions)}
    if unknown := sorted(set(changes) - known):
        raise OptionsError(f"{', '.join(unknown)} is no export option; there are {', '.join(sorted(known))}")


def with_changes(options: ExportOptions, changes: Mapping[str, Any]) -> ExportOptions:
    """The options with those of the changes that are not None."""
    return dataclasses.replace(
        options, **{name: value for name, value in changes.items() if value is not None}
    )


def _gate_questions(loaded: LoadedModel) -> GateQuestions | None:
    if loaded.questions is None:
        return None
    tokenizer, most = loaded.questions.tokenizer, loaded.questions.max_length
    fitting = [text for text in loaded.asked if 1 <= len(tokenizer.encode(text)) <= most]
    return GateQuestions(fitting, tokenizer, most)


def _check_options(options: ExportOptions, tokenizer: Tokenizer) -> None:
    options.lowering.check()
    if options.weight_storage not in ("fp32", "fp16"):
        raise OptionsError(f"weight_storage={options.weight_storage!r} is neither 'fp32' nor 'fp16'")
    if options.least_pictures < 1 or options.most_pictures < options.least_pictures:
        raise OptionsError(
            f"least_pictures={options.least_pictures} and most_pictures={options.most_pictures}: the first "
            "is at least 1, the second at least the first"
        )
    graph = GraphSpec("none", (), ())
    pair = {FULL: {"encoder": graph, "step": graph}}
    try:  # the manifest's own reader knows every rule of what may stand in it
        Manifest.from_json(_manifest(options, tokenizer, pair, {}).to_json(), "options")
    except (BundleError, TypeError, ValueError) as error:
        raise OptionsError(f"these options make no valid bundle: {error}") from error


def _build(model: Any, tokenizer: Tokenizer, options: ExportOptions) -> Draft:
    """Trace, export and describe: every file of the bundle but the manifest."""
    halved = options.weight_storage == "fp16"
    traced = trace_signature(model, options.image, options.question)
    step, signature = step_graph(model, traced, fold_batch_norm=not halved)
    encoder = encoder_graph(model, signature, fold_batch_norm=not halved)
    if halved:
        saved = store_fp16(encoder) + store_fp16(step)
        _log.info("weights stored as fp16: %d bytes saved", saved)
    pair, files = _described(encoder, step, signature)
    selects: dict[str, GraphSpec] = {}
    for beams in range(1, options.search.max_beams + 1):
        kind = SelectKind(beams, vocabulary=tokenizer.size, ctc=options.ctc is not None)
        selects[kind.name] = select_spec(f"select/{kind.name}.onnx", kind)
        files[selects[kind.name].file] = make_select(kind)
    files[TOKENIZER] = tokenizer.to_json().encode()
    if options.questions is not None:
        files[QUESTION_TOKENIZER] = options.questions.tokenizer.to_json().encode()
    return Draft(_manifest(options, tokenizer, {FULL: pair}, selects), files)


def _described(
    encoder: onnx.ModelProto, step: onnx.ModelProto, signature: Signature
) -> tuple[dict[str, GraphSpec], dict[str, bytes]]:
    pair = {
        "encoder": GraphSpec(f"{FULL}/encoder.onnx", signature.encoder_inputs(), signature.encoder_outputs()),
        "step": GraphSpec(f"{FULL}/step.onnx", signature.step_inputs(), signature.step_outputs()),
    }
    return pair, {pair["encoder"].file: graph_bytes(encoder), pair["step"].file: graph_bytes(step)}


def _manifest(
    options: ExportOptions,
    tokenizer: Tokenizer,
    precisions: dict[str, dict[str, GraphSpec]],
    selects: dict[str, GraphSpec],
) -> Manifest:
    vocabulary = VocabularySpec(
        tokenizer.size, tokenizer.pad, tokenizer.start, (tokenizer.end,), tokenizer.unknown
    )
    made_with = {"torch": torch.__version__, "onnx": onnx.__version__, "python": platform.python_version()}
    return Manifest(
        name=options.name,
        image=options.image,
        vocabulary=vocabulary,
        search=options.search,
        precisions=precisions,
        select=selects,
        summary=options.summary,
        license=options.license,
        notice=options.notice,
        sections=options.sections,
        alignment_grid=options.alignment_grid,
        task=_task(options),
        question=options.question,
        ctc=options.ctc,
        languages=_languages(tokenizer),
        provenance={
            **options.provenance,
            "weight_storage": options.weight_storage,
            "exported_with": made_with,
        },
    )


def _task(options: ExportOptions) -> str:
    if options.ctc is not None:
        return "read"
    return "caption" if options.question is None else "vqa"


def _languages(tokenizer: Tokenizer) -> LanguageSpec | None:
    """Those that the vocabulary has a token of; the one that was learnt first is the default."""
    spoken = tokenizer.languages
    return LanguageSpec(next(iter(spoken)), spoken) if spoken else None


def _prove(
    model: Any,
    reference: Any,
    draft: Draft,
    tokenizer: Tokenizer,
    pictures: Pictures,
    options: ExportOptions,
    tell: Progress,
) -> ParityReport:
    """Decode every picture by torch and by ONNX Runtime, over exactly the bytes that would be written."""
    searches = draft.searches()
    engine = OrtCpuBackend(draft.graphs(FULL))
    try:
        oracle = TorchBackend(reference, options.image, engine)
        results, tensors = compare(
            oracle,
            engine,
            pictures,
            searches,
            tokenizer,
            lambda done, total: tell("parity", done, total),
            SpecialTokens.of(draft.manifest),
        )
        storage = None
        if options.weight_storage == "fp16":
            trained = TorchBackend(model, options.image, engine)
            special = SpecialTokens.of(draft.manifest)
            storage = _storage_effect(trained, oracle, pictures, searches[0], special, tokenizer)
    finally:
        engine.close()
    versions = {"torch": str(torch.__version__), "onnxruntime": str(onnxruntime.__version__)}
    return ParityReport(len(pictures), "", (), results, tensors, storage, versions)


def _storage_effect(
    trained: TorchBackend,
    rounded: TorchBackend,
    pictures: Pictures,
    options: SearchOptions,
    special: SpecialTokens,
    tokenizer: Tokenizer,
) -> StorageEffect:
    """How many greedy captions rounding left as they were: for the report, the gate judges the export."""
    same = 0
    for part in pictures.parts():
        search = dealt(options, part, tokenizer)
        histories = [
            decode(backend, part.images, search, special, Clock(), questions=part.questions)
            for backend in (trained, rounded)
        ]
        for image in range(len(part.names)):
            one, other = (trace_back(history, image, 1)[0].tokens.tolist() for history in histories)
            same += one == other
    return StorageEffect("fp16", len(pictures), same)


def _tell_nobody(stage: str, done: int, total: int) -> None:
    """The progress of a caller who did not ask."""
