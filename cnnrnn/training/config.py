"""The training configuration: a TOML file read into dataclasses, checked before any work."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from cnnrnn.core.errors import BundleError, ConfigError
from cnnrnn.core.languages import canonical
from cnnrnn.core.manifest import (
    MAX_QUESTION,
    ImageSpec,
    SearchDefaults,
    check_name,
    image_spec,
    search_defaults,
)
from cnnrnn.data.augment import AugmentConfig
from cnnrnn.data.pictures import PictureCheck
from cnnrnn.data.readers import EASY_VQA, Generated, Source, source_of
from cnnrnn.data.vocabulary import VocabularyConfig
from cnnrnn.models.config import ModelConfig
from cnnrnn.training.optim_config import OptimConfig, check_count
from cnnrnn.training.scst_config import ScstConfig
from cnnrnn.training.typed import check_types

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = ("train", "validation", "test")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

T = TypeVar("T")


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures are.

    Attributes:
        train: sources: paths relative to the configuration's own folder, or tables that become a
            :class:`cnnrnn.data.readers.Source`, or, with ``generator``, a
            :class:`cnnrnn.data.readers.Generated`.
        validation: likewise; empty splits ``validation_share`` off the training pictures, by picture.
        test: likewise; never trained or validated on, and read to be sure of it.
        images: folders to look for the pictures of a CSV or of COCO's JSON in; empty for the file's own
            folder. A source that is a folder holds its pictures itself.
        languages: codes of the languages to learn, where the captions have any; the first is the bundle's
            default.
        languages_per_epoch: in how many of its languages each picture is drawn in an epoch, each with one
            caption; 0 draws every caption.
        validation_share: share of the training pictures held out when ``validation`` is empty.
        max_length: longest caption in tokens, the end token included.
        max_question: longest question in tokens, where there are questions.
        workers: processes that read and augment; 0 does it in the training process.
        prefetch: batches that each of them has ready ahead of time.
        cache: keep the fitted pictures in memory.
        share_pictures: draw the captions, or questions, of one picture together, and encode it once for them.
        skip_share: the largest share of a source's pictures that may be missing, broken or without a caption,
            and is then left out; above it training does not begin.
        check_pictures: how pictures are looked at before training: ``"header"``, ``"decode"`` or ``"off"``.
        allow_leaks: whether a picture of ``train`` may be in ``validation`` or ``test`` too.
    """

    train: tuple[str | Source | Generated, ...] = ()
    validation: tuple[str | Source | Generated, ...] = ()
    test: tuple[str | Source | Generated, ...] = ()
    images: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    languages_per_epoch: int = 0
    validation_share: float = 0.0
    max_length: int = 20
    max_question: int = 24
    workers: int = 0
    prefetch: int = 2
    cache: bool = False
    share_pictures: bool = False
    skip_share: float = 0.0
    check_pictures: PictureCheck = "header"
    allow_leaks: bool = False

    def __post_init__(self) -> None:
        for name in (*SOURCES, "images"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or (
                name == "images" and not all(isinstance(entry, str) for entry in value)
            ):
                raise ConfigError(f'data {name} = {value!r} must be a list of paths, such as ["pictures"]')
        for name in SOURCES:
            sources = tuple(
                entry if isinstance(entry, str) else source_of(entry) for entry in getattr(self, name)
            )
            object.__setattr__(self, name, sources)
        self._check_languages()
        check_count("data", "workers", self.workers, 0)
        check_count("data", "prefetch", self.prefetch, 1)
        if not 0 <= self.skip_share < 1:
            raise ConfigError(f"data skip_share = {self.skip_share!r} must be in [0, 1)")
        if self.check_pictures not in (allowed := get_args(PictureCheck)):
            raise ConfigError(
                f"data check_pictures = {self.check_pictures!r} must be one of {', '.join(allowed)}"
            )
        if not isinstance(self.max_length, int) or self.max_length < 2:
            raise ConfigError(f"data max_length = {self.max_length!r} must be 2 or more: a word and the end")
        if not isinstance(self.max_question, int) or not 1 <= self.max_question <= MAX_QUESTION:
            raise ConfigError(f"data max_question = {self.max_question!r} must be from 1 to {MAX_QUESTION}")

    def _check_languages(self) -> None:
        if not isinstance(self.languages, tuple):
            raise ConfigError(f'data languages = {self.languages!r} must be a list of codes, such as ["en"]')
        for code in self.languages:
            usual = canonical(code) if isinstance(code, str) else None
            if usual != code:
                hint = f"; write {usual!r}" if usual else ", such as 'en', 'pt-BR' or 'zh-Hans'"
                raise ConfigError(f"data languages has {code!r}, which is no code of a language{hint}")
        if len(set(self.languages)) < len(self.languages):
            raise ConfigError(f"data languages = {list(self.languages)!r} has a code twice")
        check_count("data", "languages_per_epoch", self.languages_per_epoch, 0)
        if self.languages_per_epoch and not self.languages:
            raise ConfigError(
                f"data languages_per_epoch = {self.languages_per_epoch} needs [data] languages to choose from"
            )


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training run depends on; on the CPU the same file and machine give the same weights."""

    name: str
    output: str
    seed: int = 0
    summary: str = ""
    license: str = ""
    notice: str = ""
    sections: tuple[str, ...] = ()
    data: DataConfig = field(default_factory=DataConfig)
    image: ImageSpec = field(default_factory=lambda: ImageSpec(224, 224, IMAGENET_MEAN, IMAGENET_STD))
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    question_vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: OptimConfig = field(default_factory=OptimConfig)
    scst: ScstConfig = field(default_factory=ScstConfig)
    search: SearchDefaults = field(default_factory=SearchDefaults)

    @classmethod
    def load(cls, path: str | Path) -> TrainConfig:
        """Reads a TOML file; its relative paths are taken from its own folder.

        Raises:
            ConfigError: the file is missing or not TOML, a key is unknown, or a value is out of range.
        """
        path = Path(path)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from error
        config = cls.from_dict(values)
        return config.relative_to(path.resolve().parent)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Builds the configuration from plain values, as :meth:`to_dict` gives them."""
        values = dict(values)
        sections = {
            "data": DataConfig,
            "vocabulary": VocabularyConfig,
            "question_vocabulary": VocabularyConfig,
            "augment": AugmentConfig,
            "model": ModelConfig,
            "training": OptimConfig,
            "scst": ScstConfig,
            "search": SearchDefaults,
        }
        for name, section in sections.items():
            if name in values:
                values[name] = _section(section, f"[{name}]", values[name])
        if "image" in values:
            image = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, **values["image"]}
            values["image"] = _section(ImageSpec, "[image]", image)
        config = _section(cls, "the top of the file", values)
        _check_specs(config)
        if not config.data.train:
            raise ConfigError("data train = [] names no caption file")
        if not config.data.validation and not 0 <= config.data.validation_share < 1:
            raise ConfigError(f"data validation_share = {config.data.validation_share} must be in [0, 1)")
        drawn = [entry for entry in config.data.train if isinstance(entry, Generated)]
        if config.scst.epochs and drawn:
            raise ConfigError(
                f"scst epochs = {config.scst.epochs} rewards captions by those of all pictures, and "
                f"{drawn[0]} draws others in every epoch; set scst epochs to 0, or draw none"
            )
        if config.scst.epochs and config.model.question != "none":
            raise ConfigError(
                f"scst epochs = {config.scst.epochs} rewards captions by CIDEr-D, and [model] question = "
                f"{config.model.question!r} answers questions; set scst epochs to 0"
            )
        if config.model.decoder == "ctc" and config.scst.epochs:
            raise ConfigError(
                f"scst epochs = {config.scst.epochs} samples captions word by word, and [model] decoder = "
                "'ctc' has none; set scst epochs to 0"
            )
        if config.model.decoder == "ctc" and config.training.scheduled_sampling:
            raise ConfigError(
                f"training scheduled_sampling = {config.training.scheduled_sampling} feeds words back, and "
                "[model] decoder = 'ctc' feeds none; set it to 0"
            )
        if config.scst.epochs and config.data.languages:
            raise ConfigError(
                f"scst epochs = {config.scst.epochs} rewards a caption for being like all of its picture's, "
                "and [data] languages has some in others; set scst epochs to 0"
            )
        if config.data.languages and config.model.question != "none":
            raise ConfigError(
                f"[data] languages = {list(config.data.languages)} is for captions, and [model] question = "
                f"{config.model.question!r} answers questions; leave one of the two out"
            )
        if config.scst.epochs and config.training.metric == "loss" and config.held_out:
            raise ConfigError(
                f"scst epochs = {config.scst.epochs} rewards CIDEr-D at the cost of cross-entropy, by which "
                "training metric = 'loss' would choose best.pt; set metric to 'cider' or 'exact_match'"
            )
        return config

    @property
    def held_out(self) -> bool:
        """Whether anything is validated on."""
        return bool(self.data.validation) or self.data.validation_share > 0

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, for a checkpoint."""
        return asdict(self)

    def relative_to(self, folder: Path) -> TrainConfig:
        """The same configuration with its relative paths joined to a folder."""
        values = self.to_dict()
        for key in SOURCES:
            values["data"][key] = [
                source_of(entry).relative_to(folder)
                if isinstance(entry, Source | Generated) or entry == EASY_VQA
                else str(folder / entry)
                for entry in getattr(self.data, key)
            ]
        values["data"]["images"] = [str(folder / entry) for entry in self.data.images]
        values["output"] = str(folder / self.output)
        if isinstance(self.model.pretrained, str):
            values["model"]["pretrained"] = str(folder / self.model.pretrained)
        for key in ("init_from", "encoder_from"):
            if given := getattr(self.training, key):
                values["training"][key] = str(folder / given)
        return TrainConfig.from_dict(values)


def _section(kind: type[T], name: str, values: Any) -> T:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} must be a table, not {values!r}")
    entries = fields(kind)  # type: ignore[arg-type]
    known = {entry.name for entry in entries}
    if unknown := sorted(set(values) - known):
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
        raise ConfigError(f"{name} has the unknown key {unknown[0]!r}; {hint}")
    needed = [
        entry.name for entry in entries if entry.default is MISSING and entry.default_factory is MISSING
    ]
    if absent := [key for key in needed if key not in values]:
        raise ConfigError(f"{name} lacks the key {absent[0]!r}")
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        made = kind(**plain)
    except TypeError as error:
        check_types(kind, name, plain)  # says it better
        raise ConfigError(f"{name}: {error}") from error
    check_types(kind, name, plain)
    return made


def _check_specs(config: TrainConfig) -> None:
    """Refuses now what no bundle could hold later: its rules are the manifest's."""
    plain = json.loads(json.dumps(config.to_dict()))
    try:
        image_spec(plain["image"], "[image]")
        search_defaults(plain["search"], "[search]")
        check_name(config.name, "the name at the top of the file")
    except BundleError as error:
        raise ConfigError(str(error)) from error
