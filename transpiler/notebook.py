"""Notebooks: their code cells as one script, and the translated script as cells again.

A comment marks where each cell starts. What is IPython's and not Python's (``%magic``, ``!shell``)
is replaced by a call of a placeholder for the time of the translation.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from transpiler.findings import Finding, Span
from transpiler.source import Source, SourceError, decode_source

_MARK = "# %% transpile: cell {}"
_MARK_LINE = re.compile(r"# %% transpile: cell (\d+)")
_STAND_IN = re.compile(r"_ipython_line_(\d+)_\(\)")
_PYTHON_CELL_MAGICS = ("%%capture", "%%prun", "%%time", "%%timeit")
_LINE_MAGIC = re.compile(r"^(\s*)([%!?].*|[\w.]+\?\??\s*)$")
_ASSIGNED_MAGIC = re.compile(r"^(\s*[\w., \t]+=\s*)([%!].*)$")


@dataclass
class Notebook:
    """A notebook and the script that its code cells make."""

    source: Source
    content: dict[str, Any]
    script: str
    starts: list[tuple[int, int]]
    """For each code cell: the line of the script before its first, and its number."""

    magics: list[str]

    def replace_script(self, script: str) -> Source:
        """The notebook with its cells' code taken from a translated script."""
        texts = self._split(script)
        changed = False
        for number, cell in enumerate(self.content["cells"], 1):
            if number not in texts:
                continue
            text = _keep_semicolon(_join_lines(cell["source"]), texts[number])
            if text != _join_lines(cell["source"]):
                changed = True
                keep_list = isinstance(cell["source"], list)
                cell["source"] = text.splitlines(keepends=True) if keep_list else text
        if not changed:
            return self.source
        self._drop_outputs()
        indent = _find_indent(self.source.text)
        dumped = json.dumps(self.content, ensure_ascii=False, indent=indent)
        tail = "\n" if self.source.text.endswith("\n") else ""
        return self.source.with_text(dumped + tail)

    def locate(self, finding: Finding) -> Finding:
        """A finding with its place told in the notebook's terms: the cell, and the line in it."""
        span = finding.span
        before, number = self._find_cell(span.line)
        first, last = max(span.line - before, 1), max(span.end_line - before, 1)
        moved = Span(first, span.column, last, span.end_column)
        return finding._replace(path=name_cell(finding.path, number), span=moved)

    def locate_error(self, error: SourceError) -> SourceError:
        """The same for an error."""
        if not error.line:
            return error
        before, number = self._find_cell(error.line)
        path, line = name_cell(error.path, number), max(error.line - before, 1)
        return SourceError(path, line, error.column, error.message)

    def _find_cell(self, line: int) -> tuple[int, int]:
        """The cell that a line of the script is in: the line before it, and its number."""
        cells = [start for start in self.starts if start[0] < line]
        return (cells or self.starts or [(0, 1)])[-1 if cells else 0]

    def list_cells(self) -> dict[str, str]:
        """The code of each cell, under the name that its findings carry as their path."""
        cells = enumerate(self.content["cells"], 1)
        return {
            name_cell(self.source.path, number): _join_lines(cell["source"])
            for number, cell in cells
            if cell["cell_type"] == "code"
        }

    def _split(self, script: str) -> dict[int, str]:
        texts: dict[int, list[str]] = {number: [] for _, number in self.starts}
        current = self.starts[0][1] if self.starts else 0
        seen = []
        for line in script.split("\n"):
            if match := _MARK_LINE.fullmatch(line.strip()):
                current = int(match[1])
                seen.append(current)
            elif current in texts:
                texts[current].append(_STAND_IN.sub(lambda m: self.magics[int(m[1])], line))
        if seen != [number for _, number in self.starts]:
            message = "the translation cannot be divided among the notebook's cells"
            raise SourceError(self.source.path, 0, 0, message)
        return {number: "\n".join(lines).strip("\n") for number, lines in texts.items()}

    def _drop_outputs(self) -> None:
        """What the cells printed was printed by the code before its translation."""
        for cell in self.content["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = []
                cell["execution_count"] = None


def name_cell(path: str, number: int) -> str:
    """The path under which a cell's findings are reported."""
    return f"{path}:cell {number}"


def read_notebook(data: bytes, path: str) -> Notebook:
    """Read a notebook and put its code cells together as one script."""
    source = decode_source(data, path)
    content = _load(source)
    notebook = Notebook(source, content, "", [], [])
    lines: list[str] = []
    for number, cell in enumerate(content["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        masked = _mask_cell(_join_lines(cell["source"]), notebook.magics)
        if masked is None:
            continue
        lines.append(_MARK.format(number))
        notebook.starts.append((len(lines), number))
        lines += masked.rstrip("\n").split("\n")
    notebook.script = "\n".join(lines) + "\n" if lines else ""
    return notebook


def _load(source: Source) -> Any:
    path = source.path
    if not source.text.strip():
        raise SourceError(path, 1, 1, "not a notebook: the file is empty")
    try:
        content = json.loads(source.text)
    except json.JSONDecodeError as error:
        message = f"not a notebook: {error.msg}"
        raise SourceError(path, error.lineno, error.colno, message) from None
    except RecursionError:
        raise SourceError(path, 1, 1, "not a notebook: nested too deeply") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise SourceError(path, 1, 1, "not a notebook of format 4: it has no list of cells")
    for number, cell in enumerate(cells, 1):
        if not (isinstance(cell, dict) and "cell_type" in cell and "source" in cell):
            raise SourceError(path, 1, 1, f"not a notebook: cell {number} has no type or no source")
    language = content.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    if language.lower() != "python":
        raise SourceError(path, 1, 1, f"a notebook in {language}, not in Python")
    return content


def _join_lines(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _mask_cell(code: str, magics: list[str]) -> str | None:
    """The cell as Python, or nothing where it is in another language."""
    first = code.lstrip().split(None, 1)[0] if code.strip() else ""
    if first.startswith("%%") and first not in _PYTHON_CELL_MAGICS:
        return None
    if _parses(code):
        return code
    return "\n".join(_mask_line(line, magics) for line in code.split("\n"))


def _mask_line(line: str, magics: list[str]) -> str:
    match = _LINE_MAGIC.match(line) or _ASSIGNED_MAGIC.match(line)
    if not match:
        return line
    magics.append(match[2])
    return f"{match[1]}_ipython_line_{len(magics) - 1}_()"


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _keep_semicolon(old: str, new: str) -> str:
    """A semicolon at a cell's end keeps its value from being shown; Black takes it away."""
    if not old.rstrip().endswith(";") or new.rstrip().endswith(";"):
        return new
    last = new.rstrip().rsplit("\n", 1)[-1]
    return new if "#" in last else f"{new.rstrip()};"


def _find_indent(text: str) -> int | None:
    match = re.match(r"\{\r?\n( +)", text)
    return len(match[1]) if match else None
