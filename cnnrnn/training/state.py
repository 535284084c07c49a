"""A run's whole state, as its checkpoints hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import CheckpointError
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import QuestionVocabulary
from cnnrnn.models import Model
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.ema import AveragedModel
from cnnrnn.training.progress import Progress
from cnnrnn.training.start import plain
from cnnrnn.training.step import Optimization


def saved_progress(saved: dict[str, Any] | None, last: Path) -> Progress:
    """Where a checkpoint's run was; the beginning where there is none.

    Raises:
        CheckpointError: it has none that this package understands.
    """
    if saved is None:
        return Progress()
    values = saved.get("progress")
    if not isinstance(values, dict) or not values.keys() <= {entry.name for entry in fields(Progress)}:
        raise CheckpointError(f"{last} cannot be resumed: its progress is another version's")
    return Progress(**values)


class RunState:
    """What a checkpoint is made of, and what one is put back into.

    The weights under ``model`` are those to evaluate and export: the averaged ones where there are any; the
    run's own are then under ``raw``. No state of a random generator is in it: each step seeds them anew.

    Args:
        config: of the run.
        tokenizer: its vocabulary.
        model: the one that learns.
        averaged: its average, or None.
        questions: how questions are read, if any are.
        asked: some of them.
    """

    def __init__(
        self,
        config: TrainConfig,
        tokenizer: Tokenizer,
        model: Model,
        averaged: AveragedModel | None,
        questions: QuestionVocabulary | None = None,
        asked: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.questions, self.asked = questions, list(asked)
        self.model = model
        self.averaged = averaged

    def content(self, optimization: Optimization, progress: Progress) -> dict[str, Any]:
        """Tensors and plain values alone."""
        content = {
            "config": plain(self.config.to_dict()),
            "tokenizer": self.tokenizer.to_json(),
            "model": self.model.state_dict(),
            "optimizer": optimization.optimizer.state_dict(),
            "schedule": optimization.schedule.state_dict(),
            "scaler": optimization.scaler.state_dict(),
            "progress": vars(progress).copy(),
        }
        if self.questions is not None:
            content |= {"question_tokenizer": self.questions.tokenizer.to_json(), "questions": self.asked}
        if self.averaged is not None:
            content |= {"model": self.averaged.model.state_dict(), "raw": self.model.state_dict()}
        return content

    def restore(self, saved: dict[str, Any], optimization: Optimization, last: Path) -> None:
        """Puts a checkpoint's values back.

        Raises:
            CheckpointError: they are not those of this run.
        """
        try:
            self.model.load_state_dict(saved["model"] if self.averaged is None else saved["raw"])
            if self.averaged is not None:
                self.averaged.model.load_state_dict(saved["model"])
            optimization.optimizer.load_state_dict(saved["optimizer"])
            optimization.schedule.load_state_dict(saved["schedule"])
            optimization.scaler.load_state_dict(saved["scaler"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{last} cannot be resumed: {str(error).partition(chr(10))[0]}") from error
