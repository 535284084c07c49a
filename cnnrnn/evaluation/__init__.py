"""Judging a bundle's captions against what people wrote. Needs no torch."""

from cnnrnn.evaluation.evaluate import Evaluation, evaluate
from cnnrnn.evaluation.metrics import CaptionScores, score_captions

__all__ = ["CaptionScores", "Evaluation", "evaluate", "score_captions"]
