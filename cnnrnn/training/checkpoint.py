"""Checkpoints: plain tensors and values, read with ``weights_only=True``, written in one rename."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cnnrnn.core.errors import CheckpointError, ConfigError
from cnnrnn.core.manifest import CtcSpec, ImageSpec, SearchDefaults
from cnnrnn.core.storage import write_atomic
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import QuestionVocabulary
from cnnrnn.models import LineReader, Model, build_model
from cnnrnn.training.config import TrainConfig

FORMAT = "cnnrnn-checkpoint"
VERSION = 1


@dataclass(frozen=True)
class LoadedModel:
    """A trained model and all that its export needs.

    Attributes:
        model: in eval mode.
        alignment_grid: (rows, columns) of the positions that attention chooses between, or None.
        questions: how questions are read, of a model that answers some.
        asked: some of the questions that it was trained on.
        ctc: of a model that reads a line along its columns; the search then has as many as there are.
        provenance: the training configuration and the metrics at the time of the checkpoint.
    """

    model: Model
    tokenizer: Tokenizer
    image: ImageSpec
    search: SearchDefaults
    alignment_grid: tuple[int, int] | None
    name: str
    summary: str
    license: str
    provenance: dict[str, Any]
    notice: str = ""
    sections: tuple[str, ...] = ()
    questions: QuestionVocabulary | None = None
    asked: tuple[str, ...] = ()
    ctc: CtcSpec | None = None


def save_checkpoint(content: dict[str, Any], *paths: str | Path) -> None:
    """Writes a checkpoint; a kill or a full disk leaves the old files whole.

    Args:
        content: tensors and plain values alone.
        paths: the files, in this order.

    Raises:
        StorageError: the disk is full or the folder is not writable.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, **content}, buffer)
    data = buffer.getvalue()
    for path in paths:
        write_atomic(path, data)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint of ours; no code in the file is run.

    Raises:
        CheckpointError: it is missing, cut short, not a checkpoint of ours, or holds more than tensors.
    """
    path = Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} is damaged, or not a checkpoint of 'cnnrnn train'; give a run's last.pt or best.pt"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a torch file, but not a checkpoint of 'cnnrnn train'")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has checkpoint version {content.get('version')!r} and this package reads {VERSION}; "
            "use the package that wrote it"
        )
    return content


def load_model(path: str | Path) -> LoadedModel:
    """Builds the model of a checkpoint, without fetching any pre-trained weights.

    Raises:
        CheckpointError: see :func:`read_checkpoint`, or its weights do not fit its configuration.
    """
    content = read_checkpoint(path)
    try:
        config = TrainConfig.from_dict(content["config"])
        tokenizer = Tokenizer.from_json(content["tokenizer"])
        questions, size = None, None
        if config.model.question != "none":
            asked = Tokenizer.from_json(content["question_tokenizer"])
            questions, size = QuestionVocabulary(asked, config.data.max_question), asked.size
        model = build_model(config.model, tokenizer.size, size, load_pretrained=False)
        model.load_state_dict(content["model"])
    except (KeyError, ConfigError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path}: the configuration and the weights do not fit each other: {first}"
        ) from error
    model.eval()
    grid = (
        model.encoder.grid(config.image.height, config.image.width)
        if config.model.attention != "none"
        else None
    )
    search, ctc = config.search, None
    if isinstance(model, LineReader):
        _, columns = model.encoder.grid(config.image.height, config.image.width)
        search = replace(search, max_length=columns, min_length=0, length_penalty=0.0)
        ctc = CtcSpec(tokenizer.pad)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        image=config.image,
        search=search,
        ctc=ctc,
        alignment_grid=grid,
        name=config.name,
        summary=config.summary,
        license=config.license,
        notice=config.notice,
        sections=config.sections,
        provenance=_provenance(content),
        questions=questions,
        asked=tuple(content.get("questions", ())),
    )


def _last_part(source: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(source, str):
        return Path(source).name
    if "generator" in source:
        options = {
            key: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
            for key, value in source["options"].items()
        }
        return {**source, "generator": Path(source["generator"]).name, "options": options}
    images = [Path(folder).name for folder in source["images"]]
    return {**source, "path": Path(source["path"]).name, "images": images}


def _provenance(content: dict[str, Any]) -> dict[str, Any]:
    """The configuration and progress, with the last part alone of every path: a bundle travels."""
    config = {key: value for key, value in content["config"].items() if key != "output"}
    config["data"] = {
        key: [_last_part(entry) for entry in value] if isinstance(value, list) else value
        for key, value in config["data"].items()
    }
    if isinstance(pretrained := config["model"]["pretrained"], str):
        config["model"] = {**config["model"], "pretrained": Path(pretrained).name}
    for key in ("init_from", "encoder_from"):
        if given := config["training"].get(key):
            config["training"] = {**config["training"], key: Path(given).name}
    progress = {key: content.get("progress", {}).get(key) for key in ("epoch", "batch")}
    return {"training": config, "progress": progress}
