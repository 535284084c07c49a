"""The public call: answers, batches, options, threads, closing."""

from __future__ import annotations

import json
import threading

import cv2
import numpy as np
import pytest

import cnnrnn
from cnnrnn.core.errors import ClosedError, ImageError, OptionsError, RequestError, UnknownBundleError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.phrases import Phrases
from cnnrnn.runtime.image import fit
from cnnrnn.runtime.model import MAX_BATCH
from tests.runtime import tiny_bundle
from tests.runtime.reference_search import beam_search


def test_a_result_says_everything(model, pictures):
    result = model(pictures[0])
    assert result.text == " ".join(result.best.words[:-1])
    assert result.tokens[-1] == 2
    assert result.finished
    assert len(result.token_logprobs) == len(result.tokens) == len(result.alignment)
    assert result.alignment.shape == (len(result.tokens), tiny_bundle.POSITIONS)
    np.testing.assert_allclose(result.alignment.sum(axis=1), 1, atol=1e-5)
    assert result.alignment_grid == (4, 4)
    assert len(result.hypotheses) == 3
    assert (result.backend, result.precision) == ("ort-cpu", "fp32")
    assert result.score == pytest.approx(result.best.logprob / len(result.tokens))
    stages = ("decode", "preprocess", "encoder", "step", "select", "backtrace")
    assert set(result.timings_ms) == {*stages, "total"}
    assert 0 < sum(result.timings_ms[stage] for stage in stages) <= result.timings_ms["total"]


def test_the_json_line_round_trips(model, pictures, tmp_path):
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), pictures[0])
    line = json.loads(json.dumps(model(path).to_dict()))
    assert line["image"] == str(path)
    assert list(line) == [
        "image",
        "text",
        "score",
        "tokens",
        "hypotheses",
        "stopped",
        "reason",
        "timings_ms",
        "backend",
        "precision",
    ]
    assert list(line["hypotheses"][0]) == ["text", "tokens", "logprob", "score", "finished"]


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_the_answer_is_that_of_a_plain_search_over_the_step_graph(model, pictures, beams):
    """The reference decodes each prefix anew from the start, one beam, through the ONNX step graph."""
    backend = model._backend
    pixels = fit(np.ascontiguousarray(pictures[1][:, :, ::-1]), model.manifest.image)
    encoded = backend.encode(pixels[None])

    def logits(prefix):
        state = backend.widen(encoded.state, 1)
        zero = backend.from_host(np.zeros((1, 1), np.int32))
        for token in (1, *prefix):
            stepped = backend.step(
                backend.from_host(np.full((1, 1), token, np.int32)), zero, state, encoded.memory
            )
            state = stepped.state
        return backend.to_host(stepped.logits)[0, 0]

    wanted, _ = beam_search(logits, beams=beams, ends=(2,), max_length=6, min_length=1)
    result = model(pictures[1], beams=beams, max_length=6)
    assert [hypothesis.tokens for hypothesis in result.hypotheses] == [found.tokens for found in wanted]
    assert [h.score for h in result.hypotheses] == pytest.approx([found.score for found in wanted], abs=1e-4)


@pytest.mark.parametrize("beams", [1, 5])
def test_a_list_gives_what_single_calls_give(model, pictures, beams):
    many = pictures * 2
    assert len(many) > MAX_BATCH, "the list should need more than one batch"
    together = model(many, beams=beams)
    singles = [model(picture, beams=beams) for picture in many]
    assert len({single.tokens for single in singles}) > 4, "the pictures should have different captions"
    for one, other in zip(together, singles, strict=True):
        assert [h.tokens for h in one.hypotheses] == [h.tokens for h in other.hypotheses]
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_a_permuted_list_permutes_the_answers(model, pictures):
    straight = model(pictures[:8])
    backwards = model(pictures[7::-1])
    assert [r.tokens for r in backwards] == [r.tokens for r in straight][::-1]


def test_threads_get_the_answers_of_one(model, pictures):
    wanted = [model(picture).tokens for picture in pictures]
    got: dict[int, list[tuple[int, ...]]] = {}

    def work(number: int) -> None:
        got[number] = [model(picture, beams=3).tokens for picture in pictures]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [got[number] for number in range(4)] == [wanted] * 4


def test_closing_twice_is_fine_and_use_after_it_is_refused(written_bundle, pictures):
    model = cnnrnn.load(written_bundle, threads=1)
    model.close()
    model.close()
    with pytest.raises(ClosedError, match="load it again"):
        model(pictures[0])
    with pytest.raises(ClosedError):
        model.__enter__()


def test_closing_while_others_decode_harms_none(written_bundle, pictures):
    for _ in range(5):
        model = cnnrnn.load(written_bundle, threads=1)
        wanted = model(pictures[0]).tokens
        outcomes: list[object] = []

        def work(model=model, outcomes=outcomes) -> None:
            for _ in range(30):
                try:
                    outcomes.append(model(pictures[0]).tokens)
                except ClosedError:
                    outcomes.append("closed")

        worker = threading.Thread(target=work)
        worker.start()
        while not outcomes:
            pass
        model.close()
        worker.join()
        assert len(outcomes) == 30
        assert set(outcomes) == {wanted, "closed"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beams": 0}, "beams=0 is outside 1 to 5"),
        ({"beams": 6}, "exported for up to 5"),
        ({"beams": 2.0}, "not an integer"),
        ({"beams": True}, "not an integer"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_length": 2000}, "max_length=2000 is outside 1 to 1024"),
        ({"min_length": 9}, "max_length=8"),
        ({"min_length": -1}, "min_length=-1"),
        ({"n_best": 4}, "n_best=4"),
        ({"length_penalty": float("nan")}, "finite"),
        ({"length_penalty": 9.0}, "length_penalty=9.0"),
        ({"early_stopping": "sometimes"}, "sometimes"),
        ({"early_stopping": 1}, "early_stopping=1"),
        ({"length_penalty_type": "google"}, "neither 'length' nor 'gnmt'"),
        ({"coverage_penalty": -1}, "coverage_penalty=-1 is outside 0 to 10"),
        ({"repetition_penalty": 0}, "repetition_penalty=0 is outside"),
        ({"no_repeat_ngram_size": 5}, "no_repeat_ngram_size=5 is outside 0 to 4"),
        (
            {"suppress_tokens": [24]},
            "suppress_tokens has token 24, outside 0 to 23, the vocabulary of bundle 'tiny'",
        ),
        ({"suppress_tokens": [1.5]}, "suppress_tokens has 1.5, which is no token id; give 0 to 23"),
        ({"bad_words_ids": [[]]}, r"bad_words_ids\[0\] is empty"),
        ({"suppress_tokens": 3}, "suppress_tokens has 3, which is no sequence of token ids"),
        ({"suppress_tokens": list(range(24))}, "leave no token of 24"),
        ({"num_beam_groups": 2, "beams": 3}, "num_beam_groups=2 does not divide beams=3"),
        ({"num_beam_groups": 3}, "num_beam_groups=3 with diversity_penalty=0"),
        ({"diversity_penalty": 1.0}, "diversity_penalty=1.0 needs groups, and there is num_beam_groups=1"),
        ({"temperature": 0.5}, "temperature=0.5 has no effect without do_sample=True"),
        ({"seed": 0}, "seed=0 has no effect without do_sample=True"),
        ({"lenght_penalty": 1}, "no option 'lenght_penalty'; did you mean length_penalty"),
        ({"colour": "rgb"}, "no option 'colour'; did you mean color"),
        ({"error": "return"}, "no option 'error'; did you mean errors"),
        ({"do_sample": True, "temperature": 0}, "temperature=0 is outside"),
        ({"do_sample": True, "early_stopping": True}, "early_stopping=True contradicts do_sample=True"),
        (
            {"do_sample": True, "num_beam_groups": 3, "diversity_penalty": 1.0},
            "num_beam_groups=3 contradicts do_sample=True",
        ),
        ({"do_sample": True, "top_p": 0}, "top_p=0 is outside"),
        ({"seed": -1}, "seed=-1"),
        ({"deadline_ms": -1}, "deadline_ms=-1 is below 0: give milliseconds, or leave it out"),
        ({"prefix": "word1 dog"}, "prefix 'word1 dog' has 'dog', which the vocabulary of 24 lacks"),
        ({"prefix": "word1 <end>"}, "prefix 'word1 <end>' has '<end>', which is a special token"),
        ({"prefix": ["word1", "dog"]}, r"prefix\[1\] 'dog' has 'dog'"),
        ({"prefix": ["word1", 5]}, "prefix mixes token ids and sequences"),
        ({"prefix": 5}, "prefix has 5, which is no sequence of token ids"),
        ({"prefix": [4, 2]}, "prefix has the end token 2"),
        ({"prefix": [4] * 9}, "prefix has 9 tokens, and there is max_length=8; raise it"),
        ({"prefix": [4], "suppress_tokens": [4]}, r"prefix has \[4\], which suppress_tokens forbids"),
        ({"prefix": [4, 5], "bad_words_ids": [[4, 5]]}, r"prefix has \[4, 5\], which bad_words_ids forbids"),
        (
            {"prefix": [4, 4], "no_repeat_ngram_size": 1},
            r"prefix has \[4\], which no_repeat_ngram_size=1 forbids",
        ),
        ({"prefix": [[4], [5]]}, "prefix has 2 values, one for each image, for 1 images"),
        ({"max_length": [4, 5]}, "max_length has 2 values"),
        (
            {"phrases": Phrases([[4, 5, 6, 7, 8, 9, 10, 11]])},
            "max_length=8 is too short for phrases.* 9 tokens",
        ),
        ({"phrases": Phrases([[4, 5]]), "prefix": [5]}, "prefix begins none of phrases"),
        ({"phrases": Phrases([[4, 5]]), "min_length": 3}, "min_length=3 is above every one of phrases"),
        ({"phrases": ["word1"]}, "phrases has 'word1', which is no Phrases; make one with model.phrases"),
        ({"color": "gbr"}, "gbr"),
        ({"errors": "ignore"}, "ignore"),
    ],
)
def test_wrong_options_are_refused_with_value_and_limit(model, pictures, options, words):
    with pytest.raises(OptionsError, match=words):
        model(pictures[0], **options)


def test_options_reach_the_search(model, pictures):
    lengths = [len(result.tokens) for result in model(pictures, min_length=5, max_length=5)]
    assert lengths == [5] * len(pictures)
    cut = model(pictures[0], max_length=1, min_length=1)
    assert not cut.finished
    assert len(cut.tokens) == 1
    assert len(model(pictures[0], n_best=1).hypotheses) == 1


def test_phrases_prefixes_and_lengths_may_be_given_for_each_picture(model, pictures):
    many = pictures * 2
    phrases = [model.phrases([f"word{n} word{n + 1}", f"word{n + 2}"]) for n in range(len(many) // 2)] * 2
    for result, given in zip(model(many, phrases=phrases), phrases, strict=True):
        assert {h.tokens[:-1] for h in result.hypotheses if h.finished} <= set(given.sequences)
    lengths = [3 + n % 5 for n in range(len(many))]
    answers = model(many, max_length=lengths, min_length=3, prefix=[[4 + n % 9] for n in range(len(many))])
    for number, (result, most) in enumerate(zip(answers, lengths, strict=True)):
        assert len(result.tokens) <= most
        assert result.tokens[0] == 4 + number % 9
        alone = model(many[number], max_length=most, min_length=3, prefix=[4 + number % 9])
        assert alone.tokens == result.tokens


def test_why_a_search_stopped(model, pictures):
    whole = model(pictures[0])
    assert (whole.stopped, whole.reason) == ("finished", "")
    lengths = model(pictures[:2], max_length=[2, 1], min_length=1)
    assert [result.stopped for result in lengths] == ["max_length"] * 2
    assert [result.reason for result in lengths] == ["cut off at max_length=2", "cut off at max_length=1"]
    late = model(pictures[0], deadline_ms=0, min_length=5)
    assert (late.stopped, late.finished, len(late.tokens), late.steps) == ("deadline", False, 1, 1)
    assert late.reason == "deadline_ms=0 had passed; the best so far"
    others = [token for token in range(24) if token != 7]
    stuck = model(pictures[0], suppress_tokens=others, prefix=[7], min_length=5, no_repeat_ngram_size=2)
    assert (stuck.stopped, stuck.finished, stuck.tokens) == ("no_token", False, (7, 7))
    assert stuck.reason == (
        "no token may follow these 2: suppress_tokens, no_repeat_ngram_size=2 and min_length=5 leave none; "
        "allow more"
    )


def test_a_prefix_may_be_a_text(model, pictures):
    told = model(pictures[0], prefix="word3 word5")
    assert told.text.startswith("word3 word5")
    assert told.tokens == model(pictures[0], prefix=[7, 9]).tokens
    assert model(pictures[0], prefix="").tokens == model(pictures[0]).tokens
    first, second, third = model(pictures[:3], prefix=["word1", "", "word2 word2"])
    assert first.text.startswith("word1 ")
    assert second.tokens == model(pictures[1]).tokens
    assert third.text.startswith("word2 word2")


def test_a_list_in_parts_needs_one_graph_alone(model, pictures, monkeypatch):
    """The last of 17 pictures is a batch of its own, without a prefix: its graph is that of the others."""
    many = [*pictures, *pictures][: MAX_BATCH + 1]
    asked = []
    prepare = model._backend.prepare
    monkeypatch.setattr(model._backend, "prepare", lambda kind: (asked.append(kind.name), prepare(kind))[1])
    answers = model(many, prefix=[*["word1"] * MAX_BATCH, ""])
    assert asked == ["beam3-prefix"]
    assert answers[-1].tokens == model(many[-1]).tokens


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beams": 1},
        {"beams": 5, "early_stopping": "never"},
        {"no_repeat_ngram_size": 1},
        {"do_sample": True, "beams": 1},
    ],
    ids=str,
)
def test_a_stream_gives_the_answer_in_pieces_that_stay(model, pictures, options):
    early = 0
    for picture in pictures:
        whole = model(picture, **options)
        stream = model.stream(picture, **options)
        with pytest.raises(RequestError, match="not complete"):
            _ = stream.result
        pieces = list(stream)
        assert stream.result.tokens == whole.tokens
        assert tuple(token for piece in pieces for token in piece.tokens) == whole.tokens
        assert "".join(piece.text for piece in pieces) == whole.text
        early += len(pieces) > 1
    assert early, "pieces should come before the end"


def test_an_empty_list_is_refused(model):
    with pytest.raises(OptionsError, match="empty list"):
        model([])


def test_one_bad_picture_of_many(model, pictures, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    mixed = [pictures[0], bad, pictures[1]]
    with pytest.raises(ImageError, match=r"picture 2 of 3: .*bad.jpg"):
        model(mixed)
    answers = model(mixed, errors="return")
    assert isinstance(answers[1], ImageError)
    assert answers[0].tokens == model(pictures[0]).tokens
    assert answers[2].tokens == model(pictures[1]).tokens
    assert isinstance(model(bad, errors="return"), ImageError)
    assert all(isinstance(answer, ImageError) for answer in model([bad, bad], errors="return"))


def test_rgb_and_bgr_are_told_apart(model, pictures):
    blue_first = pictures[3]
    red_first = np.ascontiguousarray(blue_first[:, :, ::-1])
    assert model(red_first, color="rgb").score == model(blue_first).score
    assert model(red_first).score != model(blue_first).score


def test_unknown_names_are_refused(written_bundle):
    with pytest.raises(UnknownBundleError, match="no bundle 'nowhere'"):
        cnnrnn.load("nowhere")
    with pytest.raises(OptionsError, match="known are ort-cpu"):
        cnnrnn.load(written_bundle, backend="cuda")
    with pytest.raises(OptionsError, match="give one of fp32"):
        cnnrnn.load(written_bundle, precision="fp8")
    with pytest.raises(OptionsError, match="threads=0"):
        cnnrnn.load(written_bundle, threads=0)


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (33, 31), (200, 100)])
def test_fit_gives_the_encoders_size(resize, shape):
    spec = ImageSpec(48, 64, (0, 0, 0), (1, 1, 1), resize, fill=(1, 2, 3))
    fitted = fit(np.full((*shape, 3), 200, np.uint8), spec)
    assert fitted.shape == (48, 64, 3)
    assert fitted.flags.c_contiguous
    covered = (fitted == 200).all(axis=2)
    assert covered.any()
    if resize == "letterbox":
        assert (fitted[~covered] == (1, 2, 3)).all()
    else:
        assert covered.all()
