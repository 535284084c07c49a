"""Strict reading of a JSON object: an error names the key, what stood there and what may."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from cnnrnn.core.errors import BundleError

Value = TypeVar("Value")


class Fields:
    """One JSON object that is read key by key, and knows where it stands in its file.

    Args:
        value: what the JSON held at this place.
        where: how an error names the place, such as ``"manifest.json: image"``.
        keys: every key that may stand here; another one is refused.

    Raises:
        BundleError: the value is not an object, or holds an unknown key.
    """

    def __init__(self, value: Any, where: str, keys: tuple[str, ...] | None = None) -> None:
        if not isinstance(value, dict):
            raise BundleError(f"{where} is {_shown(value)}; an object is needed")
        self.where = where
        self._values: dict[str, Any] = value
        for key in value if keys is not None else ():
            if key not in (keys or ()):
                close = difflib.get_close_matches(key, keys or (), n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(keys or ())}"
                raise BundleError(f"{where} has an unknown key {key!r}{hint}")

    def get(self, key: str) -> Any:
        """The value at ``key``, which has to be there."""
        if key not in self._values:
            raise BundleError(f"{self.where} lacks {key!r}")
        return self._values[key]

    def place(self, key: str) -> str:
        """How an error names the place of ``key``."""
        return f"{self.where}.{key}"

    def read(self, key: str, read: Callable[[Any, str], Value]) -> Value:
        """The value at ``key``, read by ``read(value, place)``."""
        return read(self.get(key), self.place(key))

    def optional(self, key: str, read: Callable[[Any, str], Value]) -> Value | None:
        """As `read`; None where the key is absent, or null."""
        return None if self._values.get(key) is None else self.read(key, read)

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise BundleError(f"{self.place(key)} is {_shown(value)}; a string is needed")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in allowed:
            raise BundleError(f"{self.place(key)} is {value!r}; known are {', '.join(allowed)}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        return integer(self.get(key), self.place(key), low, high)

    def number(self, key: str) -> float:
        return number(self.get(key), self.place(key))

    def items(
        self, key: str, read: Callable[[Any, str], Value], count: int | None = None
    ) -> tuple[Value, ...]:
        """The list at ``key``, each of its values read by ``read(value, place)``."""
        value = self.get(key)
        if not isinstance(value, list) or (count is not None and len(value) != count):
            wanted = "a list" if count is None else f"a list of {count}"
            raise BundleError(f"{self.place(key)} is {_shown(value)}; {wanted} is needed")
        return tuple(read(item, f"{self.place(key)}[{index}]") for index, item in enumerate(value))

    def table(self, key: str, read: Callable[[Any, str], Value]) -> dict[str, Value]:
        """The object at ``key`` with free keys, each of its values read by ``read(value, place)``."""
        inner = Fields(self.get(key), self.place(key))
        return {name: read(value, inner.place(name)) for name, value in inner._values.items()}

    def free(self, key: str) -> dict[str, Any]:
        """The object at ``key``, of any content."""
        return dict(Fields(self.get(key), self.place(key))._values)


def integer(value: Any, where: str, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``, or a BundleError that names ``where``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BundleError(f"{where} is {_shown(value)}; an integer from {low} to {high} is needed")
    return value


def number(value: Any, where: str) -> float:
    """A finite number, or a BundleError that names ``where``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BundleError(f"{where} is {_shown(value)}; a finite number is needed")
    return float(value)


def parse(data: bytes, where: str) -> Any:
    """The JSON document in ``data``; duplicate keys, NaN and infinities are refused.

    Raises:
        BundleError: not UTF-8, not JSON, nested too deeply, or with a duplicate key.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return table

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not valid JSON: {error}") from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
