"""The command line: ``transpile``. Arguments are parsed before anything heavy is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from transpiler import __version__

COMMANDS = {
    "verify": ("transpiler.verify.cli", "run original and translation as twins and compare"),
    "weights": ("transpiler.weights.cli", "convert a trained checkpoint of a script's models"),
    "explain": ("transpiler.explain", "tell how a name is translated, and why"),
    "rules": ("transpiler.rulelist", "list what is translated"),
}
"""Sub-commands: the module whose ``main(arguments) -> exit code`` does it, and what it does."""

_TARGETS = {
    "keras": "tf",
    "pytorch": "torch",
    "tensorflow": "tf",
    "tf": "tf",
    "torch": "torch",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; called without arguments, it ends the process."""
    if arguments is not None:
        return _dispatch(list(arguments))
    try:
        code = _dispatch(sys.argv[1:])
        for stream in filter(None, (sys.stderr, sys.stdout)):
            stream.flush()
    except BrokenPipeError:
        os._exit(1)
    except OSError:  # standard output is full: told when it was written
        os._exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("transpile: interrupted\n")
        os._exit(130)
    os._exit(code)  # taking the syntax tree apart node by node would be a tenth of the run


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        return _run_command(arguments[0], arguments[1:])
    try:
        return _translate(arguments)
    except SystemExit as stop:  # argparse ends so, after --help or with a usage error
        return int(stop.code or 0)


def _run_command(name: str, arguments: list[str]) -> int:
    from importlib import import_module
    from importlib.util import find_spec

    module = COMMANDS[name][0]
    try:
        present = find_spec(module) is not None
    except ModuleNotFoundError:
        present = False
    if not present:
        sys.stderr.write(f"transpile: {name} is not part of this installation\n")
        return 2
    return int(import_module(module).main(arguments))


def _translate(arguments: list[str]) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.output == "-":
        options.output = None
    if not options.inputs:
        parser.error("name a file, a folder, or - for standard input")
    if options.to is None:
        parser.error("the target is missing: --to tf or --to torch")
    import gc

    gc.disable()  # a syntax tree is all cycles and all alive: collecting would find nothing

    from transpiler.driver import run
    from transpiler.plan import Options, UsageError
    from transpiler.source import SourceError

    try:
        return run(Options(**vars(options)))
    except UsageError as error:
        parser.error(str(error))
    except SourceError as error:  # the report itself could not be written
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        gc.enable()


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``transpile`` without a sub-command."""
    commands = "\n".join(f"  {name:12}{text}" for name, (_, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="transpile",
        usage="transpile INPUT... --to {tf,torch} [-o OUTPUT] [options]\n"
        "       transpile COMMAND ...",
        description="Translate training scripts between PyTorch and TensorFlow/Keras 3.",
        epilog=f"commands (transpile COMMAND --help tells more):\n{commands}\n\n"
        "exit codes: 0 done; 1 something is left for a person, or --check would change a file;\n"
        "2 usage, syntax, input or output. A file named like a command is reached as ./verify.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_files(parser)
    _add_translation(parser)
    _add_report(parser)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="a .py file, a notebook, a folder, or - for standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="where the translation goes: a file, or a folder; standard output without it",
    )
    parser.add_argument("--in-place", action="store_true", help="write over the inputs")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file would change"
    )
    parser.add_argument("--diff", action="store_true", help="write nothing; show what changes")


def _add_translation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", metavar="{tf,torch}", type=_read_target, help="the framework to translate to"
    )
    parser.add_argument(
        "--fidelity",
        choices=("fluent", "exact"),
        help="fluent (the default): the stock classes, small deviations told as cautions; exact:"
        " whatever it takes for equal losses",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="a TOML file to read instead of the nearest pyproject.toml"
    )
    parser.add_argument(
        "-j", "--jobs", metavar="N", type=_read_count, help="processes for a whole folder"
    )


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output-format",
        dest="form",
        choices=("text", "full", "json", "github", "sarif"),
        default="text",
        help="the form of the findings, which go to standard error",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write the findings to a file instead of standard error"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="tell findings and errors, nothing else"
    )
    parser.add_argument("--version", action="version", version=f"transpile {__version__}")


def _read_target(text: str) -> str:
    if text not in _TARGETS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither tf nor torch")
    return _TARGETS[text]


def _read_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)
