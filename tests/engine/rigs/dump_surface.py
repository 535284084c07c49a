"""Prints, as JSON, what a module of TensorRT's Python bindings has: run in a process of its own.

    python dump_surface.py tensorrt_bindings

Enumerations with their members, classes with their bases, properties and the signatures of their methods
(read from the docstrings that pybind11 writes), functions and constants. Layers and plugins are left out:
networks come from the ONNX parser.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from types import ModuleType
from typing import Any

_LEFT_OUT = re.compile(
    r"I\w+Layer$|I?Plugin|IAttention$|ILoop$|IIfConditional$|IExprBuilder|\w*DimensionExpr|DimsExprs|IInt8|"
    r"IAlgorithm|NodeIndices|SubGraphCollection|common_|attr$|value$"
)
_ADDS_LAYERS = re.compile(r"add_(?!input|optimization_profile)")
_SIGNATURE = re.compile(r"^(?:\d+\. )?(\w+)(\(.*\) -> .+)$", re.MULTILINE)
_DEFAULT = re.compile(r"= <[^>]*>|= \d+(?=[,)])")
_WORDS = (
    (re.compile(r"\b(?:\w+\.)*tensorrt(?:_\w+)?\."), ""),
    (re.compile(r"\btyping\.SupportsInt(?: \| typing\.SupportsIndex)?"), "int"),
    (re.compile(r"\btyping\.SupportsFloat(?: \| typing\.SupportsIndex)?"), "float"),
    (re.compile(r"\b(?:typing_extensions|typing|collections\.abc)\."), ""),
    # Names that pybind11 did not know yet when it wrote the docstring.
    (re.compile(r"\b(?:nvinfer1|nvonnxparser)::(?:\w+::)*"), ""),
    (re.compile(r"(?:\w*::)+[\w:<>]+"), "object"),
    (re.compile(r"\bIParserError\b"), "ParserError"),
)


def surface(module: ModuleType) -> dict[str, Any]:
    """Everything public that the module has."""
    made: dict[str, Any] = {
        "version": module.__version__,
        "enums": {},
        "classes": {},
        "functions": {},
        "constants": {},
    }
    for name, item in sorted(vars(module).items()):
        if name.startswith("_") or isinstance(item, ModuleType) or _LEFT_OUT.match(name):
            continue
        if isinstance(item, type):
            _add_class(made, name, item)
        elif callable(item):
            made["functions"][name] = _signatures(item)
        elif type(item).__module__ != "builtins":
            made["constants"][name] = type(item).__name__
    return made


def _add_class(made: dict[str, Any], name: str, item: type) -> None:
    if hasattr(item, "__members__"):
        made["enums"][name] = {key: int(member) for key, member in sorted(item.__members__.items())}
        return
    own = {
        key: value
        for key, value in sorted(vars(item).items())
        if key == "__init__" or not (key.startswith("_") or _ADDS_LAYERS.match(key))
    }
    made["classes"][name] = {
        "bases": [base.__name__ for base in item.__bases__ if not base.__name__.startswith("pybind11")],
        "properties": {key: _property(value) for key, value in own.items() if isinstance(value, property)},
        "methods": {key: _signatures(value) for key, value in own.items() if _is_method(value)},
        "constants": {
            key: type(value).__name__ for key, value in own.items() if hasattr(type(value), "__members__")
        },
    }
    for key, value in own.items():
        if isinstance(value, type):
            _add_class(made, f"{name}.{key}", value)


def _is_method(item: Any) -> bool:
    return callable(item) and not isinstance(item, type)


def _property(item: property) -> str:
    """What reading it gives, behind ``w`` where it can be set."""
    found = re.search(r"-> (.+)$", (item.fget.__doc__ or "") if item.fget else "", re.MULTILINE)
    kind = _short(found.group(1)) if found else "object"
    return f"w {kind}" if item.fset else kind


def _signatures(item: Any) -> list[str]:
    found = [_short(match.group(2)) for match in _SIGNATURE.finditer(item.__doc__ or "")]
    if found:
        return [signature for signature in found if signature != "(*args, **kwargs) -> object"]
    try:
        return [str(inspect.signature(item))]
    except (TypeError, ValueError):
        return []


def _short(signature: str) -> str:
    for pattern, word in _WORDS:
        signature = pattern.sub(word, signature)
    signature = _DEFAULT.sub("= ...", signature)
    return re.sub(r"\((?:self|arg0): \w+(?:\.\w+)*(?:, )?", "(", signature, count=1)


def to_json(made: dict[str, Any]) -> str:
    """A line a class, so that a difference of two versions can be read."""
    blocks = []
    for key, value in made.items():
        if not isinstance(value, dict):
            blocks.append(f"{json.dumps(key)}: {json.dumps(value)}")
            continue
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
        blocks.append(f"{json.dumps(key)}: {{\n{lines}\n}}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(to_json(surface(importlib.import_module(sys.argv[1]))))
