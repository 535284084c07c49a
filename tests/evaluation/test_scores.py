"""Scores against those worked out by hand, against the field's programs, and against what must be so."""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.evaluation import METRICS, Bootstrap, ScoreOptions, java, score_captions

pytest.importorskip("pycocoevalcap")
pytest.importorskip("sacrebleu")

REFERENCES = [
    ["a red disc on a table"],
    ["a blue square", "one blue square"],
    ["three green birds in a tree"],
]
QUICK = ScoreOptions(bootstrap=Bootstrap(resamples=0))


def corpus(seed: int, pictures: int = 40) -> tuple[list[str], list[list[str]]]:
    """Captions and references of few enough words to have four in common now and then."""
    words = random.Random(seed)

    def sentence() -> str:
        return " ".join(words.choices(["a", "b", "c", "d", "e"], k=words.randint(1, 12)))

    return [sentence() for _ in range(pictures)], [
        [sentence() for _ in range(words.randint(1, 5))] for _ in range(pictures)
    ]


def test_perfect_captions() -> None:
    scores = score_captions([texts[0] for texts in REFERENCES], REFERENCES, options=QUICK)
    assert scores.pictures == 3
    assert scores.exact_match == 1.0
    assert [scores.bleu_1, scores.bleu_4, scores.rouge_l] == pytest.approx([1.0] * 3, abs=1e-6)
    # 'a blue square' has no four-gram and shares CIDEr's ten points with its other reference.
    assert 5 < scores.cider < 10


def test_nothing_in_common() -> None:
    scores = score_captions(["x y z w v"] * 3, REFERENCES, options=QUICK)
    assert set(scores.values.values()) == {0.0}


def test_bleu_by_hand() -> None:
    # one reference, one word of six replaced: 5/6 unigrams, 3/5 bigrams, 2/4 trigrams, 1/3 four-grams
    scores = score_captions(["a b c d x f"], [["a b c d e f"]], options=QUICK)
    precisions = (5 / 6, 3 / 5, 2 / 4, 1 / 3)
    for order in range(1, 5):
        expected = math.exp(sum(map(math.log, precisions[:order])) / order)
        assert scores.values[f"bleu_{order}"] == pytest.approx(expected, abs=1e-9)


def test_rouge_by_hand() -> None:
    # 'a c d' is common: precision 3/4, recall 3/5, and beta 1.2
    scores = score_captions(["a c x d"], [["a b c d e"]], options=QUICK)
    assert scores.rouge_l == pytest.approx((1 + 1.44) * 0.75 * 0.6 / (0.6 + 1.44 * 0.75))


@pytest.mark.parametrize("seed", range(5))
def test_bleu_is_the_caption_challenges(seed: int) -> None:
    from pycocoevalcap.bleu.bleu import Bleu

    captions, references = corpus(seed)
    captions[3] = ""
    expected, _ = Bleu(4).compute_score(
        dict(enumerate(references)), {n: [text] for n, text in enumerate(captions)}, verbose=0
    )
    scores = score_captions(captions, references, options=QUICK)
    assert [scores.values[f"bleu_{order}"] for order in range(1, 5)] == pytest.approx(expected, abs=1e-6)


def test_exact_match_is_to_the_letter_and_the_others_are_not() -> None:
    scores = score_captions(["A Red Disc on a table!"], [["a red disc on a table"]], options=QUICK)
    assert scores.exact_match == 0.0
    assert scores.bleu_4 == pytest.approx(1.0, abs=1e-6)


def test_any_reference_counts() -> None:
    assert score_captions(["one blue square"], [REFERENCES[1]], options=QUICK).exact_match == 1.0


def test_the_oracle_takes_the_best_hypothesis_of_each_picture() -> None:
    captions = ["a red disc on a table", "nothing", "three birds"]
    hypotheses = [
        captions[:1],
        ["nothing", "a blue square"],
        ["three birds", "x", "three green birds in a tree"],
    ]
    scores = score_captions(captions, REFERENCES, hypotheses=hypotheses, options=QUICK)
    perfect = score_captions([texts[0] for texts in REFERENCES], REFERENCES, options=QUICK)
    assert scores.oracle_cider == pytest.approx(perfect.cider)
    assert scores.cider < perfect.cider
    assert np.all(scores.each["oracle_cider"] >= scores.each["cider"])
    assert score_captions(captions, REFERENCES, options=QUICK).oracle_cider is None


@pytest.mark.parametrize(
    ("captions", "references", "said"),
    [
        ([], [], "0 captions cannot be scored"),
        (["x"], [], "1 captions cannot be scored"),
        (["x", "y"], [["x"], []], "picture 1 has no reference"),
    ],
)
def test_nothing_to_score(captions: list[str], references: list[list[str]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        score_captions(captions, references)


def test_intervals_hold_the_score_and_are_the_seeds() -> None:
    captions, references = corpus(7)
    options = ScoreOptions(bootstrap=Bootstrap(resamples=300, seed=3))
    scores = score_captions(captions, references, options=options)
    assert list(scores.intervals) == [name for name in METRICS if name in scores.values]
    for name, (low, high) in scores.intervals.items():
        assert low <= scores.values[name] <= high, name
        assert low < high or name == "exact_match"
    assert score_captions(captions, references, options=options).intervals == scores.intervals
    other = ScoreOptions(bootstrap=Bootstrap(resamples=300, seed=4))
    assert score_captions(captions, references, options=other).intervals != scores.intervals


def test_an_interval_is_as_wide_as_the_binomial_says() -> None:
    """Of 400 pictures half are right: a standard error of 0.025, so 0.5 less and more 0.049."""
    captions = ["a cat", "a dog"] * 200
    options = ScoreOptions(bootstrap=Bootstrap(resamples=2000))
    low, high = score_captions(captions, [["a cat"]] * 400, options=options).intervals["exact_match"]
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_what_is_left_out_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = score_captions(["x"], [["x"]], options=QUICK)
    assert scores.meteor is None
    assert "not asked for" in scores.left_out["meteor"]
    monkeypatch.setenv("PATH", "")
    options = ScoreOptions(java=True, bootstrap=QUICK.bootstrap)
    scores = score_captions(["x"], [["x"]], options=options)
    assert scores.left_out.keys() == {"meteor", "spice"}
    assert all("apt install default-jre-headless" in why for why in scores.left_out.values())
    assert "meteor" not in scores.to_dict()


def test_spice_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its constructor would; where a jar is missing it is not called."""
    spice = pytest.importorskip("pycocoevalcap.spice.spice")

    def constructed(_: object) -> None:
        raise AssertionError("this fetches 400 MB")

    monkeypatch.setattr(spice.Spice, "__init__", constructed)
    monkeypatch.setattr(java, "CORENLP", ("no-such.jar",))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(java, "_meteor", lambda references, captions: (0.25, np.array([0.5, 0.5])))
    scores, left_out = java.java_scores({0: ["x"], 1: ["y"]}, {0: ["x"], 1: ["x"]})
    assert scores.keys() == {"meteor"}
    assert "there is no no-such.jar in" in left_out["spice"]
    assert "python -m pycocoevalcap.spice.get_stanford_models" in left_out["spice"]


def test_spice_where_its_jars_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for its Java program: one score of a picture is no number, as the real one's may be."""
    spice = pytest.importorskip("pycocoevalcap.spice.spice")
    monkeypatch.setattr(spice.Spice, "__init__", lambda self: None)
    answers = [{"All": {"f": 0.5}}, {"All": {"f": math.nan}}]
    monkeypatch.setattr(spice.Spice, "compute_score", lambda self, references, captions: (math.nan, answers))
    monkeypatch.setattr(java, "CORENLP", ())
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(java, "_meteor", lambda references, captions: (0.3, np.array([0.2, 0.2])))
    options = ScoreOptions(java=True, bootstrap=Bootstrap(resamples=50))
    scores = score_captions(["x", "y"], [["x"], ["y"]], options=options)
    assert scores.spice == 0.25
    assert scores.intervals["spice"][0] < 0.25 < scores.intervals["spice"][1]
    assert scores.meteor == pytest.approx(0.3)  # the corpus' score, not the pictures' mean
    assert scores.intervals["meteor"] == pytest.approx((0.3, 0.3))


def test_a_java_program_that_fails_costs_its_own_score_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    scores = score_captions(["x"], [["x"]], options=ScoreOptions(java=True, bootstrap=QUICK.bootstrap))
    assert "its Java program failed" in scores.left_out["meteor"]
    assert scores.bleu_1 == 1.0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_meteor_by_its_own_program() -> None:
    references = {0: ["a red disc on a table"], 1: ["a blue square", "one blue square"]}
    scores, left_out = java.java_scores(references, {0: ["a red disc on a table"], 1: ["x"]})
    score, each = scores["meteor"]
    assert each == pytest.approx([1.0, 0.0])
    assert 0 < score < 1
    assert "meteor" not in left_out
