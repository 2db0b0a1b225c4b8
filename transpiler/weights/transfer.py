"""Move a checkpoint: run both scripts to where their models exist, unload here, load there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from transpiler.verify.nursery import Fresh
from transpiler.verify.side import Framework
from transpiler.verify.twins import Progress, Workshop
from transpiler.weights.cargo import CheckpointError, Left, Moved


def convert(
    checkpoint: Path,
    original: Path,
    translated: Path,
    to: Framework,
    out: Path,
    args: Sequence[str] = (),
    key: str = "",
    bundle: bool = False,
    steps: int | None = None,
    timeout: float = 600.0,
    folder: Path | None = None,
    progress: Progress | None = None,
    workshop: Workshop | None = None,
) -> Moved:
    """Write `checkpoint`, of the original's models, as a file for the translation's.

    Raises CheckpointError, with nothing written, where something does not fit.
    """
    orders = {
        "checkpoint": str(checkpoint.resolve()),
        "out": str(out.resolve()),
        "key": key,
        "bundle": "yes" if bundle else "",
        "steps": str(steps or ""),
    }
    shop = workshop or Workshop(Fresh())
    try:
        with shop.record(original, to, args, None, False, timeout, folder, job=orders) as recording:
            report = recording.replay(translated, progress, orders)
            assert recording.report is not None
            for side, found in (("original", recording.report), ("translation", report)):
                if found["error"] is not None:
                    raise CheckpointError(describe(side, str(found["error"])))
            values = json.loads((recording.exchange / "moved.json").read_text())
    finally:
        if workshop is None:
            shop.close()
    values["left"] = [Left(**left) for left in values["left"]]
    return Moved(**values)


def describe(side: str, error: str) -> str:
    """An error of a side: a script's traceback with a word before it, our own as it is."""
    if "Traceback (most recent call last)" in error:
        return f"the {side} could not run\n{error}"
    return error
