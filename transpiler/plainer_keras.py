"""Spellings of Keras programs that say the same as plainer ones, put in those before inference.

* `layers.Conv2D(8, 3, **options)` with `options = dict(padding="same")`: the options one by one.
* `Conv = partial(layers.Conv2D, padding="same")`: the layer itself where it is called.
* `def block(x, n, **kwargs): return layers.Conv2D(n, 3, **kwargs)(x)`: by name what is passed on.
* `def compute_loss(self, x, y, y_pred)` alone: with the steps that Keras runs around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.passed_on import write_out
from transpiler.plainer import GONE, Changes, Origins, apply_changes
from transpiler.syntax import code, find
from transpiler.written_partials import write_partials
from transpiler.written_steps import write_steps

_LINE = cst.SimpleStatementLine
_FRESH = (cst.List, cst.Dict, cst.Lambda)
_PASSED = re.compile(r"\*\*\w+\s*,?\s*\)\s*(->[^\n]*)?:")
_STATELESS = re.compile(r"\b(initializers|regularizers|constraints)\.|\b[lL][12](_[lL]?[12])?$")
"""What makes the same again: options of layers that hold no variables."""


def plainer_keras(module: cst.Module, text: str) -> tuple[cst.Module, Origins]:
    """The module in plainer spellings, and what its new nodes were before.

    text: the module's source.
    """
    origins: Origins = {}
    steps: list[Callable[[cst.Module, Changes], None]] = []
    if "**" in text:
        steps.append(_give_literals)
    if "partial(" in text:
        steps.append(lambda tree, changes: write_partials(tree, changes, _changes))
    if _PASSED.search(text):
        steps.append(write_out)
    if "def compute_loss(" in text:
        steps.append(write_steps)
    for step in steps:
        changes: Changes = {}
        step(module, changes)
        if changes:
            module = apply_changes(module, changes, origins)
    return module, origins


def _give_literals(module: cst.Module, changes: Changes) -> None:
    """Dicts that are written once and only ever unpacked into calls."""
    mentions: dict[str, list[cst.Name]] = {}
    for node in find(module, cst.Name):
        mentions.setdefault(node.value, []).append(node)
    unpacked: dict[str, list[cst.Call]] = {}
    for call in find(module, cst.Call):
        for arg in call.args:
            if arg.star == "**" and isinstance(arg.value, cst.Name):
                unpacked.setdefault(arg.value.value, []).append(call)
    scopes = {n: f for f in find(module, cst.FunctionDef) for n in find(f, cst.Call, _LINE)}
    chosen: dict[str, list[cst.Arg]] = {}
    for line in find(module, _LINE):
        name, value = _single(line)
        calls = unpacked.get(name, [])
        if not calls or len(mentions[name]) != len(calls) + 1:
            continue
        given = _arguments(value)
        places = {scopes.get(n) for n in (line, *calls)}
        if given is None or _changes(module, given, places):
            continue
        chosen[name] = given
        changes[line] = GONE
    for call in {c: None for name in chosen for c in unpacked[name]}:
        changes[call] = _giving(chosen)


def _bindings(scope: cst.CSTNode) -> list[str]:
    """The names that assignments, loops and parameters bind."""
    nodes = find(scope, cst.AssignTarget, cst.AugAssign, cst.For, cst.CompFor)
    targets: list[Any] = [node.target for node in nodes]  # type: ignore[attr-defined]
    targets += [p.name for p in find(scope, cst.Param)]
    return [name.value for target in targets for name in find(target, cst.Name)]


def _single(line: cst.SimpleStatementLine) -> tuple[str, Any]:
    """`name = value`."""
    small = line.body[0] if len(line.body) == 1 else None
    if isinstance(small, cst.Assign) and len(small.targets) == 1:
        target = small.targets[0].target
        if isinstance(target, cst.Name):
            return target.value, small.value
    return "", None


def _arguments(value: Any) -> list[cst.Arg] | None:
    """The keyword arguments that a dict display, or a call of `dict`, stands for."""
    if isinstance(value, cst.Call) and code(value.func) == "dict":
        args = list(value.args)
        return args if all(a.keyword is not None for a in args) else None
    if not isinstance(value, cst.Dict):
        return None
    found = []
    for element in value.elements:
        key = element.key if isinstance(element, cst.DictElement) else None
        text = key.evaluated_value if isinstance(key, cst.SimpleString) else None
        if not isinstance(text, str) or not text.isidentifier():
            return None
        equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
        found.append(cst.Arg(element.value, keyword=cst.Name(text), equal=equal))
    return found


def _changes(module: cst.Module, given: list[cst.Arg], places: set[Any]) -> bool:
    """Whether a value may be another one where it is unpacked, or would be made twice.

    places: the functions in which the dict is made and unpacked.
    """
    names: set[str] = set()
    for node in (n for a in given for n in find(a.value, cst.Call, *_FRESH, cst.Name)):
        if isinstance(node, cst.Name):
            names.add(node.value)
        elif not (isinstance(node, cst.Call) and _STATELESS.search(code(node.func))):
            return True
    bound = [n for place in places for n in _bindings(place or module)]
    if len(places) == 1:
        return any(bound.count(n) > 1 for n in names)
    functions = [n for p in places if p is not None for n in _bindings(p)]
    return any(bound.count(n) > 1 for n in names) or not names.isdisjoint(functions)


def _giving(chosen: dict[str, list[cst.Arg]]) -> Any:
    def change(call: Any) -> Any:
        args: list[cst.Arg] = []
        for arg in call.args:
            name = arg.value.value if isinstance(arg.value, cst.Name) else ""
            if arg.star == "**" and name in chosen:
                args += [a.deep_clone().with_changes(comma=cst.MaybeSentinel.DEFAULT,
                                        whitespace_after_arg=cst.SimpleWhitespace(""))
                         for a in chosen[name]]  # fmt: skip
            else:
                args.append(arg.with_changes(comma=cst.MaybeSentinel.DEFAULT))
        return call.with_changes(args=args)

    return change
