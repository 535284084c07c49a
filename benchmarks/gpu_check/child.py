"""The process of one check: started by `benchmarks.gpu_check.processes`.

python -m benchmarks.gpu_check.child MODULE:FUNCTION ARGUMENTS SETTING NOTES
"""

from __future__ import annotations

import ctypes
import importlib
import json
import signal
import sys
import traceback
from pathlib import Path

from benchmarks.gpu_check.notes import MissingError, Notes, Setting, SkippedError
from cnnrnn.core.errors import MissingDependencyError

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Call the function, and write down how it ended."""
    _end_with_the_parent()
    function, arguments, setting, notes_path = sys.argv[1:]
    notes = Notes(Path(notes_path))
    module, _, name = function.partition(":")
    try:
        check = getattr(importlib.import_module(module), name)
        check(Setting.read(Path(setting)), notes, **json.loads(arguments))
    except (MissingError, MissingDependencyError) as error:
        notes.end("missing", str(error))
    except SkippedError as error:
        notes.end("skipped", str(error))
    except Exception as error:
        traceback.print_exc()
        notes.end("failed", f"{type(error).__name__}: {error}".strip())
    else:
        notes.end("ok")


def _end_with_the_parent() -> None:
    """Where the run itself is killed, its check ends too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
