"""An engine for tests of what is around it: quick, and with findings where a test wants them."""

import re
from collections.abc import Mapping
from types import ModuleType

from transpiler.config import Config
from transpiler.findings import Finding, Grade, Span

NAMES = {"tf": ("torch", "keras"), "torch": ("keras", "torch")}


class Conversion:
    def __init__(self, code: str, findings: tuple[Finding, ...]) -> None:
        self.code = code
        self.findings = findings


def convert(
    source: str,
    to: str,
    *,
    path: str = "<stdin>",
    config: Config | None = None,
    siblings: Mapping[str, str] | None = None,
    callers: object = (),
) -> Conversion:
    """Swap the framework's name; ``# manual``, ``# caution`` and ``# crash`` do as they say."""
    findings = []
    for number, line in enumerate(source.split("\n"), 1):
        if match := re.search(r"# (manual|caution|crash|kill|siblings|fidelity)\b", line):
            word = match[1]
            if word == "crash":
                raise KeyError("boom")
            if word == "kill":
                import os
                import signal

                os.kill(os.getpid(), signal.SIGKILL)
            message = f"this is {word}"
            if word == "siblings":
                message = ", ".join(sorted(siblings or {}))
            if word == "fidelity":
                message = config.fidelity if config else ""
            grade = Grade(word) if word in ("manual", "caution") else Grade.EXACT
            span = Span(number, 1, number, len(line.split("#")[0].rstrip()) + 1)
            findings.append(Finding(path, span, grade, f"some-{word}", message, "do this"))
    old, new = NAMES[to]
    return Conversion(re.sub(rf"\b{old}\b", new, source), tuple(reversed(findings)))


def make_module() -> ModuleType:
    module = ModuleType("transpiler.convert")
    module.convert = convert  # type: ignore[attr-defined]
    module.Conversion = Conversion  # type: ignore[attr-defined]
    return module
