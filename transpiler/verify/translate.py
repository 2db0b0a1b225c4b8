"""A script and its siblings translated into a folder, for verification alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from transpiler.config import Config, find_config, load_config
from transpiler.convert import convert
from transpiler.findings import Finding, Grade
from transpiler.origin import find_origin
from transpiler.siblings import find_callers, find_siblings
from transpiler.source import SourceError, read_source


def translate(
    script: Path,
    to: Literal["tf", "torch"],
    folder: Path,
    fidelity: Literal["fluent", "exact"] | None = None,
) -> tuple[Path, list[Finding]] | str:
    """The translated script's place and what its translation reports; a text where it fails."""
    try:
        source = read_source(str(script)).text
        config = choose_config(script, fidelity)
        siblings = find_siblings(script, find_origin(source, str(script)).imports, None)
        findings: list[Finding] = []
        target = folder / script.name
        convert_file(source, script, target, to, config, siblings, findings)
        for name, text in siblings.items():
            place = locate(script.parent, name)
            if place is not None:
                goal = folder / place.relative_to(script.parent)
                convert_file(text, place, goal, to, config, siblings, findings)
    except SourceError as error:
        return str(error)
    return target, [f for f in findings if f.grade is not Grade.EXACT]


def choose_config(script: Path, fidelity: Literal["fluent", "exact"] | None) -> Config:
    """The project's configuration, with the fidelity asked for."""
    path = find_config(script)
    config = load_config(path) if path else Config()
    return replace(config, fidelity=fidelity) if fidelity else config


def convert_file(
    source: str,
    path: Path,
    target: Path,
    to: Literal["tf", "torch"],
    config: Config,
    siblings: dict[str, str],
    findings: list[Finding],
) -> None:
    """Translate one file into its place."""
    own = find_siblings(path, find_origin(source, str(path)).imports, None) or siblings
    conversion = convert(
        source, to, path=str(path), config=config, siblings=own, callers=find_callers(path, None)
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(conversion.code, encoding="utf-8")
    findings += conversion.findings


def locate(home: Path, name: str) -> Path | None:
    """The file of a sibling module below the script's folder."""
    stem = home.joinpath(*name.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
