"""The translation of one file: from its bytes to those of the translated file, and the findings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from transpiler.config import Config
from transpiler.findings import Finding, Grade, Span, sort_findings
from transpiler.origin import Origin, find_origin, parse_tree
from transpiler.rules import frameworks
from transpiler.siblings import find_callers, find_siblings
from transpiler.source import STDIN, Source, SourceError, decode_source, read_bytes

if TYPE_CHECKING:
    from transpiler.notebook import Notebook

Target = Literal["tf", "torch"]


class Translation:
    """What became of one file."""

    def __init__(self, path: str, data: bytes = b"", error: SourceError | None = None) -> None:
        self.path = path
        self.data = data
        """The bytes of the translated file."""
        self.changed = False
        self.findings: tuple[Finding, ...] = ()
        self.note = ""
        """Why a file was left as it is."""
        self.error = error
        self.texts: dict[str, str] = {}
        """The source text under each path that the findings name."""

    @property
    def unfinished(self) -> bool:
        """Something is left for a person."""
        return any(finding.grade is Grade.MANUAL for finding in self.findings)


def translate_path(path: str, to: Target, config: Config, root: Path | None = None) -> Translation:
    """Read and translate one file."""
    try:
        data = read_bytes(path)
    except SourceError as error:
        return Translation(path, error=error)
    return translate_file(path, data, to, config, root)


def translate_file(
    path: str, data: bytes, to: Target, config: Config, root: Path | None = None
) -> Translation:
    """Translate a file's bytes; whatever goes wrong becomes the translation's error."""
    result = Translation(path, data)
    try:
        if path.endswith(".ipynb"):
            from transpiler.notebook import read_notebook

            _translate_notebook(result, read_notebook(data, path), to, config, root)
        else:
            source = decode_source(data, path)
            result.texts[path] = source.text
            text = _translate_text(result, source.text, to, config, root)
            _store(result, source, text)
    except SourceError as error:
        result.error = error
    except Exception as error:
        result.error = SourceError(path, 0, 0, _describe_fault(error))
    if result.error:
        result.data, result.changed, result.findings = data, False, ()
    return result


def _translate_notebook(
    result: Translation, notebook: Notebook, to: Target, config: Config, root: Path | None
) -> None:
    result.texts.update(notebook.list_cells())
    try:
        script = _translate_text(result, notebook.script, to, config, root)
    except SourceError as error:
        raise notebook.locate_error(error) from None
    result.findings = tuple(notebook.locate(finding) for finding in result.findings)
    if script != notebook.script:
        _store(result, notebook.source, notebook.replace_script(script).text)


def _store(result: Translation, source: Source, text: str) -> None:
    if text != source.text:
        result.data = source.with_text(text).encode()
        result.changed = True


def _translate_text(
    result: Translation, text: str, to: Target, config: Config, root: Path | None
) -> str:
    """The translated text; findings and a note are left in the result."""
    origin = find_origin(text, result.path)
    siblings: Mapping[str, str] = {}
    if result.path != STDIN:
        siblings = find_siblings(Path(result.path), origin.imports, root)
    if origin.dialect and to == "torch":
        return _refuse_dialect(result, text, origin)
    if note := _find_note(origin, siblings, to):
        result.note = note
        return text
    from transpiler.convert import convert

    callers = () if result.path == STDIN else find_callers(Path(result.path), root)
    conversion = convert(
        text, to, path=result.path, config=config, siblings=siblings, callers=callers
    )
    parse_tree(conversion.code, result.path)
    result.findings = sort_findings([*conversion.findings, *_find_mixture(result, origin, to)])
    return conversion.code


def _find_note(origin: Origin, siblings: Mapping[str, str], to: Target) -> str:
    """Why there is nothing to translate."""
    target, source = frameworks.TITLES[to], _name_source(to)
    if origin.empty:
        return "no code in it, left as it is"
    if source in origin.frameworks:
        return ""
    if to in origin.frameworks:
        return f"already written for {target}, left as it is"
    if any(source in find_origin(text, name).frameworks for name, text in siblings.items()):
        return ""  # it may well call what its siblings define
    return f"neither {frameworks.TITLES[source]} nor {target} in it, left as it is"


def _name_source(to: Target) -> Target:
    return "torch" if to == "tf" else "tf"


def _find_mixture(result: Translation, origin: Origin, to: Target) -> list[Finding]:
    """A file of both frameworks is translated, and told to be one."""
    if to not in origin.frameworks:
        return []
    item = origin.frameworks[to]
    source, target = frameworks.TITLES[_name_source(to)], frameworks.TITLES[to]
    return [
        Finding(
            result.path,
            item.span,
            Grade.CAUTION,
            "both-frameworks",
            f"the file uses {target} already ({item.module}): only what it does with {source}"
            " was translated",
            f"check the places where values pass between {source} and {target}",
        )
    ]


def _refuse_dialect(result: Translation, text: str, origin: Origin) -> str:
    """Leave a program of the retired dialect as it is, and say so above its first such line."""
    assert origin.dialect
    name, span = origin.dialect
    message = f"{name} belongs to TensorFlow 1: its graphs and sessions are not translated"
    hint = "bring the script to TensorFlow 2 first (tf_upgrade_v2, then eager execution and Keras)"
    result.findings = (Finding(result.path, span, Grade.MANUAL, "tensorflow-1", message, hint),)
    return _insert_reason(text, _find_start(origin, span), f"# TODO(transpile): {message}")


def _find_start(origin: Origin, span: Span) -> int:
    return max((line for line in origin.lines if line <= span.line), default=1)


def _insert_reason(text: str, line: int, comment: str) -> str:
    lines = text.split("\n")
    before = lines[line - 2].strip() if line > 1 else ""
    if before == comment:
        return text
    indent = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]
    return "\n".join([*lines[: line - 1], indent + comment, *lines[line - 1 :]])


def _describe_fault(error: Exception) -> str:
    """A sentence for a fault of our own, with the place in our code."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return (
        f"internal error, nothing was written: {type(error).__name__}{place}: {error};"
        " please report it with the file"
    )
