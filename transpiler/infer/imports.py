"""What import statements bind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from transpiler import signatures
from transpiler.infer.frames import Frame
from transpiler.infer.values import Symbol, Value
from transpiler.syntax import dotted

if TYPE_CHECKING:
    from transpiler.infer.interpreter import Interpreter


def bind_import(interpreter: Interpreter, node: cst.Import | cst.ImportFrom, frame: Frame) -> None:
    """Bind the names of `import a.b as c` and `from .x import y`."""
    if isinstance(node, cst.Import):
        for alias in node.names:
            name = dotted(alias.name) or ""
            target = _as_name(alias)
            if target is not None:
                frame.assign(target, _module(interpreter, name))
            else:
                root = name.partition(".")[0]
                _module(interpreter, name)
                frame.assign(root, _module(interpreter, root))
        return
    base = absolute_name(node, frame.package, frame.module_name)
    if isinstance(node.names, cst.ImportStar):
        _bind_star(interpreter, base, frame)
        return
    for alias in node.names:
        name = dotted(alias.name) or ""
        frame.assign(_as_name(alias) or name, _member(interpreter, base, name))


def absolute_name(node: cst.ImportFrom, package: str, module: str = "") -> str:
    """The full name of the module that `from ... import` reads."""
    name = dotted(node.module) or "" if node.module is not None else ""
    level = len(node.relative)
    if level == 0:
        return name
    parts = package.split(".") if package else []
    parts = parts[: len(parts) - (level - 1)] if level > 1 else parts
    return ".".join([*parts, name] if name else parts)


def _as_name(alias: cst.ImportAlias) -> str | None:
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        return alias.asname.name.value
    return None


def _module(interpreter: Interpreter, name: str) -> Value:
    return interpreter.import_module(name) or Symbol(interpreter.knowledge.canonical(name))


def _member(interpreter: Interpreter, base: str, name: str) -> Value:
    module = interpreter.import_module(base) if base else None
    if module is not None:
        found = module.frame.values.get(name)
        if found is not None:
            return found
    inner = interpreter.import_module(f"{base}.{name}" if base else name)
    if inner is not None:
        return inner
    if module is not None:
        return Symbol(f"{base}.{name}")
    return interpreter.attribute(Symbol(interpreter.knowledge.canonical(base)), name)


def _bind_star(interpreter: Interpreter, base: str, frame: Frame) -> None:
    module = interpreter.import_module(base)
    if module is not None:
        for name, value in module.frame.values.items():
            if not name.startswith("_"):
                frame.assign(name, value)
        return
    base = interpreter.knowledge.canonical(base)
    for name in signatures.members(base):
        short = name.rpartition(".")[2]
        if not short.startswith("_"):
            frame.assign(short, Symbol(interpreter.knowledge.canonical(f"{base}.{short}")))
