"""`transpile weights`: arguments, the translation where none is given, what moved."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from transpiler.verify.cli import positive, progress_bar, split_arguments
from transpiler.verify.translate import translate
from transpiler.weights.atomic import writing
from transpiler.weights.cargo import CheckpointError, Moved
from transpiler.weights.transfer import convert


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 converted, 2 not, and then nothing is written."""
    own, script_arguments = split_arguments(list(argv))
    try:
        options = build_parser().parse_args(own)
    except SystemExit as stop:
        return int(stop.code or 0)
    for path in filter(None, (options.script, options.translated)):
        if not Path(path).is_file():
            sys.stderr.write(f"{path}: no such file\n")
            return 2
    checkpoint = Path(options.checkpoint)
    if not checkpoint.exists() and not Path(f"{checkpoint}.index").exists():
        sys.stderr.write(f"{checkpoint}: no such file\n")
        return 2
    try:
        moved = run(options, checkpoint, script_arguments)
    except CheckpointError as error:
        sys.stderr.write(f"{checkpoint.name}: not converted, nothing written\n{error}\n")
        return 2
    if options.json:
        with writing(Path(options.json).resolve()) as part:
            part.write_text(json.dumps(asdict(moved), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(describe(moved, checkpoint.name, options.verbose))
    return 0


def run(options: argparse.Namespace, checkpoint: Path, arguments: list[str]) -> Moved:
    """Convert, with the given translation or one made now."""
    original = Path(options.script)
    with tempfile.TemporaryDirectory(prefix="transpile-translated-") as name:
        if options.translated:
            translated = Path(options.translated)
        else:
            found = translate(original, options.to, Path(name), options.fidelity)
            if isinstance(found, str):
                raise CheckpointError(found)
            translated = found[0]
        with progress_bar(options.steps) as progress:
            return convert(
                checkpoint,
                original,
                translated,
                options.to,
                Path(options.output),
                arguments,
                options.key,
                options.bundle,
                options.steps,
                options.timeout,
                Path.cwd(),
                progress,
            )


def describe(moved: Moved, name: str, verbose: bool) -> str:
    """The account as text: what went over, what did not and why."""
    lines = [f"{name} -> {', '.join(Path(path).name for path in moved.written)}", ""]
    lines += [f"moved  {line}" for line in moved.items]
    if verbose:
        lines += [f"         {target} {tuple(shape)}" for _, target, shape in moved.tensors]
    lines += [f"left   {left.name}: {left.reason}" for left in moved.left]
    return "\n".join(lines) + "\n"


def build_parser() -> argparse.ArgumentParser:
    """The parser of `transpile weights`."""
    parser = argparse.ArgumentParser(
        prog="transpile weights",
        usage="transpile weights CHECKPOINT --script SCRIPT --to {tf,torch} -o OUT [options] "
        "[-- script arguments]",
        description="Convert a trained checkpoint of a script's own models for its translation.",
        epilog="OUT says what is written: NAME.weights.h5, NAME.keras, NAME.pt or NAME.pkl for a "
        "bundle as translated scripts pickle it, a folder or another name for a "
        "tf.train.Checkpoint; NAME.pt or NAME.safetensors with --to torch. "
        "exit codes: 0 converted; 2 not, and nothing is written.",
    )
    parser.add_argument(
        "checkpoint",
        help="a state_dict file, a bundle, .safetensors; "
        ".weights.h5, .keras, a tf.train.Checkpoint",
    )
    parser.add_argument("--script", required=True, help="the script that the checkpoint is of")
    parser.add_argument("--to", choices=("tf", "torch"), required=True)
    parser.add_argument("-o", "--output", metavar="OUT", required=True)
    parser.add_argument("--translated", metavar="FILE", help="its translation (default: made now)")
    parser.add_argument("--fidelity", choices=("fluent", "exact"), help="of the translation")
    parser.add_argument("--key", default="", help="only what a bundle has under this key")
    parser.add_argument(
        "--bundle",
        action="store_true",
        help='with --to torch: {"model": ..., "optimizer": ...} also for a file of one model',
    )
    parser.add_argument(
        "--steps", type=positive, metavar="N", help="run both scripts for N steps beforehand "
        "(default: until every optimizer has made one)",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write the account as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every tensor")
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="seconds for each side"
    )
    return parser
