"""Captioned pictures that a function of the user's own draws: a source without files, new in every epoch.

Each draw is a function of (seed, epoch, index): the same in whichever process it is made, and again when a
run that was stopped goes on.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.core.extras import require_cv2

MAX_SIDE = 4096
"""The largest side of a picture, as of the pictures that a bundle takes."""

Draw = Callable[[int, np.random.Generator], Any]


@dataclass(frozen=True)
class Generated:
    """A source whose pictures and captions are drawn.

    Attributes:
        generator: ``FILE.py:NAME``. NAME is a function, called as ``NAME(index, random, **options)``, or a
            class, made once in each process as ``NAME(**options)`` and called as ``(index, random)``. Both
            give (picture, caption): uint8 (H, W, 3) RGB or (H, W) grey, or a function of no arguments that
            draws it when it is needed; and a text. The file's folder can be imported from, as a script's.
        count: how many there are in an epoch.
        seed: what ``random`` is seeded with, with the epoch and the index.
        options: keyword arguments, of plain values.
    """

    generator: str
    count: int
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        file, colon, name = str(self.generator).rpartition(":")
        if not isinstance(self.generator, str) or not colon or not file or not name.isidentifier():
            raise ConfigError(
                f'generator = {self.generator!r} must be a file and what to call in it, as "lines.py:lines"'
            )
        for key, least in (("count", 1), ("seed", 0)):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
                raise ConfigError(f"{self.generator}: {key} = {value!r} must be from {least} to {2**31 - 1}")
        if not isinstance(self.options, Mapping):
            raise ConfigError(f"{self.generator}: options = {self.options!r} must be a table")

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Generated:
        """A table with the attributes as keys.

        Raises:
            ConfigError: a key is unknown or missing, or a value is out of range.
        """
        known = [entry.name for entry in fields(cls)]
        if unknown := sorted(set(value) - set(known)):
            raise ConfigError(
                f"a generator has the unknown key {unknown[0]!r}; known are {', '.join(known)}; what the "
                "function itself takes belongs into options"
            )
        if "count" not in value:
            raise ConfigError(f"the generator {value['generator']!r} lacks the key 'count'")
        return cls(**value)

    @property
    def file(self) -> Path:
        """Where the function is."""
        return Path(self.generator.rpartition(":")[0])

    @property
    def name(self) -> str:
        """What it is called there."""
        return self.generator.rpartition(":")[2]

    def __str__(self) -> str:
        return f"{self.file.name}:{self.name}"

    def relative_to(self, folder: Path) -> Generated:
        """The same source with its relative path joined to a folder."""
        return replace(self, generator=f"{folder / self.file}:{self.name}")

    def draw(self, epoch: int, index: int) -> tuple[Callable[[], NDArray[np.uint8]], str]:
        """The draw of an epoch: what gives its picture (H, W, 3) uint8 RGB, and its caption.

        Raises:
            ConfigError: the file or the function cannot be loaded.
            DataError: it failed, or gave something else.
        """
        made = _loaded(self.generator, json.dumps(dict(self.options), sort_keys=True))
        given = self._call(made, index, index, np.random.default_rng((self.seed, epoch, index)))
        if not isinstance(given, tuple) or len(given) != 2:
            raise self._wrong(index, f"gave {_said(given)} in the place of (picture, caption)")
        picture, caption = given
        if not isinstance(caption, str) or not caption.strip():
            raise self._wrong(
                index, f"gave the caption {caption!r}, which has to be a text that says something"
            )
        return lambda: self._checked(picture, index), caption.strip()

    def _checked(self, picture: Any, index: int) -> NDArray[np.uint8]:
        array = self._call(picture, index) if callable(picture) else picture
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
            raise self._wrong(index, f"gave the picture {_said(array)}, which has to be a uint8 array")
        if array.ndim == 2:
            array = np.repeat(array[..., None], 3, axis=2)
        if (
            array.ndim != 3
            or array.shape[2] != 3
            or not 1 <= min(array.shape[:2]) <= max(array.shape[:2]) <= MAX_SIDE
        ):
            raise self._wrong(
                index,
                f"gave a picture of the shape {array.shape}, which has to be (H, W, 3) or (H, W) with sides "
                f"from 1 to {MAX_SIDE}",
            )
        return array

    def _call(self, function: Callable[..., Any], index: int, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise self._wrong(index, f"failed with {type(error).__name__}: {error}{_place(error)}") from error

    def _wrong(self, index: int, said: str) -> DataError:
        return DataError(f"{self.file}: {self.name}, asked for index {index}, {said}")


@dataclass(frozen=True)
class GeneratedPicture:
    """One of a generator's pictures. As a file of its own it is that of the epoch 0."""

    source: Generated
    index: int

    def __str__(self) -> str:
        return f"{self.source}[{self.index}]"

    @property
    def name(self) -> str:
        """As a file of this format would be called."""
        return f"{self.source.name}-{self.index}.png"

    def read_bytes(self) -> bytes:
        """The picture as PNG, as it is drawn in epoch 0.

        Raises:
            DataError: as :meth:`Generated.draw`.
        """
        picture, _ = self.source.draw(0, self.index)
        return bytes(require_cv2().imencode(".png", picture()[..., ::-1])[1])


@functools.lru_cache(maxsize=16)
def _loaded(generator: str, options: str) -> Draw:
    """What draws, loaded once a process."""
    path, _, name = generator.rpartition(":")
    file, values = Path(path), json.loads(options)
    found = getattr(_module(file), name, None)
    if not callable(found):
        raise ConfigError(f"{file} has no function or class {name!r}; mend the generator {generator!r}")
    if not isinstance(found, type):
        return functools.partial(found, **values)
    try:
        made = found(**values)
    except Exception as error:
        raise ConfigError(
            f"{file}: {name}(**{values}) failed with {type(error).__name__}: {error}{_place(error)}"
        ) from error
    if not callable(made):
        raise ConfigError(f"{file}: {name} has no method __call__(index, random), by which a class draws")
    return made


@functools.lru_cache(maxsize=16)
def _module(file: Path) -> Any:
    if not file.is_file():
        raise ConfigError(f"there is no {file} to generate pictures with; mend the generator")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    name = f"generator_{sha256(str(file.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is no Python file; a generator's name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(
            f"{file} cannot be loaded: {type(error).__name__}: {error}{_place(error)}"
        ) from error
    return module


def _place(error: BaseException) -> str:
    """Where in the user's own file it happened: the last line that ran."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        "" if trace is None else f" ({Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"
    )


def _said(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
