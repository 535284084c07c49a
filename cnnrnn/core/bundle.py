"""A bundle: the folder that export writes and the runtime reads.

    emoji/
        manifest.json     what everything is, with the size and SHA-256 of each file
        tokenizer.json
        fp32/encoder.onnx, fp32/step.onnx, ...
        select/beam5.onnx, ...

A bundle may come from anywhere, so nothing in it is trusted: paths stay inside the folder, sizes are
compared before a byte is read, and each file's hash before it is used.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cnnrnn.core.errors import BundleError, OptionsError, StorageError, UnknownBundleError
from cnnrnn.core.manifest import FileRecord, Manifest
from cnnrnn.core.onnx_weights import inline_weights
from cnnrnn.core.samples import package_data
from cnnrnn.core.storage import atomic_folder
from cnnrnn.core.tokenizer import Tokenizer

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
QUESTION_TOKENIZER = "question_tokenizer.json"
MAX_MANIFEST_BYTES = 8 * 1024**2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder and its manifest. It holds no open file."""

    folder: Path
    manifest: Manifest
    verify: bool = True

    @staticmethod
    def open(path_or_name: str | Path, verify: bool = True) -> Bundle:
        """Open a bundle's folder, or a shipped bundle by its name (a folder of that name goes first).

        Args:
            path_or_name: a folder that holds ``manifest.json``, or a name of `shipped_bundles`.
            verify: compare each file's SHA-256 when it is read; sizes are compared either way.

        Raises:
            UnknownBundleError: no such folder and no such name.
            BundleError: the manifest is not valid, or a file is missing, of another size, or escapes.
        """
        folder = _find(path_or_name)
        data = _read_limited(folder / MANIFEST, MAX_MANIFEST_BYTES)
        bundle = Bundle(folder, Manifest.from_json(data, str(folder / MANIFEST)), verify)
        bundle._check_files()
        return bundle

    def read(self, relative: str) -> bytes:
        """The bytes of one file that the manifest lists.

        Raises:
            BundleError: it is not listed, is missing, or its size or SHA-256 is not the manifest's.
        """
        record = self.manifest.files.get(relative)
        if record is None:
            raise BundleError(f"{self.folder / MANIFEST} lists no file {relative!r}")
        path = self._inside(relative)
        data = _read_limited(path, record.bytes)
        if len(data) != record.bytes:
            raise BundleError(_size_message(path, len(data), record.bytes))
        if self.verify:
            digest = hashlib.sha256(data).hexdigest()
            if digest != record.sha256:
                raise BundleError(
                    f"{path} was altered: its SHA-256 is {digest[:16]}..., the manifest says "
                    f"{record.sha256[:16]}... Copy or export the bundle again."
                )
        return data

    def graph(self, relative: str) -> bytes:
        """The ONNX bytes of a graph, with its weights inside wherever the bundle stores them.

        Raises:
            BundleError: as `read`, or a weight's place is not in the bundle.
        """
        return inline_weights(self.read(relative), str(PurePosixPath(relative).parent), self.read, relative)

    def tokenizer(self) -> Tokenizer:
        """The bundle's tokenizer, checked against the manifest's vocabulary.

        Raises:
            BundleError: a token's id, or the size, is not what the manifest says.
        """
        tokenizer = Tokenizer.from_json(self.read(TOKENIZER))
        said = self.manifest.vocabulary
        pairs = (
            ("size", tokenizer.size, said.size),
            ("pad", tokenizer.pad, said.pad),
            ("start", tokenizer.start, said.start),
        )
        for name, found, wanted in pairs:
            if found != wanted:
                raise BundleError(
                    f"{self.folder / TOKENIZER}: {name} is {found}, the manifest's vocabulary.{name} {wanted}"
                )
        return tokenizer

    def question_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of questions, where the bundle is asked any.

        Raises:
            BundleError: its size, or a token's id, is not what the manifest says.
        """
        said = self.manifest.question
        if said is None:
            return None
        tokenizer = Tokenizer.from_json(self.read(said.tokenizer))
        if (tokenizer.size, tokenizer.pad) != (said.size, said.pad):
            raise BundleError(
                f"{self.folder / said.tokenizer}: size and pad are {tokenizer.size} and {tokenizer.pad}, the "
                f"manifest's question has {said.size} and {said.pad}"
            )
        return tokenizer

    def _check_files(self) -> None:
        listed, question = self.manifest.files, self.manifest.question
        graphs = [graph for pair in self.manifest.precisions.values() for graph in pair.values()]
        used = [graph.file for graph in (*graphs, *self.manifest.select.values())]
        for name in (TOKENIZER, *([] if question is None else [question.tokenizer]), *used):
            if name not in listed:
                raise BundleError(f"{self.folder / MANIFEST} uses {name!r}, which its files do not list")
        for relative, record in listed.items():
            path = self._inside(relative)
            if not path.is_file():
                raise BundleError(f"{path} is missing; copy or export the bundle again")
            size = path.stat().st_size
            if size != record.bytes:
                raise BundleError(_size_message(path, size, record.bytes))

    def _inside(self, relative: str) -> Path:
        """The path of a bundle's file, which has to lie inside the folder, symbolic links followed."""
        parts = PurePosixPath(relative).parts
        bad = (
            not parts
            or relative.startswith("/")
            or ".." in parts
            or any(sign in relative for sign in "\\:\0")
        )
        path = self.folder if bad else self.folder.joinpath(*parts)
        root = self.folder.resolve()
        if bad or root not in path.resolve().parents:
            raise BundleError(
                f"{self.folder / MANIFEST}: file {relative!r} lies outside the bundle; it is refused"
            )
        return path


def shipped_bundles() -> list[str]:
    """The names of the bundles that came with the package, sorted."""
    folder = package_data("bundles")
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / MANIFEST).is_file())


def write_bundle(target: str | Path, manifest: Manifest, files: dict[str, bytes]) -> Bundle:
    """Write a bundle in one piece: a kill or a full disk leaves what stood at ``target`` as it was.

    Args:
        target: the folder to make. An existing bundle there is replaced; any other folder that holds
            something is refused.
        manifest: its ``files`` are filled in here.
        files: the bytes of each file but the manifest, by path relative to the folder.

    Raises:
        OptionsError: ``target`` is something other than a bundle or an empty folder.
        BundleError: the manifest and the files do not fit together.
        StorageError: the disk is full or not writable.
    """
    folder = Path(target)
    check_target(folder)
    records = {
        name: FileRecord(hashlib.sha256(data).hexdigest(), len(data)) for name, data in sorted(files.items())
    }
    complete = replace(manifest, files=records)
    text = complete.to_json().encode()
    with atomic_folder(folder) as temporary:
        for name, data in files.items():
            path = Bundle(temporary, complete)._inside(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (temporary / MANIFEST).write_bytes(text)
        Bundle.open(temporary)
    _log.info("wrote bundle %s: %d files, %d bytes", folder, len(files), sum(map(len, files.values())))
    return Bundle.open(folder)


def check_target(target: str | Path) -> None:
    """Refuse to replace what is not a bundle; to be called before the expensive work.

    Raises:
        OptionsError: ``target`` is a file, or a folder that holds something but no ``manifest.json``.
        StorageError: it cannot be looked at.
    """
    folder = Path(target)
    try:
        taken = folder.exists() and (
            not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST).is_file())
        )
    except OSError as error:
        raise StorageError(f"cannot look at {folder}: {error.strerror}") from error
    if taken:
        raise OptionsError(
            f"{folder} exists and is not a bundle, so it is not replaced; give another folder or remove it"
        )


def _find(path_or_name: str | Path) -> Path:
    folder = Path(path_or_name)
    if (folder / MANIFEST).is_file():
        return folder
    name = str(path_or_name)
    if name in shipped_bundles():
        return package_data("bundles") / name
    shipped = ", ".join(shipped_bundles()) or "none"
    if folder.is_dir():
        raise BundleError(f"{folder} holds no {MANIFEST}, so it is not a bundle; shipped by name: {shipped}")
    if folder.is_file():
        checkpoint = "; a checkpoint becomes one by: cnnrnn export CHECKPOINT BUNDLE"
        raise UnknownBundleError(
            f"{name!r} is a file, and a bundle is a folder{checkpoint if folder.suffix == '.pt' else ''}; "
            f"shipped by name: {shipped}"
        )
    raise UnknownBundleError(
        f"no bundle {name!r}: there is no such folder, and shipped by name are: {shipped}"
    )


def _read_limited(path: Path, most: int) -> bytes:
    """At most ``most + 1`` bytes of a file, so that one that grew is noticed and never swallowed."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > most:
        raise BundleError(f"{path} is larger than the {most} bytes allowed; copy or export the bundle again")
    return data


def _size_message(path: Path, found: int, wanted: int) -> str:
    return f"{path} has {found} bytes, the manifest says {wanted}; copy or export the bundle again"
