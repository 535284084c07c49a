"""Layout ``ruotianluo``: ImageCaptioning.pytorch, whose captioners read features that a CNN wrote to disk.

``model.pth`` is a state dict of the captioner alone. Its options and words are in ``infos_*.pkl``, a pickle,
which is never read: they are given as JSON. The CNN is given apart, and becomes a part of the encoder: the
``fc`` features are its grid's mean, the ``att`` features its grid pooled to 14 × 14. Features of a detector's
regions cannot be had that way, and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cnnrnn.core.errors import CheckpointError, OptionsError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import END, PAD, START, UNKNOWN
from cnnrnn.export.imports.checkpoint_file import read_tensors
from cnnrnn.export.imports.fitting import Fitted, Source, fit
from cnnrnn.export.imports.imported import IMAGENET_MEAN, IMAGENET_STD, Imported, ImportOptions
from cnnrnn.export.imports.resnet import GridPool, TrunkPlan, grid_of, plan_resnet
from cnnrnn.export.imports.ruotianluo_models import MODELS, Features
from cnnrnn.export.imports.vocabulary import Vocabulary, read_json, words_by_id

AS_JSON = (
    "json.dump({'opt': vars(infos['opt']), 'vocab': infos['vocab']}, open('infos.json', 'w'), default=str)"
)
STYLES = ("caffe", "torchvision")
GRID = (14, 14)
# The program takes pictures as large as they are; this size has 14 × 14 positions without pooling.
IMAGE = ImageSpec(448, 448, IMAGENET_MEAN, IMAGENET_STD, "stretch")

_REGIONS = re.compile(r"bu([^a-z]|$)|bottom.?up|butd", re.IGNORECASE)
_SAMPLING = 20


@dataclass(frozen=True)
class TrainingOptions:
    """What is needed of the program's ``opt``.

    Attributes:
        model: its ``caption_model``, one of `MODELS`.
        given: all of them, by the program's names.
        where: the file, for messages.
    """

    model: str
    given: Mapping[str, Any]
    where: str

    @staticmethod
    def of(content: Any, where: str) -> TrainingOptions:
        """The options in a JSON file: its ``opt``, or the whole of it.

        Raises:
            CheckpointError: it names no captioner that is known, or one of a detector's regions.
        """
        given = content.get("opt", content) if isinstance(content, Mapping) else None
        name = given.get("caption_model") if isinstance(given, Mapping) else None
        if not isinstance(given, Mapping) or not isinstance(name, str):
            raise CheckpointError(
                f"{where} has no caption_model; give the options of the training as JSON, which this makes "
                f"of the pickle where the program is:\n"
                f"    import json, pickle\n"
                f"    infos = pickle.load(open('infos_ID-best.pkl', 'rb'), encoding='latin-1')\n"
                f"    {AS_JSON}"
            )
        options = TrainingOptions({"topdown": "updown"}.get(name, name), given, where)
        options._check()
        return options

    def number(self, name: str, default: int) -> int:
        """A whole number, or what the program takes where there is none."""
        value = self.given.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or value < 0:
            raise CheckpointError(f"{self.where}: {name} is {value!r}; it has to be a whole number from 0 on")
        return int(value)

    @property
    def longest(self) -> int:
        """The most tokens that the program samples."""
        trained = self.number("seq_length", 16)
        if self.model in ("show_tell", "fc"):
            return trained
        return self.number("max_length", _SAMPLING) or trained

    def _check(self) -> None:
        if self.model not in MODELS:
            raise CheckpointError(
                f"{self.where}: caption_model is {self.model!r}; {', '.join(MODELS)} are read"
            )
        options = [f"input_{kind}_dir" for kind in MODELS[self.model].reads]
        folders = {option: Path(str(self.given.get(option) or "")).name for option in options}
        regions = [f"{option} is {name!r}" for option, name in folders.items() if _REGIONS.search(name)]
        if self.number("use_box", 0):
            regions.append("use_box is set")
        if regions:
            raise CheckpointError(
                f"{self.where}: {regions[0]}: this captioner was trained on the regions of a bottom-up "
                "detector, for which there is no CNN to run beside it; give one that was trained on a "
                "ResNet's features"
            )
        if self.number("logit_layers", 1) > 1:
            raise CheckpointError(f"{self.where}: logit_layers is {self.given['logit_layers']}; 1 is read")
        if self.number("num_layers", 1) > 1 and self.model in ("fc", "newfc", "att2in", "att2in2"):
            raise CheckpointError(
                f"{self.where}: num_layers is {self.given['num_layers']}, and {self.model} has 1"
            )


def load(checkpoint: Path, options: ImportOptions) -> Imported:
    """Read a captioner, its options and words, and the CNN of its features.

    Args:
        options: ``vocabulary`` has ``ix_to_word`` (``cocotalk.json``) or ``vocab`` (of the infos) and
            ``options`` has ``opt``; one file may have both. ``cnn`` is the ResNet's state dict, ``cnn_style``
            the place of its strides, ``grid`` the program's ``att_size`` twice.

    Raises:
        OptionsError: a file does not exist, or ``cnn_style`` is none of `STYLES`.
        CheckpointError: a file cannot be read, they do not fit each other, or the model is not one of those.
    """
    assert options.vocabulary is not None, "the layout needs it"
    assert options.cnn is not None, "the layout needs it"
    style = options.cnn_style or STYLES[0]
    if style not in STYLES:
        raise OptionsError(f"cnn_style={style!r} is none of {', '.join(STYLES)}")
    words = read_json(options.vocabulary, "ix_to_word of cocotalk.json, or the infos")
    told = words if options.options is None else read_json(options.options, "the options of the training")
    training = TrainingOptions.of(told, str(options.options or options.vocabulary))
    vocabulary = _vocabulary(words, training, str(options.vocabulary))
    fitted = _captioner(checkpoint, training, vocabulary)
    features = _features(options, style, fitted, checkpoint)
    kind = MODELS[training.model]
    image, grid = options.image(IMAGE), options.grid or GRID
    trunk = features.load()
    pool = GridPool(grid_of(trunk, image.height, image.width), grid)
    reader = Features(trunk, pool, bool(training.number("norm_att_feat", 0)))
    return Imported(
        nn.Module.eval(kind.build(reader, fitted, vocabulary)),
        vocabulary.tokenizer(),
        image,
        SearchDefaults(5, 5, training.longest, min_length=0, length_penalty=0.0),
        grid if "att" in kind.reads else None,
        {"caption_model": training.model, "cnn": options.cnn.name, "cnn_style": style, "sizes": fitted.sizes},
    )


@dataclass(frozen=True)
class _Cnn:
    """A ResNet and its tensors, not yet put together."""

    plan: TrunkPlan
    tensors: dict[str, Tensor]

    def load(self) -> nn.Module:
        return self.plan.load(self.tensors)


def _features(options: ImportOptions, style: str, captioner: Fitted, checkpoint: Path) -> _Cnn:
    assert options.cnn is not None
    where = str(options.cnn)
    given = read_tensors(options.cnn)
    plan = plan_resnet(given, where, caffe=style == "caffe")
    fitted = fit(
        plan.needed,
        given,
        Source(
            where, "Give the state dict of a torchvision ResNet, or of one that was converted from Caffe."
        ),
        optional=plan.optional,
        ignored=r"fc\..*",
    )
    for letter, kind in (("F", "fc"), ("D", "att")):
        wanted = captioner.sizes.get(letter, plan.channels)
        if wanted != plan.channels:
            raise CheckpointError(
                f"{where} gives features of {plan.channels} values and {checkpoint} takes {kind} features of "
                f"{wanted}; give the ResNet whose features it was trained on"
            )
    return _Cnn(plan, fitted.tensors)


def _captioner(checkpoint: Path, training: TrainingOptions, vocabulary: Vocabulary) -> Fitted:
    needed = MODELS[training.model].needed(training.number)
    given = read_tensors(checkpoint)
    embedding = next(iter(needed))
    if (table := given.get(embedding)) is not None:
        vocabulary.check_rows(table.shape[0], embedding, str(checkpoint))
    return fit(
        needed,
        given,
        Source(
            str(checkpoint),
            f"Give the model.pth of a captioner {training.model}, or the options that it was trained with.",
        ),
        optional=[name for name in needed if name.endswith("num_batches_tracked")],
    )


def _vocabulary(content: Any, training: TrainingOptions, where: str) -> Vocabulary:
    """Word 0 is start, end and padding, unless ``opt`` says otherwise."""
    if isinstance(content, Mapping):
        content = content.get("ix_to_word", content.get("vocab", content))
    words = words_by_id(content, where, first=1)
    special = {
        token: training.number(f"{name}_idx", 0)
        for token, name in ((START, "bos"), (END, "eos"), (PAD, "pad"))
    }
    if "UNK" in words:
        special[UNKNOWN] = words.index("UNK") + 1
    return Vocabulary.of(["<0>", *words], special, where)
