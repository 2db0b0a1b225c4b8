"""The way through, top to bottom: read, resolve and infer, plan, apply, finish."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from transpiler import rulebook
from transpiler.config import Config
from transpiler.context import Context
from transpiler.emission import place_units
from transpiler.findings import Finding
from transpiler.imports import finish_imports
from transpiler.infer.interpreter import Interpreter
from transpiler.inner_gradients import InnerGradients
from transpiler.normalize import normalize
from transpiler.places import Places
from transpiler.plainer import plainer
from transpiler.plainer_keras import plainer_keras
from transpiler.recognition import Known, place_definitions, recognize
from transpiler.rule import Direction
from transpiler.siblings import Caller
from transpiler.source import SourceError
from transpiler.syntax import code, forget_walks
from transpiler.units import module_text

PLANNERS: dict[Direction, tuple[str, ...]] = {
    "tf": (
        "transpiler.planners.mode",
        "transpiler.planners.rebindings",
        "transpiler.planners.layer_settings",
        "transpiler.planners.unfreezing",
        "transpiler.planners.step",
        "transpiler.planners.step.groups",
        "transpiler.planners.step.inner",
        "transpiler.planners.former_python",
        "transpiler.planners.hooked_schedules",
        "transpiler.planners.type_tests",
        "transpiler.planners.initial_loops",
        "transpiler.planners.first_parameter",
        "transpiler.planners.built_layers",
        "transpiler.planners.containers",
        "transpiler.planners.image_arrays",
        "transpiler.planners.recurrent",
        "transpiler.planners.in_place_layers",
        "transpiler.planners.layout",
        "transpiler.planners.model",
        "transpiler.planners.reserved_names",
        "transpiler.planners.stateful",
        "transpiler.planners.states",
        "transpiler.planners.gradmode",
        "transpiler.planners.partials",
        "transpiler.planners.operators",
        "transpiler.planners.element_updates",
        "transpiler.planners.indexing",
        "transpiler.planners.expressions",
        "transpiler.planners.unread_devices",
        "transpiler.planners.built_optimizers",
    ),
    "torch": (
        "transpiler.planners.former_python",
        "transpiler.planners.keras_settings",
        "transpiler.planners.keras_data",
        "transpiler.planners.keras_tape",
        "transpiler.planners.keras_compile",
        "transpiler.planners.keras_own",
        "transpiler.planners.keras_model",
        "transpiler.planners.keras_graph",
        "transpiler.planners.keras_sequential",
        "transpiler.planners.keras_type_tests",
        "transpiler.planners.keras_freezing",
        "transpiler.planners.keras_fit",
        "transpiler.planners.keras_values",
        "transpiler.planners.expressions",
        "transpiler.planners.keras_devices",
    ),
}
"""The planners by direction; structural ones claim nodes before the expression rules run."""


@dataclass(frozen=True)
class Conversion:
    """A translated module and what there is to say about it."""

    code: str
    findings: tuple[Finding, ...] = ()


def convert(
    source: str,
    to: Direction,
    *,
    path: str = "<stdin>",
    config: Config = Config(),  # noqa: B008 - frozen
    siblings: Mapping[str, str] | None = None,
    callers: Sequence[Caller] = (),
) -> Conversion:
    """Translate a module's source to the other framework.

    siblings: texts of the project's other modules, by the dotted name that imports them.
    callers: programs of the project that import this module; they show what it is called with.
    Raises SourceError where the source does not parse.
    """
    collecting = gc.isenabled()
    gc.disable()  # trees are large and free of garbage: collections only cost time here
    try:
        return _convert(source, to, path, config, siblings or {}, callers)
    finally:
        forget_walks()
        if collecting:
            gc.enable()


def _convert(
    source: str,
    to: Direction,
    path: str,
    config: Config,
    siblings: Mapping[str, str],
    callers: Sequence[Caller],
) -> Conversion:
    written = normalize(parse(source, path))
    book = rulebook.load(config.rules, to)
    reader = _Reader(to, lambda name: bool(book.candidates(to, name)))
    module = reader.recognize(written, source)
    origins: dict[cst.CSTNode, cst.CSTNode] = {}
    enclosed: dict[cst.CSTNode, cst.With] = {}
    if to == "tf":
        module, origins = plainer(module, source)
        gradients = InnerGradients(module)
        module, enclosed = gradients.enclose(module), gradients.blocks
        origins |= {new: origins.get(old, old) for new, old in gradients.origins.items()}
    else:
        module, origins = plainer_keras(module, source)
    interpreter = Interpreter(book.knowledge, reader.loader(siblings))
    interpreter.rounds = {} if to == "torch" else None
    interpreter.run(module, callers=[_Caller(c, reader) for c in callers])
    context = Context(module, to, config, interpreter, book, path)
    context.notes["places"] = lambda: Places(written, source, context.edits.parent, origins)
    context.notes["inner gradients"] = enclosed
    for name in PLANNERS[to]:
        importlib.import_module(name).plan(context)
    context.settle()
    result = context.edits.apply()
    if context.notes.get("graphs"):
        from transpiler.planners.keras_scope import settle_names

        result = settle_names(result)
    result = place_units(context, place_definitions(context, result))
    result = finish_imports(context, result)
    return Conversion(format_code(code(result), config.line_length), context.findings())


def parse(source: str, path: str = "<stdin>") -> cst.Module:
    """The tree of a module. Raises SourceError with the place of a syntax error."""
    try:
        return cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise SourceError(path, error.raw_line, error.raw_column + 1, error.message) from None


class _Reader:
    """Reads modules as they are interpreted: one statement a line, emitted units by name."""

    def __init__(self, to: Direction, known: Known) -> None:
        self.to = to
        self.known = known

    def recognize(self, module: cst.Module, text: str) -> cst.Module:
        return recognize(module, text, self.to, self.known)

    def read(self, text: str) -> cst.Module | None:
        try:
            return self.recognize(normalize(cst.parse_module(text)), text)
        except cst.ParserSyntaxError:
            return None

    def loader(self, siblings: Mapping[str, str]) -> Callable[[str], cst.Module | None]:
        """What finds the modules of a project, and those that the units stand in."""

        def load(name: str) -> cst.Module | None:
            text = siblings.get(name)
            if text is not None:
                return self.read(text)
            text = module_text(name)
            return normalize(cst.parse_module(text)) if text is not None else None

        return load


class _Caller:
    """A program that imports the module, ready to be interpreted."""

    def __init__(self, caller: Caller, reader: _Reader) -> None:
        self.names = caller.names
        self.load = reader.loader(caller.siblings)
        self.text = caller.text
        self.reader = reader

    def tree(self) -> cst.Module | None:
        return self.reader.read(self.text)


def format_code(code: str, line_length: int = 88) -> str:
    """Black's form of the code. Where it changes something, Black itself makes a second pass."""
    import black

    return black.format_str(code, mode=black.Mode(line_length=line_length))
