"""``python -m cnnrnn`` is the command ``cnnrnn``."""

from __future__ import annotations

import sys

from cnnrnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
