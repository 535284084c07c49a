"""`cnnrnn eval --card`: a bundle's model card in Markdown, of what was measured and what the bundle says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cnnrnn
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.storage import write_atomic


def write_card(
    target: Path,
    manifest: Manifest,
    rows: Sequence[Sequence[str]],
    judged: Mapping[str, str],
    notes: str = "",
) -> None:
    """Write the card in one piece.

    Args:
        target: the file to write; one that is there is replaced.
        manifest: of the bundle.
        rows: the table of scores, its head first.
        judged: what the scores are of, name to value: the data, the search, the command.
        notes: Markdown that goes below: what neither the scores nor the bundle know.

    Raises:
        StorageError: the file cannot be written; what stood there stands there still.
    """
    sections = [
        f"# Model card: `{manifest.name}`",
        manifest.summary,
        _table([("", ""), *_bundle(manifest)]),
        "## How good it is",
        _table(rows),
        _table([("", ""), *judged.items()]),
        "## Data",
        _table([("", ""), *_data(manifest.provenance.get("training", {}).get("data", {}))])
        if "training" in manifest.provenance
        else "The bundle does not say what it was trained on.",
        "## Precisions and parity",
        *_parity(manifest.parity),
        notes.strip(),
        f"Written by `cnnrnn eval --card`, cnnrnn {cnnrnn.__version__}.",
    ]
    write_atomic(target, ("\n\n".join(section for section in sections if section) + "\n").encode())


def _bundle(manifest: Manifest) -> Iterator[tuple[str, str]]:
    image = manifest.image
    yield (
        "task",
        {"caption": "captions", "vqa": "answers to questions", "read": "the text of a line"}[manifest.task],
    )
    yield "licence", manifest.license or "not stated"
    yield "picture", f"{image.height} × {image.width} pixels, {image.resize}"
    yield "vocabulary", f"{manifest.vocabulary.size} tokens"
    if manifest.question is not None:
        yield "questions", f"up to {manifest.question.max_length} of {manifest.question.size} tokens"
    yield "size", f"{sum(file.bytes for file in manifest.files.values()) / 2**20:.1f} MiB"
    training = manifest.provenance.get("training", {})
    if model := training.get("model"):
        yield "model", ", ".join(_said(name, value) for name, value in model.items() if _counts(value))
    if training:
        epochs = manifest.provenance.get("progress", {}).get("epoch")
        yield "training", f"{epochs} epochs, seed {training.get('seed')}"


def _data(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in ("train", "validation", "test"):
        if sources := data.get(part):
            yield part, ", ".join(map(_source, sources))
    if not data.get("validation") and data.get("validation_share"):
        yield "validation", f"{100 * data['validation_share']:g} % of the pictures of train"
    if "allow_leaks" in data:  # which older recipes say nothing of
        kept = "allowed" if data["allow_leaks"] else "refused, by their content"
        yield "pictures in two of these", kept


def _source(source: Any) -> str:
    if isinstance(source, str):
        return source
    split = f" ({', '.join(source['split'])})" if source.get("split") else ""
    return f"{source['path']}{split}"


def _parity(parity: Mapping[str, Any]) -> Iterator[str]:
    if "searches" not in parity:
        return
    rows: list[Sequence[str]] = [("precision", "beam", "answers", "as the measure", "numerical ties")]
    rows += _searches("fp32, beside torch", parity["searches"])
    for name, report in (parity.get("precisions") or {}).items():
        rows += _searches(f"{name}, beside fp32", report["runs"]["stored"]["searches"])
    yield _table(rows)
    if storage := parity.get("storage"):
        yield (
            f"Weights are stored as {storage['weight_storage']}: that left {storage['same_caption']} of "
            f"{storage['pictures']} greedy answers as they were."
        )


def _searches(name: str, searches: Sequence[Mapping[str, Any]]) -> list[Sequence[str]]:
    return [
        (
            name if number == 0 else "",
            str(search["beams"]),
            str(search["pictures"]),
            str(search["identical"]),
            str(len(search["ties"])),
        )
        for number, search in enumerate(searches)
    ]


def _counts(value: object) -> bool:
    return value not in (False, 0, "", "none", None)


def _said(name: str, value: object) -> str:
    return name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {value}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *others = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    lines = [head, " | ".join("---" for _ in rows[0]), *others]
    return "\n".join(f"| {line} |" for line in lines)
