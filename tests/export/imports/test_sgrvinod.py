"""a-PyTorch-Tutorial-to-Image-Captioning: its checkpoint as a bundle says what its own search says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import CheckpointError
from cnnrnn.export.imports import ImportOptions, import_checkpoint, load_checkpoint
from cnnrnn.export.imports.sgrvinod import SEARCH
from tests.export.imports.trunks import SIDE, made_talkative, normalised, write_pictures
from tests.export.imports.tutorial import (
    STEPS,
    WORD_MAP,
    WORDS,
    DecoderWithAttention,
    Encoder,
    beam_search,
    log_probability,
)

GRID = 3
PICTURES = 24


@pytest.fixture(scope="module")
def program() -> tuple[Any, Any]:
    encoder = Encoder(GRID).eval()
    torch.manual_seed(5)
    decoder = DecoderWithAttention()
    bias = torch.zeros(len(WORD_MAP))
    bias[WORD_MAP["<end>"]] = 1.0
    made_talkative(decoder, 3.5, **{"fc.bias": bias})
    return encoder, decoder


@pytest.fixture(scope="module")
def files(program: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``state.pt``, as the message about pickled modules makes it, and ``WORDMAP.json``."""
    folder = tmp_path_factory.mktemp("sgrvinod")
    encoder, decoder = program
    torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, folder / "state.pt")
    (folder / "WORDMAP.json").write_text(json.dumps(WORD_MAP))
    write_pictures(folder / "pictures", PICTURES)
    return folder


@pytest.fixture(scope="module")
def imported(files: Path) -> tuple[Path, Path]:
    bundle = files / "bundle"
    options = ImportOptions(vocabulary=files / "WORDMAP.json", size=(SIDE, SIDE), grid=(GRID, GRID))
    report = import_checkpoint(
        files / "state.pt",
        bundle,
        "sgrvinod",
        options=options,
        name="tutorial",
        license="MIT",
        search=replace(SEARCH, max_length=STEPS),
        pictures=files / "pictures",
        least_pictures=PICTURES,
    )
    assert report.passed
    return bundle, files / "pictures"


def test_its_captions_are_those_of_the_programs_own_search(
    program: tuple[Any, Any], imported: tuple[Path, Path]
) -> None:
    bundle, pictures = imported
    paths = sorted(pictures.iterdir())
    images = normalised(paths)
    with cnnrnn.load(bundle) as captioner:
        greedy, best = captioner(paths, beams=1), captioner(paths)
    assert len({result.text for result in greedy}) > 6, "captions that are all the same prove nothing"
    assert len({len(result.tokens) for result in greedy}) > 2
    for image, one, wide in zip(images, greedy, best, strict=True):
        tokens, score, looks = beam_search(*program, image, 1)
        assert list(one.best.tokens) == tokens
        assert one.best.logprob == pytest.approx(score, abs=1e-3)
        torch.testing.assert_close(torch.tensor(one.best.alignment), looks, atol=1e-4, rtol=0)
        _, theirs, _ = beam_search(*program, image, 5)
        said = log_probability(*program, image, list(wide.best.tokens))
        assert wide.best.logprob == pytest.approx(said, abs=1e-3)
        assert wide.best.logprob > theirs - 1e-3, "no beam is given up here when another one ends"


def test_what_the_bundle_says_of_itself(imported: tuple[Path, Path]) -> None:
    manifest = Bundle.open(imported[0]).manifest
    assert (manifest.name, manifest.license, manifest.alignment_grid) == ("tutorial", "MIT", (GRID, GRID))
    assert manifest.vocabulary.size == len(WORD_MAP), "all four special tokens were there"
    assert (manifest.vocabulary.start, manifest.vocabulary.end) == (12, (13,))
    assert manifest.image.resize == "stretch"
    assert manifest.provenance["imported_as"] == "sgrvinod"
    assert manifest.provenance["sizes"] == {"V": 14, "E": 12, "H": 20, "A": 14, "D": 512}
    assert manifest.search.length_penalty == 0


def test_a_vocabulary_of_another_size_is_refused(files: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    more.write_text(json.dumps({**WORD_MAP, "another": len(WORD_MAP)}))
    with pytest.raises(CheckpointError, match=r"has 15 words and decoder.embedding.weight of .* has 14 rows"):
        load_checkpoint(files / "state.pt", "sgrvinod", ImportOptions(vocabulary=more))


def test_what_does_not_fit_is_listed_at_once(files: Path, tmp_path: Path) -> None:
    content = torch.load(files / "state.pt", weights_only=True)
    del content["decoder"]["init_c.bias"]
    del content["encoder"]["resnet.6.0.bn1.weight"]
    content["decoder"]["fc.weight"] = content["decoder"]["fc.weight"][:, :19]
    content["decoder"]["attention.scale"] = torch.zeros(3)
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "bad.pt", "sgrvinod", ImportOptions(vocabulary=files / "WORDMAP.json"))
    assert (
        "2 missing:\n    decoder.init_c.bias (H,) = (20,)\n    encoder.resnet.6.0.bn1.weight (256,)\n"
        "1 misshapen:\n    decoder.fc.weight is (14, 19) and has to be (V, H) = (14, 20)\n"
        "1 unused:\n    decoder.attention.scale (3,)\n"
    ) in str(caught.value)


def test_the_words_are_kept_in_their_order(files: Path) -> None:
    loaded = load_checkpoint(
        files / "state.pt",
        "sgrvinod",
        ImportOptions(vocabulary=files / "WORDMAP.json", size=(SIDE, SIDE), grid=(GRID, GRID)),
    )
    assert loaded.tokenizer.tokens(range(1, 11)) == WORDS
    assert loaded.tokenizer.unknown == 11
