"""Train the textbook captioner for about a minute, check it, export it, and run it without torch.

    pip install 'cnnrnn[train,export,cpu,headless]'
    python examples/bring_your_own/run.py --output build/shapes

The parts: model.py is a network that knows nothing of cnnrnn, shapes.py draws the data, and the four calls of
cnnrnn are in `export_and_run`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from model import CaptionNet, ThreeMethods
from shapes import WORDS, draw, write_pictures
from tokenizers import Tokenizer as WordTokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch.nn.functional import cross_entropy

import cnnrnn
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export import ExportOptions, check_model, export_bundle, wrap_rnn

SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def make_tokenizer() -> Tokenizer:
    """One token a word; any `tokenizers` file that has the four special tokens will do."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    words = WordTokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.add_special_tokens(list(SPECIAL))
    return Tokenizer(words)


def train(net: CaptionNet, tokenizer: Tokenizer, steps: int, side: int, batch: int = 32) -> None:
    """The usual loop: teacher forcing and cross-entropy. Every caption of this data has the same length."""
    random = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    net.train()
    for step in range(1, steps + 1):
        pictures, captions = zip(*(draw(side, random) for _ in range(batch)), strict=True)
        images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        images = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        tokens = torch.tensor(
            [[tokenizer.start, *tokenizer.encode(text), tokenizer.end] for text in captions]
        )
        loss = cross_entropy(net(images, tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == steps:
            print(f"step {step} of {steps}: loss {loss.item():.3f}")
    net.eval()


def export_and_run(
    net: CaptionNet, tokenizer: Tokenizer, output: Path, side: int, three_methods: bool
) -> None:
    """Four calls: wrap, check, export, load."""
    image = ImageSpec(side, side, MEAN, STD)
    model = ThreeMethods(net) if three_methods else wrap_rnn(net.cnn, net.embedding, net.lstm, net.linear)
    print(check_model(model, image, vocabulary=tokenizer.size))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "shapes"
        captions = write_pictures(folder, 120, side, np.random.default_rng(1))
        options = ExportOptions(
            name="shapes",
            summary="Coloured shapes, from the example bring_your_own.",
            license="Apache-2.0",
            image=image,
            search=SearchDefaults(beams=3, max_beams=5, max_length=8),
            pictures=folder,
        )
        print(export_bundle(model, tokenizer, output, options=options))
        with cnnrnn.load(output) as captioner:
            results = captioner(list(captions))
            right = sum(result.text == captions[path] for path, result in zip(captions, results, strict=True))
            print(f"{right} of {len(captions)} captions are right; the first says {results[0].text!r}")


def main() -> None:
    """Read the options and do it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("build/shapes"), help="the bundle's folder")
    parser.add_argument(
        "--steps", type=int, default=160, help="of training; about three a second on two cores"
    )
    parser.add_argument("--side", type=int, default=64, help="of the pictures, in pixels")
    parser.add_argument("--three-methods", action="store_true", help="use the protocol instead of wrap_rnn")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    net = CaptionNet(tokenizer.size)
    train(net, tokenizer, arguments.steps, arguments.side)
    export_and_run(net, tokenizer, arguments.output, arguments.side, arguments.three_methods)


if __name__ == "__main__":
    main()
