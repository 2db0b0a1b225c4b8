"""Arguments that a function only passes on, written out by name.

`def __init__(self, n, **kwargs)` whose `kwargs` go to `nn.Conv2d(n, 8, **kwargs)` takes by name,
with torch's defaults, what the program's calls give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.syntax import code, find

_KERAS = ("keras.layers.", "tensorflow.keras.layers.", "tf.keras.layers.")
_LIBRARIES = ("torch.nn.", *_KERAS)
Changes = dict[cst.CSTNode, Any]
Defaults = dict[str, str | None]
"""Parameters in their order; None where there is no default."""


@dataclass(eq=False)
class _Forward:
    """A function of the module, or the constructor of a class, that passes arguments on."""

    name: str
    function: cst.FunctionDef
    is_method: bool
    args: str = ""
    kwargs: str = ""
    calls: list[cst.Call] = field(default_factory=list)
    """The calls that take its `*args` and `**kwargs`."""
    extra: int = 0
    """How many arguments callers give by position beyond its own parameters."""
    given: set[str] = field(default_factory=set)
    """What callers give by other names than its own."""
    is_known: bool = True
    """Whether all that callers give can be read off their calls."""
    written: Defaults | None = None

    @property
    def own(self) -> list[cst.Param]:
        return list(self.function.params.params)[int(self.is_method) :]


def write_out(module: cst.Module, changes: Changes) -> None:
    """Plan parameters and arguments by name for what is only passed on to the library."""
    found = _forwards(module)
    if not found:
        return
    reader = _Reader(module, {f.name: f for f in found})
    if not any(reader.library_name(c) for f in found for c in f.calls):
        return
    for forward in found:
        reader.read_calls(forward)
    reader.pass_on()
    for forward in found:
        if reader.reaches_library(forward) and reader.write(forward):
            changes[forward.function.params] = _parameters(forward)
            for call in forward.calls:
                changes[call] = _arguments(forward)


def _forwards(module: cst.Module) -> list[_Forward]:
    found: list[_Forward] = []
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef):
            found.append(_Forward(statement.name.value, statement, False))
        elif isinstance(statement, cst.ClassDef):
            for member in statement.body.body:
                if isinstance(member, cst.FunctionDef) and member.name.value == "__init__":
                    found.append(_Forward(statement.name.value, member, True))
    return [f for f in found if _passes_on(f)]


def _passes_on(forward: _Forward) -> bool:
    """Whether its `*args` and `**kwargs` are used in calls only, both in each."""
    params = forward.function.params
    if isinstance(params.star_arg, cst.Param):
        forward.args = params.star_arg.name.value
    if isinstance(params.star_kwarg, cst.Param):
        forward.kwargs = params.star_kwarg.name.value
    stars = sorted(s for s in (forward.args, forward.kwargs) if s)
    if not stars or params.kwonly_params or params.posonly_params:
        return False
    if forward.args and any(p.default is not None for p in params.params):
        return False
    uses = 0
    for call in find(forward.function.body, cst.Call):
        passed = sorted(code(a.value) for a in call.args if a.star)
        if set(passed) & set(stars):
            if passed != stars:
                return False
            forward.calls.append(call)
            uses += len(passed)
    return uses == sum(n.value in stars for n in find(forward.function.body, cst.Name)) > 0


class _Reader:
    """What the module's calls give, and what the library's functions take."""

    def __init__(self, module: cst.Module, forwards: dict[str, _Forward]) -> None:
        self.module = module
        self.forwards = forwards
        self.calls = list(find(module, cst.Call))
        self.passing = {call for f in forwards.values() for call in f.calls}
        self.imported = dict(_imported(module))
        self.defined = {
            s.name.value for s in module.body if isinstance(s, (cst.FunctionDef, cst.ClassDef))
        }

    def library_name(self, call: cst.Call) -> str | None:
        """`torch.nn.Conv2d` of `nn.Conv2d(...)`."""
        first, _, rest = code(call.func).partition(".")
        name = f"{self.imported.get(first, '')}.{rest}".strip(".")
        return name if name.startswith(_LIBRARIES) else None

    def reaches_library(self, forward: _Forward, seen: frozenset[str] = frozenset()) -> bool:
        """Whether all that it calls is the library's, or leads there in the end."""
        inner = [self.forwards.get(code(c.func)) for c in forward.calls]
        return forward.name not in seen and all(
            self.library_name(call) is not None
            or (f is not None and self.reaches_library(f, seen | {forward.name}))
            for call, f in zip(forward.calls, inner, strict=True)
        )

    def own_count(self, call: cst.Call) -> int:
        """Arguments by position before those that are passed on."""
        return sum(a.keyword is None and not a.star for a in call.args)

    def read_calls(self, forward: _Forward) -> None:
        own = {p.name.value for p in forward.own}
        for call in self.calls_of(forward):
            if call not in self.passing and any(
                a.star == "**" or (a.star and forward.args) for a in call.args
            ):
                forward.is_known = False
            forward.extra = max(forward.extra, self.own_count(call) - len(own))
            forward.given |= {a.keyword.value for a in call.args if a.keyword is not None} - own

    def calls_of(self, forward: _Forward) -> Iterator[cst.Call]:
        """Its calls, and calls of variables where one may hold it."""
        named = [c for c in self.calls if code(c.func) == forward.name]
        yield from named
        mentions = sum(n.value == forward.name for n in find(self.module, cst.Name))
        if mentions > len(named) + 1:
            known = self.defined | set(self.imported)
            for call in self.calls:
                if isinstance(call.func, cst.Name) and call.func.value not in known:
                    yield call

    def pass_on(self) -> None:
        """What one passes on to another is given to that too."""
        for _ in self.forwards:
            for forward in self.forwards.values():
                for call in forward.calls:
                    inner = self.forwards.get(code(call.func))
                    if inner is not None:
                        own = {p.name.value for p in inner.own}
                        inner.given |= forward.given - own

    def write(self, forward: _Forward) -> bool:
        """Find names and defaults of what is given; False where they are not all known."""
        if not forward.is_known or not any(code(c.func) == forward.name for c in self.calls):
            return False
        if forward.written is None:
            forms = [self.taken(call) for call in forward.calls]
            if any(form is None or form != forms[0] for form in forms) or forms[0] is None:
                return False
            taken = forms[0]
            if len(taken) < forward.extra or (forward.extra > 0 and not forward.args):
                return False
            chosen = [*list(taken)[: max(forward.extra, 0)]]
            chosen += [n for n in taken if n in forward.given and n not in chosen]
            bound = {code(t.target) for t in find(forward.function, cst.AssignTarget)}
            bound |= {p.name.value for p in forward.own}
            if set(chosen) & bound:
                return False
            forward.written = {name: taken[name] for name in chosen}
        return True

    def taken(self, call: cst.Call) -> Defaults | None:
        """What a call may still be given, by the signature of what it calls."""
        inner = self.forwards.get(code(call.func))
        if inner is not None:
            if not self.write(inner):
                return None
            params: Defaults = {}
            for p in inner.own:
                params[p.name.value] = None if p.default is None else code(p.default)
            params |= inner.written or {}
        else:
            entry = signatures.lookup(self.library_name(call) or "")
            if entry is None or not entry.signatures:
                return None
            form = entry.signatures[0].parameters
            params = {p.name: p.default for p in form}
            if any(p.kind.startswith("var") for p in form):
                if not (self.library_name(call) or "").startswith(_KERAS):
                    return None
                params = {p.name: p.default for p in form if not p.kind.startswith("var")}
                params |= {"name": "None"}
        named = {a.keyword.value for a in call.args if a.keyword is not None}
        rest = list(params)[self.own_count(call) :]
        return {name: params[name] for name in rest if name not in named}


def _imported(module: cst.Module) -> Iterator[tuple[str, str]]:
    """Names that imports bind, with what they stand for."""
    for node in find(module, cst.SimpleStatementLine):
        yield from (pair for small in node.body for pair in _names_of(small))


def _names_of(node: cst.BaseSmallStatement) -> Iterator[tuple[str, str]]:
    if isinstance(node, (cst.Import, cst.ImportFrom)) and not isinstance(
        node.names, cst.ImportStar
    ):
        owner = ""
        if isinstance(node, cst.ImportFrom):
            owner = f"{code(node.module)}." if node.module is not None else "."
        for alias in node.names:
            name = code(alias.name)
            if alias.asname is not None:
                yield code(alias.asname.name), f"{owner}{name}"
            else:
                first = name.partition(".")[0]
                yield first, f"{owner}{first}"


def _parameters(forward: _Forward) -> cst.Parameters:
    params = forward.function.params
    new = [
        cst.Param(cst.Name(name), default=None if text is None else cst.parse_expression(text))
        for name, text in (forward.written or {}).items()
    ]
    new.sort(key=lambda p: p.default is not None)
    plain = params.with_changes(star_arg=cst.MaybeSentinel.DEFAULT, star_kwarg=None)
    plain = plain.with_changes(params=[_without_comma(p) for p in params.params])
    if any(p.default is not None for p in params.params) and any(p.default is None for p in new):
        return plain.with_changes(kwonly_params=new)
    return plain.with_changes(params=[*plain.params, *new])


def _without_comma(param: cst.Param) -> cst.Param:
    return param.with_changes(comma=cst.MaybeSentinel.DEFAULT)


def _arguments(forward: _Forward) -> Any:
    """The arguments of a call with names for what is passed on."""
    names = list(forward.written or {})
    by_position = names[: max(forward.extra, 0)]

    def change(call: Any) -> Any:
        args: list[cst.Arg] = []
        for arg in call.args:
            text = code(arg.value)
            if arg.star == "*" and text == forward.args:
                args += [cst.Arg(cst.Name(name)) for name in by_position]
            elif arg.star == "**" and text == forward.kwargs:
                args += [_keyword(name) for name in names if name not in by_position]
            else:
                args.append(arg.with_changes(comma=cst.MaybeSentinel.DEFAULT))
        return call.with_changes(args=args)

    return change


def _keyword(name: str) -> cst.Arg:
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    return cst.Arg(cst.Name(name), keyword=cst.Name(name), equal=equal)


# ---- lambdas that only pass on ---------------------------------------------------------------


def call_directly(module: cst.Module, changes: dict[cst.CSTNode, Any], gone: object) -> None:
    """`V = lambda *args, **kwargs: f(*args, **kwargs)`: f itself, wherever V is called.

    The other side of a condition may move the result to a device.
    """
    parts = {a.attr for a in find(module, cst.Attribute)} | {
        a.keyword for a in find(module, cst.Arg)
    }
    for line in find(module, cst.SimpleStatementLine):
        match line.body[0]:
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))],
                            value=cst.Lambda() as made):  # fmt: skip
                called = _passed_to(made)
                uses = [n for n in find(module, cst.Name) if n.value == name and n not in parts]
                calls = {c.func for c in find(module, cst.Call)}
                written = [n for n in uses if n not in calls]
                if called is not None and len(written) == 1:  # the assignment
                    changes[line] = gone
                    changes.update({n: called.deep_clone() for n in uses if n in calls})


def _passed_to(made: cst.Lambda) -> cst.BaseExpression | None:
    """What a lambda passes all of its arguments on to."""
    params = made.params
    star, stars = params.star_arg, params.star_kwarg
    if params.params or params.kwonly_params or not isinstance(star, cst.Param):
        return None
    if stars is None:
        return None
    body = made.body
    sides = [body.body, body.orelse] if isinstance(body, cst.IfExp) else [body]
    called = [_unmoved(side) for side in sides]
    wanted = f"(*{star.name.value}, **{stars.name.value})"
    if any(code(c) != code(c.func) + wanted for c in called if isinstance(c, cst.Call)):
        return None
    texts = {code(c.func) if isinstance(c, cst.Call) else "" for c in called}
    first = called[0]
    return first.func if len(texts) == 1 and isinstance(first, cst.Call) else None


def _unmoved(value: cst.BaseExpression) -> cst.BaseExpression:
    """The call of `f(...).cuda()`."""
    match value:
        case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name("cuda" | "cpu")), args=[]):
            return inner
    return value
