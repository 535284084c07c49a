"""The command ``cnnrnn``: one file per subcommand, each importing what it runs only when it runs.

Exit codes: 0 good, 1 the work failed, 2 the request was wrong, 3 nothing to do it with (a dependency or a
device that is not there); 130 after Ctrl-C, as a shell has it.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

import cnnrnn
from cnnrnn.cli import bench, build, demo, doctor, eval, export, import_, inspect, run, train
from cnnrnn.cli.output import print_error
from cnnrnn.cli.usage import Parser
from cnnrnn.core.errors import CnnrnnError, OptionsError

COMMANDS = (train, eval, export, import_, build, run, bench, inspect, doctor, demo)
INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: the arguments after the program's name; ``sys.argv``'s by default.

    Raises:
        SystemExit: with 2 for a command line that cannot be read, and 0 after ``--help``.
    """
    given = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser().parse_args(given)
    except OptionsError as error:
        print_error(error, as_json="--json" in given)
        raise SystemExit(error.exit_code) from None
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO if arguments.verbose else logging.WARNING, format="%(message)s"
    )
    try:
        return int(arguments.command(arguments))
    except CnnrnnError as error:
        print_error(error, as_json=arguments.json is True)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, say) has gone: Python's own flush at exit must not complain about that again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def command_name(module: ModuleType) -> str:
    """A module's name as a command; one that is a keyword of Python has an underline behind it."""
    return module.__name__.rpartition(".")[2].rstrip("_")


def parser() -> Parser:
    """The whole command line, every subcommand included."""
    top = Parser(
        prog="cnnrnn",
        description="CNN-RNN captioners: train, export to ONNX, and run without torch.",
        epilog="Exit codes: 0 good, 1 the work failed, 2 the request was wrong, 3 nothing to do it with.",
    )
    top.add_argument("--version", action="version", version=f"cnnrnn {cnnrnn.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        name = command_name(module)
        summary, _, rest = (module.__doc__ or "").partition("\n")
        command = commands.add_parser(
            name,
            help=summary.rstrip("."),
            description=f"{summary}\n{rest}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if not hasattr(module, "JSON_IS_A_FILE"):
            command.add_argument(
                "--json",
                action="store_true",
                help="one JSON object a line on standard output, nothing else there",
            )
        command.add_argument(
            "-v", "--verbose", action="store_true", help="log to standard error what is being done"
        )
        module.add_arguments(command)
        command.set_defaults(command=module.run)
    return top
