"""Checks that end in every way that a process can, for `test_gpu_check`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from benchmarks.gpu_check.notes import MissingError, Notes, Setting, SkippedError
from cnnrnn.core.errors import MissingDependencyError


def good(setting: Setting, notes: Notes, *, number: int = 0) -> None:
    notes.note(number=number, good=list(setting.good), summary="as it should be")


def fails(setting: Setting, notes: Notes) -> None:
    notes.note(before=1)
    sys.stdout.write("what it printed\n")
    raise ValueError("what was wrong")


def lacks(setting: Setting, notes: Notes) -> None:
    raise MissingError("nothing is not installed: pip install nothing")


def lacks_a_package(setting: Setting, notes: Notes) -> None:
    raise MissingDependencyError("none is not installed. Install it with: pip install none", name="none")


def says_nothing(setting: Setting, notes: Notes) -> None:
    raise SkippedError("there is nothing to see")


def crashes(setting: Setting, notes: Notes) -> None:
    notes.note(before=1)
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(setting: Setting, notes: Notes) -> None:
    os._exit(7)


def leaves_quietly(setting: Setting, notes: Notes) -> None:
    os._exit(0)


def hangs(setting: Setting, notes: Notes) -> None:
    """With a child, which has to end too."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    notes.note(before=1, child=child.pid)
    time.sleep(60)
