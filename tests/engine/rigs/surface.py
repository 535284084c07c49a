"""What each version of TensorRT's Python bindings has, as `dump_surface.py` wrote it.

The files in ``surfaces/`` are made again by ``python -m tests.engine.rigs.surface`` with the bindings
installed (`make engine-bindings`); a test compares them with what the bindings say where these can be had.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.engine.rigs import bindings

RTX = "rtx-1.7.1.116"
NAMES = (*bindings.VERSIONS, RTX)
_FOLDER = bindings.HERE / "surfaces"
_DUMP = bindings.HERE / "dump_surface.py"


@dataclass(frozen=True)
class Signature:
    """One way to call a method: its arguments without ``self``, and the name of what it returns."""

    parameters: inspect.Signature
    returns: str


@dataclass(frozen=True)
class Surface:
    """The public names of one version.

    Attributes:
        name: the file's: a version, with ``rtx-`` before it for TensorRT-RTX.
        version: what the module says.
        enums: members and their numbers, by enumeration (``"BuilderFlag"``, ``"ILogger.Severity"``).
        classes: ``bases``, ``properties`` (type, with ``w`` before it where it can be set), ``methods`` (one
            signature for each overload) and ``constants``, by class.
        functions, constants: of the module.
    """

    name: str
    version: str
    enums: dict[str, dict[str, int]]
    classes: dict[str, dict[str, Any]]
    functions: dict[str, list[str]]
    constants: dict[str, str]

    @staticmethod
    @lru_cache
    def load(name: str) -> Surface:
        return Surface(name, **json.loads(path_of(name).read_text()))

    def names(self) -> frozenset[str]:
        """Every name there is in this version, of whatever it is an attribute."""
        found = {*self.enums, *self.classes, *self.functions, *self.constants}
        for members in self.enums.values():
            found |= {*members}
        for parts in self.classes.values():
            found |= {*parts["properties"], *parts["methods"], *parts["constants"]}
        return frozenset(found)


def path_of(name: str) -> Path:
    return _FOLDER / f"{name}.json"


def signature_of(text: str) -> Signature:
    """Read ``(flag: BuilderFlag, index: int = ...) -> bool``."""
    function = ast.parse(f"def f{text}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    optional = len(given.args) - len(given.defaults)
    parameters = [
        inspect.Parameter(
            argument.arg,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if place < optional else ...,
            annotation=ast.unparse(argument.annotation) if argument.annotation else "object",
        )
        for place, argument in enumerate(given.args)
        if argument.arg != "self"
    ]
    if given.vararg:
        parameters.append(inspect.Parameter(given.vararg.arg, inspect.Parameter.VAR_POSITIONAL))
    returns = ast.unparse(function.returns) if function.returns else "object"
    return Signature(inspect.Signature(parameters), returns)


def dump(name: str, scratch: Path) -> str:
    """The surface as the installed bindings say it; skips, or fails, where they are not installed."""
    if name == RTX:
        bindings.rtx_libraries()
        done = bindings.run_plain(str(_DUMP), "tensorrt_rtx_bindings")
    else:
        aliases = bindings.stub_aliases(scratch / "aliases")
        done = bindings.run(name, aliases, str(_DUMP), "tensorrt_bindings")
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    _FOLDER.mkdir(exist_ok=True)
    for wanted in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            path_of(wanted).write_text(dump(wanted, Path(folder)))
        sys.stdout.write(f"{path_of(wanted)}\n")
