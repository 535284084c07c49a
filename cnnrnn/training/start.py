"""What a run begins with: the vocabulary and the weights, new, of another run, or of its own checkpoint."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import CheckpointError, ConfigError
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import QuestionVocabulary
from cnnrnn.data.readers import Sample
from cnnrnn.data.vocabulary import build_tokenizer
from cnnrnn.models import Model, ModelConfig, build_model
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.config import TrainConfig

log = logging.getLogger(__name__)

SHOWN = 5

_FREE: dict[str, Any] = {"pretrained": False, "dropout": 0.0, "drop_connect": 0.0, "frozen_blocks": 0}
"""Options of a model that another run's weights do not depend on."""

_VOCABULARIES = ("vocabulary", "question_vocabulary")


class Start:
    """What a run begins with. Another run's checkpoint is read, and compared, before any work.

    Args:
        config: of the run.
        last: the run's own checkpoint.
        resume: whether the run goes on from that, so that no other is looked at.

    Attributes:
        saved: the run's own checkpoint, once it is read, or None.

    Raises:
        ConfigError: ``init_from`` is missing, or its model or kind of vocabulary is another.
        CheckpointError: it cannot be read.
    """

    def __init__(self, config: TrainConfig, last: Path, *, resume: bool) -> None:
        self.config = config
        self.last = last
        self.resume = resume
        self.saved: dict[str, Any] | None = None
        self._initial: dict[str, Any] | None = None
        if config.training.init_from and not resume:
            self._initial = self._other_run(config.training.init_from)
        trunk = config.training.encoder_from
        if trunk and config.training.init_from:
            raise ConfigError(
                f"training encoder_from = {trunk!r} and init_from = {config.training.init_from!r}: the "
                "latter gives all weights; leave one of the two out"
            )
        if trunk and not resume and not Path(trunk).is_file():
            raise ConfigError(
                f"training encoder_from = {trunk!r}: no such file; give a run's best.pt or last.pt"
            )

    def read(self) -> None:
        """Reads the run's own checkpoint where it goes on.

        Raises:
            ConfigError: there is none.
            CheckpointError: it cannot be read.
        """
        if not self.resume:
            return
        if not self.last.exists():
            raise ConfigError(f"there is no {self.last} to go on from; start the run without --resume")
        self.saved = read_checkpoint(self.last)

    def check_output(self) -> None:
        """Refuses a folder that is in use, or to go on from another configuration's checkpoint.

        Raises:
            ConfigError: it is.
        """
        if self.saved is None and self.last.exists():
            raise ConfigError(f"{self.last} exists; go on with --resume, or choose another output folder")
        if self.saved is not None and plain(_configured(self.saved)) != plain(self.config.to_dict()):
            raise ConfigError(
                f"{self.last} was made by another configuration; resume with the one it was started with"
            )

    def tokenizer(self, samples: Iterable[Sample]) -> Tokenizer:
        """The vocabulary: of the checkpoint that there is, or learnt from the training captions.

        Raises:
            ConfigError: the captions have words that ``init_from``'s vocabulary lacks, though they are
                frequent enough for one.
            DataError: no caption holds a word.
        """
        if self.saved is not None:
            return Tokenizer.from_json(self.saved["tokenizer"])
        own = build_tokenizer(
            (text for sample in samples for text in sample.captions),
            self.config.vocabulary,
            self.config.data.languages,
        )
        if self._initial is None:
            return own
        given = Tokenizer.from_json(self._initial["tokenizer"])
        if list(given.languages) != list(self.config.data.languages):
            raise ConfigError(
                f"training init_from = {self.config.training.init_from!r} has the languages "
                f"{list(given.languages)}, and [data] languages is {list(self.config.data.languages)}; set "
                "it to the same, or take the encoder alone, by encoder_from"
            )
        if self.config.vocabulary.kind == "word":
            self._refuse_new_words(own, given, "captions", self.config.vocabulary.min_count)
        return given

    def questions(self, samples: Iterable[Sample]) -> QuestionVocabulary | None:
        """How questions are read, where there are any: as :meth:`tokenizer` for captions.

        Raises:
            ConfigError: the questions have words that ``init_from``'s vocabulary of questions lacks.
            DataError: no question holds a word.
        """
        if self.config.model.question == "none":
            return None
        most = self.config.data.max_question
        if self.saved is not None:
            return QuestionVocabulary(Tokenizer.from_json(self.saved["question_tokenizer"]), most)
        config = self.config.question_vocabulary
        own = build_tokenizer((sample.question for sample in samples), config)
        if self._initial is None:
            return QuestionVocabulary(own, most)
        given = Tokenizer.from_json(self._initial["question_tokenizer"])
        if config.kind == "word":
            self._refuse_new_words(own, given, "questions", config.min_count)
        return QuestionVocabulary(given, most)

    def model(self, tokenizer: Tokenizer, questions: QuestionVocabulary | None) -> Model:
        """A model with the weights to begin with; a resumed one gets its own later."""
        fresh, trunk = self.saved is None and self._initial is None, self.config.training.encoder_from
        asked = None if questions is None else questions.tokenizer.size
        model = build_model(self.config.model, tokenizer.size, asked, load_pretrained=fresh and not trunk)
        if self._initial is not None:
            try:
                model.load_state_dict(self._initial["model"])
            except (KeyError, RuntimeError) as error:
                raise CheckpointError(
                    f"{self.config.training.init_from}: its weights do not fit its configuration: "
                    f"{str(error).partition(chr(10))[0]}"
                ) from error
        elif fresh and trunk:
            self._load_encoder(model)
        return model

    def _load_encoder(self, model: Model) -> None:
        """Takes the weights of ``encoder_from``'s encoder."""
        path, wanted = self.config.training.encoder_from, model.encoder.state_dict()
        prefix = "encoder."
        given = read_checkpoint(Path(path))["model"]
        taken = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
        differing = sorted(wanted.keys() ^ taken.keys()) or [
            name for name, value in wanted.items() if value.shape != taken[name].shape
        ]
        if differing:
            raise ConfigError(
                f"training encoder_from = {path!r} has another encoder than [model] encoder = "
                f"{self.config.model.encoder!r}: they differ in {len(differing)} weights, first "
                f"{differing[0]!r}; set [model] as it is there"
            )
        model.encoder.load_state_dict(taken)

    def _other_run(self, path: str) -> dict[str, Any]:
        if not Path(path).is_file():
            raise ConfigError(f"training init_from = {path!r}: no such file; give a run's best.pt or last.pt")
        found = read_checkpoint(path)
        other = _configured(found)
        if other is None:
            raise ConfigError(f"training init_from = {path!r} was made by a version with other options")
        theirs = replace(ModelConfig.from_dict(other["model"]), **_FREE)
        ours = replace(self.config.model, **_FREE)
        for name, value in theirs.to_dict().items():
            if value != (wanted := getattr(ours, name)):
                raise ConfigError(
                    f"training init_from = {path!r} has a model with {name} = {value!r}, and [model] {name} "
                    f"= {wanted!r}; set it to {value!r}, or train anew"
                )
        sections = ["vocabulary"] if self.config.model.question == "none" else [*_VOCABULARIES]
        for section, name in itertools.product(sections, ("kind", "lowercase", "punctuation")):
            value, wanted = other[section][name], getattr(getattr(self.config, section), name)
            if value != wanted:
                raise ConfigError(
                    f"training init_from = {path!r} has a vocabulary with {name} = {value!r}, and "
                    f"[{section}] {name} = {wanted!r}; set it to {value!r}"
                )
        return found

    def _refuse_new_words(self, own: Tokenizer, given: Tokenizer, texts: str, min_count: int) -> None:
        known = given.backend.get_vocab()
        absent = [word for word in own.backend.get_vocab() if word not in known]
        if absent:
            listed = ", ".join(map(repr, sorted(absent)[:SHOWN]))
            raise ConfigError(
                f"the vocabulary of init_from = {self.config.training.init_from!r} has {given.size} tokens "
                f"and lacks {len(absent)} words that the {texts} have at least "
                f"{min_count} times: {listed}; raise min_count, by which they become <unk>, or train anew"
            )


def plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them, so that a configuration compares equal after a round trip."""
    result: Any = json.loads(json.dumps(value))
    return result


def _configured(saved: dict[str, Any]) -> dict[str, Any] | None:
    """A checkpoint's configuration with the defaults of newer keys; None where it is not this version's."""
    try:
        return TrainConfig.from_dict(saved["config"]).to_dict()
    except (ConfigError, KeyError):
        return None
