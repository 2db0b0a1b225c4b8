"""`DataLoader(data, **options)`, where the options are written in the program: one by one."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.syntax import code, find

Changes = dict[cst.CSTNode, Any]
_DEFAULTS = {"batch_size": "1", "shuffle": "False", "drop_last": "False"}
_HOST = frozenset(["num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "timeout",
                   "pin_memory_device", "worker_init_fn", "multiprocessing_context"])  # fmt: skip
"""How batches come to the device, which changes none of them."""
_Options = dict[str, bool]
"""Names of options, and whether they are surely there."""


def give_one_by_one(module: cst.Module, changes: Changes, gone: object) -> None:
    """`batch_size=options["batch_size"]` and so on; what only concerns the host is left out."""
    functions = list(find(module, cst.FunctionDef))
    idle: set[str] = set()
    inside = {n: f for f in functions for n in find(f, cst.Call)}
    for call in find(module, cst.Call):
        if code(call.func).rpartition(".")[2] != "DataLoader":
            continue
        star = [a for a in call.args if a.star == "**"]
        if len(star) != 1 or not isinstance(star[0].value, cst.Name):
            continue
        scope = inside.get(call, module)
        options = _options(scope, star[0].value.value)
        if options is None and scope is not module:
            options = _options(module, star[0].value.value)
        wanted = {name: sure for name, sure in (options or {}).items() if name not in _HOST}
        if options is None or not all(sure or n in _DEFAULTS for n, sure in wanted.items()):
            continue
        changes[call] = _giving(star[0], wanted)
        if not wanted:
            idle.add(code(star[0].value))
    for name in idle:
        _leave_out(module, name, changes, gone)


def _leave_out(module: cst.Module, name: str, changes: Changes, gone: object) -> None:
    """Take out the lines that make a dict of which nothing is wanted."""
    lines = [
        line
        for line in find(module, cst.SimpleStatementLine)
        if len(line.body) == 1
        and isinstance(line.body[0], cst.Assign)
        and code(line.body[0].targets[0].target) == name
        and _alternatives(line.body[0].value) is not None
    ]
    passed = sum(
        any(a.star == "**" and code(a.value) == name for a in call.args)
        for call in find(module, cst.Call)
        if call in changes
    )
    mentions = sum(n.value == name for n in find(module, cst.Name))
    if mentions == len(lines) + passed:
        changes.update(dict.fromkeys(lines, gone))


def _giving(star: cst.Arg, wanted: _Options) -> Any:
    name = code(star.value)

    def change(call: Any) -> Any:
        args = [
            a.with_changes(comma=cst.MaybeSentinel.DEFAULT) for a in call.args if a.star != "**"
        ]
        for option, sure in wanted.items():
            text = f'{name}["{option}"]'
            if not sure:
                text = f'{name}.get("{option}", {_DEFAULTS[option]})'
            equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
            value = cst.parse_expression(text)
            args.append(cst.Arg(value, keyword=cst.Name(option), equal=equal))
        return call.with_changes(args=args)

    return change


def _options(scope: cst.CSTNode, name: str, depth: int = 0) -> _Options | None:
    """What a variable's dict holds; None where that is not all written here."""
    if depth > 3:
        return None
    alternatives: list[set[str]] = []
    later: set[str] = set()
    nodes: list[Any] = list(find(scope, cst.Assign, cst.AugAssign, cst.AnnAssign))
    for node in nodes:
        is_plain = isinstance(node, cst.Assign)
        for target in [t.target for t in node.targets] if is_plain else [node.target]:
            if code(target) == name:
                found = _alternatives(node.value) if is_plain else None
                if found is None:
                    return None
                alternatives += found
            elif isinstance(target, cst.Subscript) and code(target.value) == name:
                key = _text(target.slice[0].slice)
                if key is None:
                    return None
                later.add(key)
    for call in find(scope, cst.Call):
        if code(call.func) == f"{name}.update":
            for arg in call.args:
                more = _updating(scope, arg, depth)
                if more is None:
                    return None
                later |= more
        elif not code(call.func).endswith(".update"):
            if any(not a.star and code(a.value) == name for a in call.args):
                return None  # who gets the dict may change it
    if not alternatives:
        return None
    sure = set.intersection(*alternatives)
    return {key: key in sure for key in sorted(set().union(later, *alternatives))}


def _updating(scope: cst.CSTNode, arg: cst.Arg, depth: int) -> set[str] | None:
    if arg.keyword is not None:
        return {arg.keyword.value}
    if isinstance(arg.value, cst.Name) and not arg.star:
        found = _options(scope, arg.value.value, depth + 1)
        return None if found is None else set(found)
    given = None if arg.star else _alternatives(arg.value)
    return None if given is None else set().union(*given)


def _alternatives(value: Any) -> list[set[str]] | None:
    """The keys of a dict display, of `dict(a=1)`, or of both sides of a condition."""
    if isinstance(value, cst.IfExp):
        one, other = _alternatives(value.body), _alternatives(value.orelse)
        return None if one is None or other is None else one + other
    if isinstance(value, cst.Dict):
        keys = [_text(e.key) if isinstance(e, cst.DictElement) else None for e in value.elements]
        return None if None in keys else [{k for k in keys if k is not None}]
    if isinstance(value, cst.Call) and code(value.func) == "dict":
        names = [a.keyword.value if a.keyword is not None else None for a in value.args]
        return None if None in names else [{n for n in names if n is not None}]
    return None


def _text(node: Any) -> str | None:
    node = node.value if isinstance(node, cst.Index) else node
    return str(node.evaluated_value) if isinstance(node, cst.SimpleString) else None
