"""Whether the values of a configuration are of the types that its dataclasses say."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cnnrnn.core.errors import ConfigError

_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text, in quotes",
}


def check_types(kind: type, section: str, values: Mapping[str, Any]) -> None:
    """Refuses the first value of another type than its field's.

    Args:
        kind: a dataclass.
        section: what the values are called in a message.
        values: by the fields' names.

    Raises:
        ConfigError: naming the key, the value and what may stand there.
    """
    hints = get_type_hints(kind)
    for key, value in values.items():
        if not _fits(value, hints[key]):
            raise ConfigError(f"{section} {key} = {value!r} must be {_said(hints[key])}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        if inner[-1] is Ellipsis:
            return all(_fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if is_dataclass(hint):
        return isinstance(value, Mapping | hint)  # a table has its own check
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _said(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        return ", or ".join(map(_said, inner))
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return "a list"
        return f"a list of {len(inner)}, each {_said(inner[0])}"
    return _PLAIN.get(hint, "a table")
