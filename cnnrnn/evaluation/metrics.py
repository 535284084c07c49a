"""Scores of captions against what people wrote.

BLEU (Papineni et al. 2002) and CIDEr (Vedantam et al. 2015) are ``pycocoevalcap``'s own, as the COCO caption
challenge computes them; captions are lower-cased and freed of punctuation here: its tokenizer needs Java.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cnnrnn.core.errors import DataError
from cnnrnn.core.extras import require

_PUNCTUATION = re.compile(r"[^\w\s'’-]")


@dataclass(frozen=True)
class CaptionScores:
    """Scores over a set of pictures.

    Attributes:
        pictures: how many.
        exact_match: share of captions equal to a reference to the letter, from 0 to 1.
        bleu_4: corpus BLEU with up to four-grams, from 0 to 1.
        cider: CIDEr-D, from 0 to 10.
    """

    pictures: int
    exact_match: float
    bleu_4: float
    cider: float


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Scores one caption per picture against its references.

    Raises:
        DataError: the two lengths differ, or there is nothing to score.
        MissingDependencyError: ``pycocoevalcap`` is not installed (extra ``eval``).
    """
    if len(captions) != len(references) or not captions:
        raise DataError(
            f"{len(captions)} captions cannot be scored against references of {len(references)} pictures"
        )
    bleu = require("pycocoevalcap.bleu.bleu", extra="eval").Bleu(4)
    cider = require("pycocoevalcap.cider.cider", extra="eval").Cider()
    truth = {number: [_plain(text) for text in texts] for number, texts in enumerate(references)}
    given = {number: [_plain(text)] for number, text in enumerate(captions)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu_scores, _ = bleu.compute_score(truth, given, verbose=0)
        cider_score, _ = cider.compute_score(truth, given)
    exact = sum(caption in texts for caption, texts in zip(captions, references, strict=True))
    return CaptionScores(len(captions), exact / len(captions), float(bleu_scores[3]), float(cider_score))


def _plain(text: str) -> str:
    return " ".join(_PUNCTUATION.sub(" ", text.lower()).split())
