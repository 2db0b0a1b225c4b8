"""The verdict on two runs: which quantity parts first, at which step and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from transpiler.verify.explained import Reported
from transpiler.verify.finals import Final
from transpiler.verify.printed import compare_lines, in_order
from transpiler.verify.updates import Update, align, cut

TOLERANCES = {True: 1e-9, False: 1e-4}
WEIGHTS = 1e-6
"""For variables: small gradients lose digits that no loss has."""
QUANTITIES = (
    "loss", "gradient norm", "learning rate", "mode", "evaluation", "printed", "weights",
)  # fmt: skip
Status = Literal["equal", "different", "failed"]


@dataclass(frozen=True)
class Deviation:
    """One quantity that differs at one step (steps count from 1)."""

    step: int
    quantity: str
    original: Any
    translation: Any
    ratio: float
    detail: str = ""


@dataclass
class Row:
    """One compared quantity over the whole run."""

    quantity: str
    compared: int = 0
    worst: float = 0.0
    first: int | None = None


@dataclass
class Verdict:
    """What a comparison found."""

    status: Status
    to: str
    float64: bool
    steps: tuple[int, int] = (0, 0)
    first: Deviation | None = None
    rows: list[Row] = field(default_factory=list)
    losses: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    notes: list[str] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)
    """What the translation said of itself."""
    exact: Verdict | None = None
    """The verdict on the exact translation, where the fluent one differs and says why."""
    failed_side: str = ""
    error: str = ""

    @property
    def exit_code(self) -> int:
        """0 equal, 1 different, 2 could not run."""
        return {"equal": 0, "different": 1, "failed": 2}[self.status]

    @property
    def equal(self) -> bool:
        """Whether the two programs trained the same."""
        return self.status == "equal"

    @property
    def trained(self) -> bool:
        """Whether anything was trained: a loss was differentiated on either side."""
        return any(self.losses)

    @property
    def worst_loss(self) -> float:
        """The largest relative difference of any loss."""
        return max((row.worst for row in self.rows if row.quantity == "loss"), default=0.0)


def judge(original: dict[str, Any], translation: dict[str, Any], to: str, float64: bool) -> Verdict:
    """Compare two runs' reports."""
    verdict = Verdict("equal", to, float64)
    for side, report in (("original", original), ("translation", translation)):
        if report["error"] is not None:
            verdict.status, verdict.failed_side = "failed", side
            verdict.error = str(report["error"])
            return verdict
    verdict.steps = (original["updates"], translation["updates"])
    aligned = align(cut(original["events"]), cut(translation["events"]))
    updates = aligned.ours, aligned.theirs
    verdict.losses = tuple([u.loss for u in side if u.losses] for side in updates)  # type: ignore[assignment]
    names = translation.get("names", [])
    comparison = _Comparison(TOLERANCES[float64], names, to)
    comparison.walk(*updates)
    comparison.count(*(sum(u.stepped for u in side) for side in updates))
    comparison.printed(original["events"], translation["events"])
    if not aligned.cut_short:
        comparison.weights(translation.get("weights", []), max(1, *verdict.steps))
    verdict.rows = [row for row in comparison.rows.values() if row.compared]
    verdict.first = min(comparison.found, key=lambda d: d.step, default=None)
    verdict.notes = [*translation.get("notes", []), *_draw_notes(translation), *comparison.notes]
    if verdict.first is not None:
        verdict.status = "different"
    elif not verdict.trained and not verdict.rows:
        verdict.status, verdict.failed_side = "failed", "original"
        verdict.error = (
            "nothing to compare: no loss was differentiated, no model called, no number printed"
        )
    return verdict


def _draw_notes(report: dict[str, Any]) -> Iterator[str]:
    for name, count in report.get("missing", {}).items():
        yield f"the translation drew {count} x {name} that the original did not draw"
    for name, count in report.get("leftover", {}).items():
        yield f"the original drew {count} x {name} that the translation did not ask for"
    for name in report.get("unused", []):
        yield f"the original's model {name} has no counterpart in the translation"


class _Comparison:
    """Walks two runs side by side and keeps the first deviation of each quantity."""

    def __init__(self, tolerance: float, names: Sequence[Any], to: str) -> None:
        self.tolerance = tolerance
        self.names = names
        self.to = to
        self.rows: dict[str, Row] = {}
        self.found: list[Deviation] = []
        self.notes: list[str] = []
        self.rows.update({name: Row(name) for name in QUANTITIES})

    def walk(self, ours: list[Update], theirs: list[Update]) -> None:
        """Compare update by update, each quantity in the order of its causes."""
        losses = [abs(u.loss) for u in ours if u.losses] or [0.0]
        norms = [u.norm for u in ours if u.stepped] or [0.0]
        floors = 1e-6 * max(losses), 1e-6 * max(norms)
        for index, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            self.evaluations(index + 1, a, b)
            self.modes(index + 1, a, b)
            self.losses(index + 1, a, b, floors[0])
            if a.stepped and b.stepped and a.norms and b.norms:
                self.norms(index + 1, a, b, floors[1])
            if a.stepped and b.stepped:
                self.rates(index + 1, a, b)

    def check(
        self, step: int, quantity: str, a: float, b: float, floor: float = 0.0, detail: str = ""
    ) -> bool:
        """Compare two numbers; keep the deviation where it is the quantity's first."""
        row = self.rows[quantity]
        row.compared += 1
        relative = relative_difference(a, b, floor)
        row.worst = max(row.worst, relative)
        if relative <= self.tolerance:
            return True
        self.report(row, Deviation(step, quantity, a, b, ratio(a, b), detail))
        return False

    def report(self, row: Row, deviation: Deviation) -> None:
        """Keep a quantity's first deviation."""
        if row.first is None:
            row.first = deviation.step
            self.found.append(deviation)

    def losses(self, step: int, a: Update, b: Update, floor: float) -> None:
        """Loss by loss where their number agrees, else their sums."""
        if not a.losses and not b.losses:
            return
        alike = len(a.losses) == len(b.losses)
        pairs = zip(a.losses, b.losses, strict=True) if alike else [(a.loss, b.loss)]
        for x, y in pairs:
            self.check(step, "loss", x, y, floor, self._loss_hint(step))

    def _loss_hint(self, step: int) -> str:
        if step == 1:
            return "the first loss already differs: the forward pass, the loss or the data"
        if self.rows["gradient norm"].first is None and self.rows["gradient norm"].compared:
            return (
                f"the gradients of step {step - 1} agree: the update after them differs "
                "(optimizer, learning rate, weight decay, clipping) or the next batch"
            )
        return ""

    def norms(self, step: int, a: Update, b: Update, floor: float) -> None:
        """The norm that reaches the optimizer, or the one before clipping and decay."""
        ours, theirs = [a.norm, *_only(a.raw)], [b.norm, *_only(b.raw)]
        pairs = [(x, y) for x in ours for y in theirs]
        best = min(pairs, key=lambda pair: relative_difference(pair[0], pair[1], floor))
        fine = relative_difference(best[0], best[1], floor) <= self.tolerance
        detail = "" if fine else self.layers(a, b)
        self.check(step, "gradient norm", *best, floor, detail)

    def layers(self, a: Update, b: Update) -> str:
        """The variables whose gradients differ most, by the original's names."""
        worst = []
        torch_first = self.to == "tf"
        for torch_names, keras_names in self.names:
            first, second = (
                (torch_names, keras_names) if torch_first else (keras_names, torch_names)
            )
            x = _group(a.norms, first)
            y = _group(b.norms, second)
            if x is not None and y is not None and len(torch_names) == len(keras_names):
                worst.append((relative_difference(x, y, 1e-12), ", ".join(first)))
        worst = [pair for pair in worst if pair[0] > self.tolerance]
        if not worst:
            return ""
        names = [name.partition(":")[2] for _, name in sorted(worst, reverse=True)[:3]]
        return f"of {len(worst)} differing variables most: {'; '.join(names)}"

    def rates(self, step: int, a: Update, b: Update) -> None:
        """Learning rates, group by group; one rate for all where the groups were merged."""
        ours, theirs = a.rates, b.rates
        if len(ours) != len(theirs):
            ours, theirs = sorted(set(ours)), sorted(set(theirs))
        if len(ours) == len(theirs):
            for x, y in zip(ours, theirs, strict=True):
                self.check(step, "learning rate", x, y)
        else:
            self.notes.append(f"step {step}: {a.rates} learning rates against {b.rates}")

    def modes(self, step: int, a: Update, b: Update) -> None:
        """Train or eval, wherever something depends on it."""
        ours: Sequence[str] = a.modes
        theirs: Sequence[str] = b.modes
        if step == 1:  # a model may have been called on one side alone, to create its variables
            length = min(len(ours), len(theirs))
            ours, theirs = ours[len(ours) - length :], theirs[len(theirs) - length :]
        ours, theirs = _without_evaluations(ours, theirs)
        known = [m for side in (ours, theirs) for m in side if m != "any"]
        if not ours or not theirs or not known:
            return
        row = self.rows["mode"]
        row.compared += 1
        if not modes_agree(ours, theirs):
            deviation = Deviation(step, "mode", ", ".join(a.modes), ", ".join(b.modes), math.nan)
            row.worst = math.inf
            self.report(row, deviation)

    def evaluations(self, step: int, a: Update, b: Update) -> None:
        """What models gave outside of training, where as much was asked of them."""
        ours, theirs = a.evaluations, b.evaluations
        sizes = [sum(e["size"] for e in side) for side in (ours, theirs)]
        if not sizes[0] or sizes[0] != sizes[1]:
            return
        modes = [sorted({e["mode"] for e in side} - {"any"}) for side in (ours, theirs)]
        if all(modes) and modes[0] != modes[1]:
            self.rows["mode"].compared += 1
            first_mode, second_mode = (", ".join(m) for m in modes)
            detail = "calls without gradients"
            deviation = Deviation(step, "mode", first_mode, second_mode, math.nan, detail)
            self.report(self.rows["mode"], deviation)
        first, second = (
            [
                math.sqrt(math.fsum(parts))
                for parts in zip(*(e["squares"] for e in side), strict=True)
            ]
            for side in (ours, theirs)
        )
        # Either side may give probabilities where the other gives what is behind them.
        pairs = [(x, second[0]) for x in first] + [(first[0], y) for y in second]
        x, y = min(pairs, key=lambda pair: relative_difference(pair[0], pair[1], 1e-12))
        self.check(step, "evaluation", x, y, 1e-12)

    def count(self, ours: int, theirs: int) -> None:
        """Both must make equally many steps."""
        if ours != theirs:
            step = min(ours, theirs) + 1
            self.found.append(Deviation(step, "number of steps", ours, theirs, ratio(ours, theirs)))

    def weights(self, finals: Sequence[Final], step: int) -> None:
        """The variables in the end, in double precision, where noise is no matter."""
        if self.tolerance != TOLERANCES[True]:
            return
        noisy = any(f.noisy for f in finals)
        kept = [f for f in finals if f.trained or not noisy]  # statistics follow what is noisy
        row, floor = self.rows["weights"], 1e-6 * max((f.original for f in kept), default=0.0)
        worst: list[tuple[float, Final]] = []
        for final in kept:
            row.compared += 1
            size = max(final.original, final.translation, floor, 1e-300)
            worst.append((final.distance / size if final.distance else 0.0, final))
        worst.sort(key=lambda pair: -pair[0])
        row.worst = worst[0][0] if worst else 0.0
        apart = [final for relative, final in worst if not relative <= WEIGHTS]
        if apart:
            names = "; ".join(f.name for f in apart[:3])
            detail = f"in the end {len(apart)} of {len(kept)} variables differ, most: {names}"
            first = apart[0]
            self.report(row, Deviation(
                step, "weights", first.original, first.translation,
                ratio(first.original, first.translation), detail,
            ))  # fmt: skip

    def printed(self, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
        """The numbers printed in lines that say the same."""
        lines = [[e for e in side if e["kind"] == "print"] for side in (ours, theirs)]
        texts = [[e["text"] for e in side] for side in lines]
        difference, compared, unmatched = compare_lines(texts[0], texts[1], 10 * self.tolerance)
        row = self.rows["printed"]
        row.compared = compared
        self.notes += tell_unmatched(unmatched)
        if difference is None:
            return
        place = next(e["update"] for e in lines[0] if in_order(e["text"]) == difference.original)
        row.worst = relative_difference(difference.first, difference.second, 0.0)
        detail = f"{difference.original.strip()!r} against {difference.translation.strip()!r}"
        self.report(
            row,
            Deviation(
                place + 1,
                "printed",
                difference.first,
                difference.second,
                ratio(difference.first, difference.second),
                detail,
            ),
        )


def tell_unmatched(sides: tuple[list[str], list[str]]) -> Iterator[str]:
    """Lines with numbers that only one side printed, the first of them in full."""
    for name, lines in zip(("original", "translation"), sides, strict=True):
        if lines:
            shown = "; ".join(repr(line.strip()[:90]) for line in lines[:3])
            more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
            yield f"printed by the {name} alone, and not compared: {shown}{more}"


def modes_agree(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether two sequences of modes may be the same; `any` goes with everything."""
    if len(ours) != len(theirs):
        return "any" in ours or "any" in theirs
    return all(x == y or "any" in (x, y) for x, y in zip(ours, theirs, strict=True))


def _without_evaluations(
    ours: Sequence[str], theirs: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """The calls of the step itself: one side may evaluate with gradients on, the other not."""
    while len(ours) > len(theirs) and ours[0] == "eval":
        ours = ours[1:]
    while len(theirs) > len(ours) and theirs[0] == "eval":
        theirs = theirs[1:]
    return ours, theirs


def _only(raw: list[float]) -> list[float]:
    return raw if len(raw) == 1 else []


def _group(norms: dict[str, float], names: Sequence[str]) -> float | None:
    values = [norms[name] for name in names if name in norms]
    return math.sqrt(math.fsum(v * v for v in values)) if values else None


def relative_difference(a: float, b: float, floor: float = 0.0) -> float:
    """The distance of two numbers relative to the larger one (or to `floor`)."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b), floor, 1e-300)


def ratio(a: float, b: float) -> float:
    """Translation by original, nan where there is none."""
    return b / a if a else math.nan
