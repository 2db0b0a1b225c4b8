"""Which deviations the cautions of a translation explain: by what each caution is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transpiler.findings import Finding
    from transpiler.verify.compared import Row

AFTER_UPDATES = frozenset(
    {"loss", "gradient norm", "learning rate", "evaluation", "printed", "weights"}
)
IN_EVALUATION = frozenset({"evaluation", "printed", "weights"})


@dataclass(frozen=True)
class Reported:
    """One caution or manual finding of the translation that was checked."""

    place: str
    text: str
    rule: str

    @classmethod
    def of(cls, finding: Finding) -> Reported:
        """What a finding says, and where."""
        name = finding.path.rpartition("/")[2]
        text = f"{finding.grade}: {finding.message}"
        return cls(f"{name}:{finding.span.line}", text, finding.rule)

    @property
    def is_about_the_start(self) -> bool:
        """Whether it is about initial values, which are equal in a comparison."""
        return "initial values" in self.text or "initializers" in self.text

    def explains(self, row: Row) -> bool:
        """Whether a quantity's deviation may come of it."""
        if row.first is None or self.is_about_the_start:
            return False
        if "optim" in self.rule:
            later = row.first > 1 or row.quantity == "weights"
            return row.quantity in AFTER_UPDATES and later
        if "Norm" in self.rule:
            return row.quantity in IN_EVALUATION
        return True
