"""Judging a bundle's captions, or answers, against what people wrote. Needs no torch."""

from cnnrnn.evaluation.answer_scores import AnswerScores, score_answers, vqa_accuracy
from cnnrnn.evaluation.answering import AnswerEvaluation, ask, evaluate_questions
from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.evaluate import Evaluation, answers, evaluate
from cnnrnn.evaluation.reading import ReadingEvaluation, evaluate_reading
from cnnrnn.evaluation.reading_scores import ReadingScores, normalised_line, score_reading
from cnnrnn.evaluation.scores import METRICS, CaptionScores, ScoreOptions, score_captions

__all__ = [
    "METRICS",
    "AnswerEvaluation",
    "AnswerScores",
    "Bootstrap",
    "CaptionScores",
    "Evaluation",
    "ReadingEvaluation",
    "ReadingScores",
    "ScoreOptions",
    "answers",
    "ask",
    "evaluate",
    "evaluate_questions",
    "evaluate_reading",
    "normalised_line",
    "score_answers",
    "score_captions",
    "score_reading",
    "vqa_accuracy",
]
