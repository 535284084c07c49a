"""Whether a run's pictures come with questions, and some of these for whoever exports the model."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.data.readers import Sample
from cnnrnn.training.config import TrainConfig

EXAMPLES = 64
"""Questions that a checkpoint keeps: the parity gate of its export asks them."""


def check_questions(config: TrainConfig, samples: Sequence[Sample]) -> None:
    """Refuse questions that nobody reads, and a model that is asked nothing.

    Raises:
        ConfigError: the pictures have questions, and ``[model] question`` is ``"none"``.
        DataError: it is not, and a picture has no question.
    """
    asked = sum(bool(sample.question) for sample in samples)
    if config.model.question == "none":
        if asked:
            raise ConfigError(
                f"{asked} of {len(samples)} samples are questions with answers, and [model] question = "
                "'none' reads none; set it to 'lstm' or 'gru'"
            )
    elif asked < len(samples):
        raise DataError(
            f"[model] question = {config.model.question!r}, and {len(samples) - asked} of {len(samples)} "
            "samples have no question; give sources of questions alone, or set it to 'none'"
        )


def question_examples(samples: Sequence[Sample]) -> list[str]:
    """Different questions from all over the data, in its order."""
    different = list(dict.fromkeys(sample.question for sample in samples))
    return different[:: max(1, len(different) // EXAMPLES)][:EXAMPLES]
