"""Functions run over the stand-in driver, for tests: what they gave back, and what the driver saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.driver.build import build
from tests.driver.build_pycuda import FOLDER as PYCUDA

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


@dataclass(frozen=True)
class Outcome:
    """What became of a function.

    Attributes:
        returncode: of its process: 0, or less than 0 where a signal ended it; the rest is then empty.
        value: what it returned, through JSON.
        error: ``"Type: message"`` of what it raised, or None.
        calls: the driver's functions, in the order in which they were called.
        runs: the work that ran, in that order.
        reports: what it should not have done.
        counts: `tests.driver.inside.COUNTS`.
        alive: what it made and did not give back.
    """

    returncode: int
    stdout: str = ""
    stderr: str = ""
    value: Any = None
    error: str | None = None
    calls: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    alive: dict[str, int] = field(default_factory=dict)

    @property
    def leaks(self) -> dict[str, int]:
        """What is left, without what is not."""
        return {name: number for name, number in self.alive.items() if number}


class Rig:
    """The stand-in driver, built once, and a process that runs functions over it for each set of variables.

    Args:
        folder: for the library.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = build(folder)
        self._servers: dict[tuple[tuple[str, str], ...], subprocess.Popen[str]] = {}

    def try_out(self, function: Callable[..., Any], *arguments: Any, **variables: str) -> Outcome:
        """Run a function of a module, with arguments that JSON can carry.

        Args:
            variables: of the environment, ``STANDIN_DEVICES="2"``: the folder's sources say which there are.
        """
        server = self._server(variables)
        assert server.stdin is not None
        assert server.stdout is not None
        request = {
            "function": f"{function.__module__}:{function.__qualname__}",
            "arguments": arguments,
            "timeout_s": TIMEOUT_S,
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the process that runs functions over the stand-in driver has ended"
        return Outcome(**json.loads(answer))

    def run(self, function: Callable[..., Any], *arguments: Any, **variables: str) -> Outcome:
        """As `try_out`, for a function that has to end well: no error, no report, nothing left behind."""
        outcome = self.try_out(function, *arguments, **variables)
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.error is None, outcome.stderr
        assert outcome.reports == []
        assert outcome.leaks == {}
        return outcome

    def close(self) -> None:
        """End the processes."""
        for server in self._servers.values():
            server.communicate()
        self._servers.clear()

    def _server(self, variables: dict[str, str]) -> subprocess.Popen[str]:
        key = tuple(sorted(variables.items()))
        if key not in self._servers:
            self._servers[key] = subprocess.Popen(
                [sys.executable, "-m", "tests.driver.server"],
                cwd=ROOT,
                env={
                    **os.environ,
                    **variables,
                    "LD_LIBRARY_PATH": str(self._folder),
                    "STANDIN_PYCUDA": str(PYCUDA),
                    "STANDIN_CUBINS": str(self._folder),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._servers[key]
