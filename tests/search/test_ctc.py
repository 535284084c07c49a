"""The search along columns against sums over every alignment, and against searches in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.phrases import Phrases
from cnnrnn.runtime.select import SelectKind
from tests.search.columns import BLANK, read_columns, text_of
from tests.search.ctc_oracle import best_path, every_text, log_softmax, prefix_beam_search


def lines(seed: int, images: int, columns: int, characters: int, scale: float = 2.0) -> np.ndarray:
    """Random logits (B, P, V); the blank and two special tokens come before the characters."""
    return np.random.default_rng(seed).normal(0, scale, (images, columns, characters + 3)).astype(np.float32)


def characters_of(logits: np.ndarray) -> tuple[int, ...]:
    return tuple(range(3, logits.shape[-1]))


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_wide_beams_sum_over_every_alignment(columns):
    """No more than 31 texts of two characters fit into 4 columns: 32 beams lose none of them."""
    logits = lines(columns, 5, columns, 2)
    _, found = read_columns(logits, 32)
    for image, paths in enumerate(found):
        exact = every_text(log_softmax(logits[image]), characters_of(logits), BLANK)
        assert {text_of(path) for path in paths} == set(exact)
        scores = [path.logprob for path in paths]
        assert scores == sorted(scores, reverse=True)
        for path in paths:
            assert path.logprob == pytest.approx(exact[text_of(path)], abs=2e-5)
            assert path.score == path.logprob
            assert len(path.tokens) == columns


@pytest.mark.parametrize("beams", [2, 3, 5, 8])
@pytest.mark.parametrize("characters", [1, 2, 7, 40])
def test_narrow_beams_keep_what_a_search_with_dictionaries_keeps(beams, characters):
    logits = lines(100 * beams + characters, 6, 17, characters)
    _, found = read_columns(logits, beams)
    for image, paths in enumerate(found):
        wanted = prefix_beam_search(log_softmax(logits[image]), characters_of(logits), BLANK, beams)
        assert [text_of(path) for path in paths] == [text for text, _ in wanted]
        assert [path.logprob for path in paths] == pytest.approx([score for _, score in wanted], abs=1e-4)


def test_no_text_comes_twice():
    logits = lines(3, 8, 30, 3, scale=0.5)
    for paths in read_columns(logits, 16)[1]:
        texts = [text_of(path) for path in paths]
        assert len(texts) == len(set(texts)) == 16


def test_one_beam_is_the_best_path():
    logits = lines(4, 20, 25, 4)
    for image, (path,) in enumerate(read_columns(logits, 1)[1]):
        text, score = best_path(log_softmax(logits[image]), characters_of(logits), BLANK)
        assert text_of(path) == text
        assert path.logprob == pytest.approx(score, abs=1e-4)


def test_the_likeliest_text_need_not_be_the_best_path():
    """Of "a" and blank in two columns, 0.4 and 0.6: no "a" has 0.36, one has 0.64."""
    logits = np.full((1, 2, 4), -1e4, np.float32)
    logits[..., BLANK], logits[..., 3] = np.log(0.6), np.log(0.4)
    assert text_of(read_columns(logits, 1)[1][0][0]) == ()
    assert text_of(read_columns(logits, 2)[1][0][0]) == (3,)
    assert np.exp(read_columns(logits, 2)[1][0][0].logprob) == pytest.approx(0.64, abs=1e-5)


@pytest.mark.parametrize("beams", [2, 5])
def test_phrases_confine_prefixes_as_in_a_search_with_dictionaries(beams):
    logits = lines(11, 12, 14, 5)
    words = [(3, 4), (3, 4, 5), (4, 4), (5,), (6, 3, 3, 7), (7, 6), (3, 5, 6)]
    begins = {word[:end] for word in words for end in range(len(word) + 1)}
    _, found = read_columns(logits, beams, Phrases(words))
    for image, paths in enumerate(found):
        wanted = prefix_beam_search(log_softmax(logits[image]), characters_of(logits), BLANK, beams, begins)
        whole = [(text, score) for text, score in wanted if text in words]
        assert [text_of(path) for path in paths if len(path.tokens)] == [text for text, _ in whole]
        scores = [path.logprob for path in paths if len(path.tokens)]
        assert scores == pytest.approx([score for _, score in whole], abs=1e-4)
        assert len(paths) == max(len(whole), 1)


def test_a_phrase_has_the_probability_of_all_its_alignments():
    logits = lines(12, 4, 6, 2)
    words = [(3,), (3, 3), (4, 3, 4)]
    for image, paths in enumerate(read_columns(logits, 16, Phrases(words))[1]):
        exact = every_text(log_softmax(logits[image]), characters_of(logits), BLANK)
        assert {text_of(path): path.logprob for path in paths} == pytest.approx(
            {word: exact[word] for word in words}, abs=1e-4
        )


def test_the_best_path_knows_no_phrases():
    with pytest.raises(OptionsError, match="give 2 or more"):
        SelectKind(1, trie=True, ctc=True)


def test_a_character_is_where_the_likelier_way_to_it_goes():
    """A faint "a" early and a sure one late are one text, and the "a" is the late one."""
    logits = np.full((1, 9, 5), -8.0, np.float32)
    logits[..., BLANK] = 4.0
    logits[0, 1, 3] = 0.0
    logits[0, 6, 3], logits[0, 6, BLANK] = 8.0, -4.0
    best = read_columns(logits, 4)[1][0][0]
    assert best.tokens.tolist() == [BLANK] * 6 + [3] + [BLANK] * 2


def test_what_is_suppressed_never_comes():
    logits = lines(5, 4, 12, 3)
    for beams in (1, 4):
        for paths in read_columns(logits, beams, suppress=(4,))[1]:
            assert all(4 not in path.tokens for path in paths)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_fault_is_the_images_own(beams, value):
    logits = lines(6, 3, 8, 3)
    alone = [paths[0].tokens.tolist() for paths in read_columns(logits, beams)[1]]
    logits[1, 4, 3] = value
    history, found = read_columns(logits, beams)
    assert history.faults.tolist() == [0, 5, 0]
    assert found[1] == []
    assert [found[image][0].tokens.tolist() for image in (0, 2)] == [alone[0], alone[2]]


def test_logits_that_rule_a_token_out_are_no_fault():
    logits = lines(7, 2, 10, 4)
    logits[:, ::2, 4] = -np.inf
    history, found = read_columns(logits, 4)
    assert not history.faults.any()
    for image, paths in enumerate(found):
        with np.errstate(divide="ignore"):
            wanted = prefix_beam_search(log_softmax(logits[image]), characters_of(logits), BLANK, 4)
        assert [text_of(path) for path in paths] == [text for text, _ in wanted]


@pytest.mark.parametrize("characters", [3, 25])
def test_the_text_is_that_of_an_independent_decoder(characters):
    """fast-ctc-decode: a prefix beam search in Rust, made for nanopore sequencing."""
    decoder = pytest.importorskip("fast_ctc_decode")
    logits = lines(characters, 10, 40, characters, scale=1.5)
    alphabet = "".join(chr(ord("a") + number) for number in range(characters))
    for image, paths in enumerate(read_columns(logits, 16)[1]):
        probabilities = np.exp(log_softmax(logits[image])).astype(np.float32)
        columns = np.ascontiguousarray(probabilities[:, [BLANK, *characters_of(logits)]])
        text, _ = decoder.beam_search(columns, "-" + alphabet, beam_size=16, beam_cut_threshold=0.0)
        assert "".join(alphabet[token - 3] for token in text_of(paths[0])) == text
