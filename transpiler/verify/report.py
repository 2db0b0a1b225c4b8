"""A verdict for people and for programs: a table, JSON, the two loss curves."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from transpiler.verify.compared import Deviation, Row, Verdict

HEADS = ("quantity", "compared", "largest relative difference", "first step that differs")
EXPLAINED = "may come of"


def show(verdict: Verdict, name: str) -> None:
    """Print the verdict: a drawn table on a terminal, plain text elsewhere."""
    if verdict.status == "failed":
        sys.stderr.write(f"{name}: the {verdict.failed_side} could not run\n{verdict.error}\n")
        return
    if sys.stdout.isatty():
        show_rich(verdict, name)
    else:
        sys.stdout.write(plain(verdict, name))


def plain(verdict: Verdict, name: str) -> str:
    """The report as text."""
    cells = [heads_of(verdict), *(cells_of(row, verdict) for row in verdict.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [headline(verdict, name), ""]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    lines += ["", conclusion(verdict)]
    lines += [f"note: {note}" for note in notes_of(verdict)]
    return "\n".join(lines) + "\n"


def show_rich(verdict: Verdict, name: str) -> None:
    """The report as a drawn table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=headline(verdict, name))
    for head in heads_of(verdict):
        table.add_column(head)
    for row in verdict.rows:
        table.add_row(*cells_of(row, verdict), style="red" if row.first else None)
    console = Console()
    console.print(table)
    style = "bold green" if verdict.equal else "bold red"
    console.print(escape(conclusion(verdict)), style=style)
    for note in notes_of(verdict):
        console.print(f"note: {note}", markup=False, style="dim")


def headline(verdict: Verdict, name: str) -> str:
    """What was compared."""
    precision = "float64" if verdict.float64 else "float32"
    ours, theirs = verdict.steps
    steps = f"{ours} steps" if ours == theirs else f"{ours} and {theirs} steps"
    return f"{name} and its twin in {verdict.to}: {steps} in {precision}"


def heads_of(verdict: Verdict) -> tuple[str, ...]:
    """The table's columns: the last one only where the translation explains a deviation."""
    explained = any(r.explains(row) for r in verdict.reported for row in verdict.rows)
    return (*HEADS, EXPLAINED) if explained else HEADS


def cells_of(row: Row, verdict: Verdict) -> tuple[str, ...]:
    """One quantity's line of the table."""
    worst = "" if math.isinf(row.worst) else f"{row.worst:.1e}"
    cells = row.quantity, str(row.compared), worst, "" if row.first is None else str(row.first)
    if len(heads_of(verdict)) == len(HEADS):
        return cells
    places = dict.fromkeys(r.place for r in verdict.reported if r.explains(row))
    return (*cells, ", ".join(places))


def notes_of(verdict: Verdict) -> list[str]:
    """What else there is to say: the run's own notes, and the translation's cautions."""
    found = list(verdict.notes)
    if verdict.exact is not None and verdict.exact.equal:
        found.append("with --fidelity exact they train the same: the cautions below explain it all")
    elif verdict.exact is not None and verdict.exact.first is not None:
        found.append(f"with --fidelity exact they part at {place_of(verdict.exact.first)}")
    for reported in dict.fromkeys(verdict.reported):
        aside = " (both start from equal values here)" if reported.is_about_the_start else ""
        found.append(f"{reported.place}: {reported.text}{aside}")
    return found


def conclusion(verdict: Verdict) -> str:
    """The verdict in a sentence or two."""
    if verdict.first is None and not verdict.trained:
        return "Nothing was trained; what else was compared agrees."
    if verdict.first is None:
        return "They train the same."
    return f"They part at {place_of(verdict.first)}."


def place_of(deviation: Deviation) -> str:
    """Where, what and by how much."""
    values = f"{format_value(deviation.original)} against {format_value(deviation.translation)}"
    text = f"step {deviation.step}, {deviation.quantity}: {values}"
    if not math.isnan(deviation.ratio):
        text += f" (ratio {deviation.ratio:.12g})"
    return f"{text}; {deviation.detail}" if deviation.detail else text


def format_value(value: Any) -> str:
    """Numbers in full, words as they are."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain data."""
    first = verdict.first
    return {
        "status": verdict.status,
        "trained": verdict.trained,
        "to": verdict.to,
        "precision": "float64" if verdict.float64 else "float32",
        "steps": {"original": verdict.steps[0], "translation": verdict.steps[1]},
        "first": None if first is None else {k: finite(v) for k, v in vars(first).items()},
        "quantities": [{k: finite(v) for k, v in vars(row).items()} for row in verdict.rows],
        "losses": {
            "original": [finite(x) for x in verdict.losses[0]],
            "translation": [finite(x) for x in verdict.losses[1]],
        },
        "notes": notes_of(verdict),
        "reported": [
            {
                "place": r.place,
                "text": r.text,
                "explains": [row.quantity for row in verdict.rows if r.explains(row)],
            }
            for r in verdict.reported
        ],
        "exact": None if verdict.exact is None else verdict.exact.status,
        "failed_side": verdict.failed_side,
        "error": verdict.error,
    }


def finite(value: Any) -> Any:
    """JSON has no nan and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(verdict: Verdict, path: Path) -> None:
    """Write the verdict as JSON."""
    path.write_text(json.dumps(to_json(verdict), indent=2) + "\n", encoding="utf-8")


def draw_plot(verdict: Verdict, path: Path, name: str) -> None:
    """Both loss curves, and their relative difference below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ours, theirs = verdict.losses
    figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(8, 6), height_ratios=(2, 1))
    top.plot(range(1, len(ours) + 1), ours, label="original", linewidth=3, alpha=0.5)
    top.plot(range(1, len(theirs) + 1), theirs, label="translation", linewidth=1)
    top.set_ylabel("loss")
    top.set_title(headline(verdict, name))
    top.legend()
    apart = [abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in zip(ours, theirs, strict=False)]
    bottom.semilogy(range(1, len(apart) + 1), [max(d, 1e-17) for d in apart], linewidth=1)
    bottom.set_ylabel("relative difference")
    bottom.set_xlabel("step")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
