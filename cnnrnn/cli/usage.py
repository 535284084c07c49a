"""A command line that cannot be read: the usage of the command it was meant for, and the error as our own."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any, NoReturn

from cnnrnn.core.errors import OptionsError


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors are raised. Options are given in full, so that a later one breaks no script.

    Subcommands are of this class too, and refuse an unknown option themselves: argparse's own leave that to
    the parser above them, which can only show how to choose a command.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but nothing may be left over."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._near(unknown[0])}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Show the usage on standard error.

        Raises:
            OptionsError: always, with the message.
        """
        self.print_usage(sys.stderr)
        raise OptionsError(message)

    def _near(self, argument: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        close = difflib.get_close_matches(argument.partition("=")[0], known, n=1)
        return f"; did you mean {close[0]}?" if close else ""
