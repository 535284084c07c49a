"""One captioner from its configuration to a bundle, engines and milliseconds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torchvision import models

import cnnrnn
from benchmarks.models.entries import ENCODER, Entry
from benchmarks.models.lesson import teach
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import CnnrnnError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.export import ExportOptions, add_precisions, export_bundle
from cnnrnn.export.pictures import find_pictures, read_pictures
from cnnrnn.export.precision.options import LoweringOptions
from cnnrnn.models import Captioner, ModelConfig
from cnnrnn.runtime.engine.bucket import Bucket
from cnnrnn.runtime.engine.build import build_bundle, plan_build
from cnnrnn.runtime.engine.cache import EngineCache
from cnnrnn.runtime.engine.library import TENSORRT_RTX
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.training.forward import Normalise

WARM_UP = 3
SEEDS = 3
FAILURE = 300


@dataclass(frozen=True)
class Setup:
    """What all rows have in common.

    Attributes:
        pixels: a side of the picture.
        vocabulary: V.
        hidden, embedding: of the decoder; attention and each direction over positions have ``hidden`` / 2.
        pictures: of the shipped samples, that are taught and that the gates decode.
        beams: of the search that the gates, the engines and the step's time are for.
        repetitions: of what is timed.
    """

    pixels: int = 224
    vocabulary: int = 10_000
    hidden: int = 512
    embedding: int = 256
    pictures: int = 6
    beams: int = 5
    repetitions: int = 20


@dataclass
class Row:
    """What was found of one captioner, filled on the way; what was not reached is None.

    Attributes:
        parameters: of the encoder with its features' normalisation, or of all that comes after it.
        positions, features: P, and D as the decoder meets it.
        trained: `Lesson.learned`.
        captions: how many different ones the fp32 graphs give.
        parity, fp16: the gates passed.
        compiled: TensorRT-RTX made engines, of fp16 where that passed, else of fp32.
        encoder_ms, step_ms: the fastest runs, fp32 on ONNX Runtime's CPU, one image.
        bundle_mb: of the fp32 bundle, 10^6 bytes.
        accuracy: top-1 on ImageNet in percent, as torchvision publishes it of the weights that ``pretrained``
            takes; of an encoder of torchvision.
        seeds: how many random weights were tried until the parity gate passed.
        failure: the beginning of what was said of the first thing that failed.
    """

    name: str
    kind: str
    parameters: int
    positions: int
    features: int
    accuracy: float | None = None
    trained: bool | None = None
    captions: int | None = None
    parity: bool | None = None
    fp16: bool | None = None
    compiled: bool | None = None
    encoder_ms: float | None = None
    step_ms: float | None = None
    bundle_mb: float | None = None
    seeds: int = 1
    failure: str = ""

    def fail(self, sentence: object) -> None:
        """Keep the beginning of the first thing that failed, as one line."""
        self.failure = self.failure or " ".join(str(sentence).split())[:FAILURE]


def measure(entry: Entry, setup: Setup) -> Row:
    """Take one captioner through everything; a failure is in its row, and ends it where the rest needs it.

    Random weights may amplify roundings as trained ones do not, so where the parity gate does not pass others
    are tried, which the row says.
    """
    for seed in range(SEEDS):
        row = _measure(entry, setup, seed)
        row.seeds = seed + 1
        if row.parity or not row.trained:
            break
    return row


def _measure(entry: Entry, setup: Setup, seed: int) -> Row:
    torch.manual_seed(seed)
    tokenizer = _tokenizer(setup.vocabulary)
    image = ImageSpec(setup.pixels, setup.pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    captioner = Captioner(_config(entry, setup), tokenizer.size)
    row = _described(entry, captioner, setup)
    paths, _ = find_pictures(None, setup.pictures, setup.pictures)
    pixels = read_pictures(paths, image, setup.pictures)[0].pixels
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    lesson = teach(captioner, Normalise(image, torch.device("cpu"))(stacked), tokenizer)
    row.trained = lesson.learned
    if not lesson.learned:
        row.fail(lesson)
    with tempfile.TemporaryDirectory(prefix="models.") as work:
        folder = Path(work, "bundle")
        row.parity = _try(row, lambda: _export(captioner, tokenizer, image, setup, folder))
        if row.parity:
            row.bundle_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
            _time(Bundle.open(folder), np.stack(pixels), setup, row)
            row.fp16 = _try(row, lambda: _lower(folder, setup))
            precision = "fp16" if row.fp16 else "fp32"
            row.compiled = _try(row, lambda: _compile(folder, Path(work, "engines"), precision, setup))
    return row


def _try(row: Row, work: Callable[[], bool]) -> bool:
    try:
        return work()
    except CnnrnnError as error:
        row.fail(error)
        return False


def _config(entry: Entry, setup: Setup) -> ModelConfig:
    return ModelConfig(
        hidden=setup.hidden,
        embedding=setup.embedding,
        attention_size=setup.hidden // 2,
        position_hidden=setup.hidden // 2,
        feature_norm=True,
        dropout=0.0,
        **entry.options,
    )


def _tokenizer(vocabulary: int) -> Tokenizer:
    """Words that are numbers, written so that none is a part of another."""
    words = " ".join(f"w{number:06d}" for number in range(vocabulary - 4))
    return build_tokenizer([words], VocabularyConfig(size=vocabulary))


def _described(entry: Entry, captioner: Captioner, setup: Setup) -> Row:
    rows, columns = captioner.encoder.grid(setup.pixels, setup.pixels)
    counts = {name: parameter.numel() for name, parameter in captioner.named_parameters()}
    of_encoder = sum(count for name, count in counts.items() if name.startswith("encoder."))
    with torch.no_grad():
        captioner.eval()
        features = captioner.positions(captioner.encoder(torch.zeros(1, 3, setup.pixels, setup.pixels)))
    return Row(
        name=entry.name,
        kind=entry.kind,
        parameters=of_encoder if entry.kind == ENCODER else sum(counts.values()) - of_encoder,
        positions=rows * columns,
        features=int(features.shape[-1]),
        accuracy=_accuracy(entry.name) if entry.kind == ENCODER else None,
    )


def _accuracy(encoder: str) -> float | None:
    if encoder not in models.list_models(module=models):
        return None
    return float(models.get_model_weights(encoder).DEFAULT.meta["_metrics"]["ImageNet-1K"]["acc@1"])


def _export(captioner: Captioner, tokenizer: Tokenizer, image: ImageSpec, setup: Setup, folder: Path) -> bool:
    attends = captioner.config.attention != "none"
    options = ExportOptions(
        name="measured",
        image=image,
        search=SearchDefaults(beams=setup.beams, max_beams=setup.beams, max_length=8),
        alignment_grid=captioner.encoder.grid(setup.pixels, setup.pixels) if attends else None,
        least_pictures=setup.pictures,
        most_pictures=setup.pictures,
    )
    return export_bundle(captioner, tokenizer, folder, options=options).passed


def _lower(folder: Path, setup: Setup) -> bool:
    """Through the precision gate as the rules have it: no node is cured by the doctor."""
    count = setup.pictures
    options = LoweringOptions(("fp16",), doctor=False, least_pictures=count, most_pictures=count)
    return add_precisions(folder, folder, options)["fp16"].passed


def _compile(folder: Path, engines: Path, precision: str, setup: Setup) -> bool:
    plan = plan_build(Bundle.open(folder), TENSORRT_RTX, precision, [Bucket(1, setup.beams)])
    made = {engine.planned.role for engine in build_bundle(plan, EngineCache(engines))}
    return made == {"encoder", "step", "select"}


def _time(bundle: Bundle, pixels: np.ndarray, setup: Setup, row: Row) -> None:
    """The graphs by themselves, as the runtime runs them."""
    with cnnrnn.load(bundle.folder, precision="fp32") as model:
        row.captions = len({result.text for result in model(list(pixels), color="rgb")})
    backend = OrtCpuBackend(Graphs.of(bundle, "fp32"))
    encoded = backend.encode(pixels[:1])
    state = backend.widen(encoded.state, setup.beams)
    tokens = backend.from_host(np.full((1, setup.beams), 5, np.int32))
    parents = backend.from_host(np.arange(setup.beams, dtype=np.int32)[None])
    row.encoder_ms = _fastest_ms(lambda: backend.encode(pixels[:1]), setup.repetitions)
    row.step_ms = _fastest_ms(lambda: backend.step(tokens, parents, state, encoded.memory), setup.repetitions)
    backend.close()


def _fastest_ms(call: Callable[[], object], repetitions: int) -> float:
    """Of several runs the one that other work on the machine disturbed least."""
    taken = []
    for _ in range(WARM_UP + repetitions):
        started = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - started))
    return round(min(taken[WARM_UP:]), 3)
