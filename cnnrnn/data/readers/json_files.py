"""Caption files in JSON: ``captions.json``, COCO's and nocaps', and Karpathy's splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers.sample import Entry


def captions_entries(file: Path, content: Any) -> Iterator[Entry]:
    """``{"a.png": "a cat", "b.png": ["a dog", "one dog"]}``, or by language ``{"a.png": {"de": "Tor"}}``."""
    if not isinstance(content, dict):
        raise DataError(f"{file} must hold an object: file names to captions, or images with annotations")
    for name, captions in content.items():
        where = f"key {name!r}"
        if isinstance(captions, dict):
            pairs = [(code, text) for code, texts in captions.items() for text in _listed(texts)]
            texts, codes = tuple(text for _, text in pairs), tuple(code for code, _ in pairs)
            yield Entry(where, (name,), texts, languages=codes)
        else:
            yield Entry(where, (name,), tuple(_listed(captions)))


def _listed(captions: Any) -> list[Any]:
    return captions if isinstance(captions, list) else [captions]


def coco_entries(file: Path, content: Any) -> Iterator[Entry]:
    """COCO's ``captions_*.json`` (Lin et al. 2014) and nocaps' (Agrawal et al. 2019).

    nocaps' images have a domain, which is their split. Pictures come in the order of
    their first annotation, those without one at the end.
    """
    try:
        images: dict[Any, tuple[str, str, str]] = {}
        for number, image in enumerate(content["images"]):
            where = f"images[{number}]"
            if image["id"] in images:
                raise DataError(
                    f"{file}: {where} has the id {image['id']!r}, which {images[image['id']][0]} has too; "
                    "an id is one picture's"
                )
            images[image["id"]] = (where, _name(file, where, image["file_name"]), image.get("domain", ""))
        captions: dict[Any, list[object]] = {}
        seen: dict[Any, int] = {}
        for number, annotation in enumerate(content["annotations"]):
            where, identity = f"annotations[{number}]", annotation.get("id")
            if identity is not None and seen.setdefault(identity, number) != number:
                raise DataError(
                    f"{file}: {where} has the id {identity!r}, which annotations[{seen[identity]}] has too"
                )
            if annotation["image_id"] not in images:
                raise DataError(
                    f"{file}: {where} is about the image {annotation['image_id']!r}, and images has none "
                    "of this id"
                )
            captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not COCO captions JSON: an entry lacks or misnames {error}") from error
    for identity in [*captions, *(identity for identity in images if identity not in captions)]:
        where, name, domain = images[identity]
        yield Entry(where, (name,), tuple(captions.get(identity, ())), domain)


def karpathy_entries(file: Path, content: Any) -> Iterator[Entry]:
    """``dataset_coco.json`` and its like (Karpathy & Fei-Fei 2015): images with a split and sentences.

    COCO's pictures are in ``filepath``, a folder, or all in one. A sentence is its ``raw`` text; where there
    is none, its ``tokens``.
    """
    seen: dict[Any, str] = {}
    try:
        for number, image in enumerate(content["images"]):
            where = f"images[{number}]"
            identity = image.get("cocoid", image.get("imgid"))
            if identity is not None and seen.setdefault(identity, where) != where:
                raise DataError(
                    f"{file}: {where} has the id {identity!r}, which {seen[identity]} has too; "
                    "an id is one picture's"
                )
            name = _name(file, where, image["filename"])
            names = (f"{image['filepath']}/{name}", name) if image.get("filepath") else (name,)
            captions = tuple(
                sentence["raw"] if "raw" in sentence else " ".join(sentence["tokens"])
                for sentence in image["sentences"]
            )
            yield Entry(where, names, captions, image["split"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not Karpathy's JSON: an entry lacks or misnames {error}") from error


def _name(file: Path, where: str, name: object) -> str:
    if not isinstance(name, str):
        raise DataError(f"{file}: {where}: the file name {name!r} is not text; put it in quotes")
    return name
