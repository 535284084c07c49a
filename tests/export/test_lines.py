"""A reader along columns as a bundle: through the gates, and as it runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnnrnn import load
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import CtcSpec, ImageSpec, Manifest, SearchDefaults
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.export import ExportOptions, export_bundle
from cnnrnn.models import ModelConfig, build_model
from tests.search.ctc_oracle import best_path, log_softmax, prefix_beam_search

IMAGE = ImageSpec(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "line")
CONFIG = ModelConfig(
    encoder="vgg_crnn_tiny",
    features="columns",
    position_encoder="lstm",
    position_hidden=8,
    attention="none",
    decoder="ctc",
)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a b", "cd"], VocabularyConfig("character", False, "keep"))


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    made = build_model(CONFIG, tokenizer.size).eval()
    with torch.no_grad():  # so that columns differ from one another, as those of a trained reader do
        made.output.weight.mul_(60)
    return made


@pytest.fixture(scope="module")
def bundle(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lines") / "reader"
    _, columns = model.encoder.grid(IMAGE.height, IMAGE.width)
    options = ExportOptions(
        name="reader",
        image=IMAGE,
        search=SearchDefaults(3, 3, columns, 0, 0.0),
        ctc=CtcSpec(tokenizer.pad),
        least_pictures=4,
        most_pictures=4,
    )
    report = export_bundle(model, tokenizer, folder, options=options)
    assert report.passed
    return folder


def picture(seed: int, height: int = 64, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@torch.no_grad()
def logprobs_of(model, pixels: np.ndarray) -> np.ndarray:
    """What torch makes of a picture of the encoder's size."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    return log_softmax(model.encode(image)["logits"][0].numpy())


def characters_of(tokenizer) -> tuple[int, ...]:
    return tuple(range(4, tokenizer.size))


def test_texts_are_those_of_torch_and_plain_python(bundle, model, tokenizer):
    with load(bundle) as reader:
        for seed in range(6):
            pixels = picture(seed, 32, 32)
            logprobs = logprobs_of(model, pixels)
            found = reader(pixels, color="rgb")
            wanted = prefix_beam_search(logprobs, characters_of(tokenizer), tokenizer.pad, 3)
            assert [one.tokens for one in found.hypotheses] == [text for text, _ in wanted]
            assert found.text == tokenizer.decode(wanted[0][0])
            assert found.confidence == pytest.approx(np.exp(wanted[0][1]), rel=1e-3)
            assert found.stopped == "finished"
            text, score = best_path(logprobs, characters_of(tokenizer), tokenizer.pad)
            greedy = reader(pixels, color="rgb", beams=1)
            assert greedy.tokens == text
            assert greedy.score == pytest.approx(score, abs=1e-3)


def test_characters_are_in_order_inside_the_picture_and_multiply_to_the_line(bundle):
    with load(bundle) as reader:
        seen = 0
        for seed in range(6):
            found = reader(picture(seed, 64, 40))  # 20 pixels wide of 32 in the encoder's picture
            seen += len(found.characters)
            assert "".join(character.text for character in found.characters) == found.text
            lefts = [character.left for character in found.characters]
            assert lefts == sorted(lefts)
            for character in found.characters:
                assert 0 <= character.left <= character.right <= 40
                assert 0 <= character.confidence <= 1
            assert found.confidence is not None
            product = np.prod([character.confidence for character in found.characters])
            assert not found.characters or product <= found.confidence * 1.001
            assert found.to_dict()["confidence"] == pytest.approx(found.confidence, abs=1e-6)
        assert seen


def test_a_lexicon_confines_the_line_and_what_is_no_word_of_it_is_not_returned(bundle):
    with load(bundle) as reader:
        words = reader.phrases(["ab", "c", "da"])
        for seed in range(6):
            for hypothesis in reader(picture(seed), phrases=words).hypotheses:
                assert hypothesis.text in ("ab", "c", "da") or (
                    hypothesis.text == "" and not hypothesis.finished
                )


@pytest.mark.parametrize(
    "option",
    [
        {"length_penalty": 1.0},
        {"max_length": 3},
        {"min_length": 1},
        {"no_repeat_ngram_size": 2},
        {"do_sample": True},
        {"num_beam_groups": 3, "diversity_penalty": 0.5},
        {"repetition_penalty": 1.2},
    ],
)
def test_options_without_a_meaning_are_refused(bundle, option):
    with load(bundle) as reader, pytest.raises(OptionsError, match="reads a line along its"):
        reader(picture(0), **option)


def test_best_path_with_phrases_and_streams_are_refused(bundle):
    with load(bundle) as reader:
        with pytest.raises(OptionsError, match="give 2 beams or more"):
            reader(picture(0), beams=1, phrases=reader.phrases(["ab"]))
        with pytest.raises(OptionsError, match="along its columns"):
            reader.stream(picture(0))


def test_the_manifest_says_that_it_is_ctc_and_others_do_not(bundle):
    text = (bundle / "manifest.json").read_text()
    manifest = Manifest.from_json(text)
    assert manifest.task == "read"
    assert manifest.ctc == CtcSpec(0)
    assert manifest.to_json() == text
