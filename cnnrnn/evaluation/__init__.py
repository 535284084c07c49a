"""Judging a bundle's captions against what people wrote. Needs no torch."""

from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.evaluate import Evaluation, answers, evaluate
from cnnrnn.evaluation.scores import METRICS, CaptionScores, ScoreOptions, score_captions

__all__ = [
    "METRICS",
    "Bootstrap",
    "CaptionScores",
    "Evaluation",
    "ScoreOptions",
    "answers",
    "evaluate",
    "score_captions",
]
