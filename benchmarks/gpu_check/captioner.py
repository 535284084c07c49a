"""The captioner that is timed: ResNet-50 and an attention LSTM, random weights, as a bundle and for torch.

    python -m benchmarks.gpu_check.captioner FOLDER

FOLDER gets ``bundle`` (fp32 and fp16), ``weights.pt``, the state dict of exactly that model, and
``captioner.json``, what is needed to build it again. Its end token is out of reach, so that every caption has
all its steps. It needs the extras ``train`` and ``export``, and no GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnnrnn
from benchmarks.gpu_check.notes import MissingError, Notes, Setting
from benchmarks.gpu_check.place import missing, pictures
from cnnrnn.core.manifest import ImageSpec, SearchDefaults

if TYPE_CHECKING:
    from cnnrnn.models import Captioner

STEPS = 20
BEAMS = (1, 5, 10)
BATCHES = (1, 4, 16)
# Over so many pictures its answers are compared.
COMPARED = 16
START, END = 1, 2

_NEEDS = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime")
_SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
_NEVER = -1e4
_CALIBRATED_WITH, _PROVEN_WITH = 8, 4
_ANSWERS = "captioner.answers.json"


@dataclass(frozen=True)
class Size:
    """Of a captioner: V, H (also of the embedding and the attention), the trunk and the picture's side."""

    vocabulary: int = 10_000
    hidden: int = 512
    encoder: str = "resnet50"
    side: int = 224


FULL, SMALL = Size(), Size(60, 16, "resnet18", 64)


def captioner(setting: Setting, notes: Notes) -> None:
    """The check: make it where none was given, and let the CPU answer what the others are compared with."""
    folder = setting.captioner
    if not (folder / "bundle").is_dir():
        lacks = missing(*_NEEDS)
        if lacks:
            raise MissingError(
                f"{lacks}; or make one elsewhere, python -m benchmarks.gpu_check.captioner FOLDER, and give "
                "--captioner FOLDER"
            )
        make(folder)
    notes.note(**json.loads((folder / "captioner.json").read_text(encoding="utf-8")))
    images = pictures(COMPARED)
    with cnnrnn.load(folder / "bundle", precision="fp32") as model:
        found = {
            beams: [model(image, beams=beams, max_length=STEPS).tokens for image in images] for beams in BEAMS
        }
    (setting.work / _ANSWERS).write_text(json.dumps(found), encoding="utf-8")
    different = len(set(found[BEAMS[-1]]))
    notes.note(summary=f"{STEPS} steps, {different} different captions of {COMPARED} pictures")


def same_tokens(setting: Setting, beams: int, tokens: list[tuple[int, ...]]) -> str:
    """How many of these answers are the CPU's in fp32: ``"16 of 16"``; empty where that is not known."""
    path = setting.work / _ANSWERS
    if not path.is_file():
        return ""
    wanted = json.loads(path.read_text(encoding="utf-8"))[str(beams)]
    same = sum(list(one) == other for one, other in zip(tokens, wanted, strict=True))
    return f"{same} of {len(wanted)}"


def make(folder: Path, size: Size = FULL) -> None:
    """Make the captioner, its bundle and its state dict."""
    import torch

    from cnnrnn.core.bundle import Bundle, write_bundle
    from cnnrnn.export import ExportOptions, export_bundle
    from cnnrnn.export.draft import Draft
    from cnnrnn.export.precision.graphs import full_graphs, lowered_graphs

    folder.mkdir(parents=True, exist_ok=True)
    image = ImageSpec(size.side, size.side, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    model = build(dataclasses.asdict(size))
    _calibrate(model, image)
    options = ExportOptions(
        "resnet50-lstm" if size == FULL else "small-lstm",
        image,
        SearchDefaults(beams=5, max_beams=max(BEAMS), max_length=STEPS),
        summary="Random weights, for timing alone.",
        alignment_grid=(size.side // 32, size.side // 32),
        least_pictures=_PROVEN_WITH,
        most_pictures=_PROVEN_WITH,
    )
    report = export_bundle(model, _tokenizer(size.vocabulary), folder / "bundle", options=options)
    # Not through the gate of `add_precisions`: random weights prefer no word by much, and fp16 is timed here.
    draft = Draft.of(Bundle.open(folder / "bundle"))
    lowered = lowered_graphs(draft, full_graphs(draft), "fp16", {}).draft
    parity = {**report.to_dict(), "fp16": "not judged: random weights"}
    write_bundle(folder / "bundle", dataclasses.replace(lowered.manifest, parity=parity), lowered.files)
    torch.save(model.state_dict(), folder / "weights.pt")
    described = {**dataclasses.asdict(size), "torch": torch.__version__}
    (folder / "captioner.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def build(size: dict[str, Any]) -> Captioner:
    """The torch model of this `Size`, with its first random weights."""
    import torch

    from cnnrnn.models import Captioner, ModelConfig

    torch.manual_seed(0)
    hidden = int(size["hidden"])
    config = ModelConfig(
        encoder=size["encoder"],
        hidden=hidden,
        embedding=hidden,
        attention="additive",
        attention_size=hidden,
        dropout=0.0,
    )
    model = Captioner(config, int(size["vocabulary"])).eval()
    with torch.no_grad():
        model.decoder.output.bias[END] = _NEVER
    return model


def read(folder: Path) -> Captioner:
    """The torch model whose bundle is in this folder, with the same weights."""
    import torch

    model = build(json.loads((folder / "captioner.json").read_text(encoding="utf-8")))
    model.load_state_dict(torch.load(folder / "weights.pt", map_location="cpu", weights_only=True))
    return model


def _calibrate(model: Captioner, image: ImageSpec) -> None:
    """Let batch normalisation know what it normalises: else activations grow from block to block."""
    import torch

    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all that it sees
        norm.train()
    with torch.no_grad():
        for picture in fitted(image, _CALIBRATED_WITH):
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
            mean, std = (torch.tensor(values)[:, None, None] for values in (image.mean, image.std))
            model.encode((pixels - mean) / std)
    model.eval()


def fitted(image: ImageSpec, count: int) -> Iterator[Any]:
    """The first sample pictures as the encoder takes them, (H, W, 3) uint8 RGB."""
    from cnnrnn.runtime.image import fit, read_image

    for path in pictures(count):
        yield fit(read_image(path), image)


def _tokenizer(vocabulary: int) -> Any:
    """As many words as there are to be, ``w4``, ``w5``, ..."""
    import tokenizers

    from cnnrnn.core.tokenizer import Tokenizer

    words = [*_SPECIAL, *(f"w{number}" for number in range(len(_SPECIAL), vocabulary))]
    known = {word: number for number, word in enumerate(words)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token=_SPECIAL[-1]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return Tokenizer(backend)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    lacks = missing(*_NEEDS)
    if lacks:
        parser.exit(3, f"{lacks}\n")
    make(given.folder)
    print(f"{given.folder}: give it to python -m benchmarks.gpu_check --captioner")


if __name__ == "__main__":
    main()
