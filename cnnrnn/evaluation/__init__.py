"""Judging a bundle's captions against what people wrote. Needs no torch."""

from cnnrnn.evaluation.answer_scores import AnswerScores, score_answers, vqa_accuracy
from cnnrnn.evaluation.answering import AnswerEvaluation, ask
from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.evaluate import Evaluation, answers, evaluate
from cnnrnn.evaluation.scores import METRICS, CaptionScores, ScoreOptions, score_captions

__all__ = [
    "METRICS",
    "AnswerEvaluation",
    "AnswerScores",
    "Bootstrap",
    "CaptionScores",
    "Evaluation",
    "ScoreOptions",
    "answers",
    "ask",
    "evaluate",
    "score_answers",
    "score_captions",
    "vqa_accuracy",
]
