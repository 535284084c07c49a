"""A source of captioned pictures as a configuration names it: a path, or a table with one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import ConfigError
from cnnrnn.data.readers.generated import Generated

KINDS = {
    "captions": "captions.json: file name to a caption, a list of them, or these by language",
    "csv": "a table with the columns image and caption, and perhaps language",
    "coco": "COCO's captions JSON",
    "nocaps": "nocaps' captions JSON, whose splits are its domains",
    "karpathy": "Karpathy's dataset_coco.json, dataset_flickr8k.json or dataset_flickr30k.json",
    "studies": "R2Gen's annotation.json: reports of studies of one or more views (IU X-Ray, MIMIC-CXR)",
    "flickr_token": "Flickr8k.token.txt or results_20130124.token: picture#number, a tab, the caption",
    "flickr_csv": "Flickr30k's results.csv, with | between the columns",
    "conceptual": "Conceptual Captions' table: the caption, a tab, the picture's address",
    "webdataset": "tar shards: pictures beside .txt or .json by key",
    "vqa": "VQA v2's questions JSON, with the annotations JSON beside it",
    "vqa_csv": "a table with the columns image, question and answer",
    "easy_vqa": "a folder with images and questions.json: [question, answer, number of the picture]",
}
"""The kinds of source, each with what it is."""


EASY_VQA = "easy-vqa"
"""The name of the data set that the package ``easy-vqa`` holds, with the splits ``train`` and ``test``."""


@dataclass(frozen=True)
class Source:
    """Where captioned pictures are, or pictures with questions and answers.

    Attributes:
        path: a file, a folder with ``captions.json`` or with shards, or a pattern of shards such as
            ``shards/{0000..0099}.tar`` or ``shards/*.tar``; or :data:`EASY_VQA`.
        kind: one of :data:`KINDS`, or ``"auto"`` to recognise it by its content.
        split: the part, or parts, of the data set to take; empty for all. For ``flickr_token`` and
            ``flickr_csv`` also the name of a list of pictures beside the file.
        images: folders to look for the pictures in, in the place of the configuration's own.
    """

    path: str
    kind: str = "auto"
    split: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise ConfigError(f"a source's path = {self.path!r} must be a file, a folder or shards")
        if self.kind != "auto" and self.kind not in KINDS:
            near = difflib.get_close_matches(str(self.kind), KINDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"{self.path}: kind = {self.kind!r} must be auto or one of {', '.join(KINDS)}{hint}"
            )
        for name in ("split", "images"):
            value = getattr(self, name)
            value = (value,) if isinstance(value, str) else tuple(value)
            if not all(isinstance(entry, str) and entry for entry in value):
                raise ConfigError(f"{self.path}: {name} = {value!r} must be a name or a list of names")
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, value: Any) -> Source:
        """A path, a table with the attributes as keys, or a source, as a source.

        Raises:
            ConfigError: it is neither, or a key is unknown.
        """
        if isinstance(value, Source):
            return value
        if isinstance(value, (str, Path)):
            return cls(str(value))
        if not isinstance(value, Mapping):
            raise ConfigError(
                f'{value!r} must be a path, or a table such as {{ path = "train", split = "train" }}'
            )
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(value) - set(known)):
            raise ConfigError(f"a source has the unknown key {unknown[0]!r}; known are {', '.join(known)}")
        if "path" not in value:
            raise ConfigError(f"the source {dict(value)!r} lacks the key 'path'")
        return cls(**value)

    def relative_to(self, folder: Path) -> Source:
        """The same source with its relative paths joined to a folder."""
        images = tuple(str(folder / entry) for entry in self.images)
        path = self.path if self.path == EASY_VQA else str(folder / self.path)
        return Source(path, self.kind, self.split, images)


def source_of(value: Any) -> Source | Generated:
    """A path, a table, or a source, as a source; a table with ``generator`` is one that is drawn.

    Raises:
        ConfigError: it is none of these, or a key is unknown.
    """
    if isinstance(value, Generated):
        return value
    if isinstance(value, Mapping) and "generator" in value:
        return Generated.of(value)
    return Source.of(value)
