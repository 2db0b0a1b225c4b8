"""`torch.autograd.grad`: a block of their own for the statements that compute what it is taken of.

A tape records only inside its block, so what is differentiated has to stand in one:
`with torch.enable_grad() as inner_tape`, which the planner of these gradients makes a tape. It
watches what it is asked about: tensors that are made anew each time are no variables for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.dataflow import reads, writes
from transpiler.syntax import children, code, dotted, find, names_read, rebuild

NAME = "torch.autograd.grad"
_PASSED = (cst.If, cst.Else, cst.With, cst.IndentedBlock)
"""What a gradient may stand in, inside the block of what it is taken of."""
_REPEATED = (cst.Lambda, cst.ListComp, cst.GeneratorExp, cst.SetComp, cst.DictComp)


class InnerGradients:
    """The calls of one module, the blocks made for them, and what new statements were before."""

    def __init__(self, module: cst.Module) -> None:
        self.names = _names(module)
        self.kept: set[str] = set()
        self.taken = {n.value for n in find(module, cst.Name)}
        self.blocks: dict[cst.CSTNode, cst.With] = {}
        self.origins: dict[cst.CSTNode, cst.CSTNode] = {}

    def enclose(self, module: cst.Module) -> cst.Module:
        """The module with a block around the statements that each gradient is taken of."""
        if not self.names or not any(code(c.func) in self.names for c in find(module, cst.Call)):
            return module
        self.kept = _kept(module)
        return self._node(module, repeated=False)  # type: ignore[no-any-return]

    def _node(self, node: Any, *, repeated: bool) -> Any:
        if isinstance(node, cst.SimpleStatementLine):
            return self._unasked(node) if repeated else node
        inner = [c for c in children(node) if isinstance(c, _HOLDING)]
        repeated = repeated or isinstance(node, (cst.FunctionDef, cst.For, cst.While))
        made: dict[cst.CSTNode, Any] = {}
        for part in inner:
            if (new := self._node(part, repeated=repeated)) is not part:
                made[part] = new
        new = node
        if made:
            new = rebuild(node, lambda part: made.get(part))
            self.origins[new] = node
        if isinstance(new, (cst.Module, cst.IndentedBlock)):
            body = self._body(list(new.body))
            if body is not None:
                new = new.with_changes(body=body)
        return new

    def _unasked(self, line: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
        """`x = Variable(y, requires_grad=True)` without the request."""
        small = line.body[0]
        match small:
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
                new = _unasked(value) if name not in self.kept else value
                if new is not value:
                    made = line.with_changes(body=[small.with_changes(value=new)])
                    self.origins[made] = line
                    return made
        return line

    def _body(self, body: list[Any]) -> list[Any] | None:
        changed = False
        place = 0
        while place < len(body):
            for call in [c for c in _calls(body[place]) if code(c.func) in self.names]:
                if call not in self.blocks and (run := self._run(body, place, call)):
                    place = self._enclose(body, place, call, run)
                    changed = True
            place += 1
        return body if changed else None

    def _run(self, body: list[Any], place: int, call: cst.Call) -> tuple[int, int] | None:
        """First and last of the statements that compute what the gradient is taken of."""
        outputs, inputs = argument(call, 0, "outputs"), argument(call, 1, "inputs")
        if outputs is None or inputs is None:
            return None
        line = body[place]
        plain = isinstance(line, cst.SimpleStatementLine)
        if not plain and writes(line) & (names_read(inputs) | names_read(outputs)):
            return None
        bound = [i for i in range(place) if writes(body[i]) & names_read(inputs)]
        start = max(bound) + 1 if bound else 0
        needed, used = reads(outputs), []
        for index in range(place - 1, start - 1, -1):
            if writes(body[index]) & needed:
                used.append(index)
                needed |= reads(body[index])
        if not isinstance(outputs, (cst.Name, cst.Attribute)):
            if not plain or not (used or _computes(outputs, inputs)):
                return None
            return min([*used, place]), place - 1
        return (min(used), max(used)) if used else None

    def _enclose(self, body: list[Any], place: int, call: cst.Call, run: tuple[int, int]) -> int:
        """Put the run in a block; the place where the call's statement stands now."""
        first, last = run
        outputs = argument(call, 0, "outputs")
        inner = body[first : last + 1]
        block = inner[0] if len(inner) == 1 else None
        if block in self.blocks.values() and isinstance(outputs, cst.Name):
            self.blocks[call] = block  # type: ignore[assignment]
            return place
        if not isinstance(outputs, (cst.Name, cst.Attribute)):
            name = cst.Name(self._fresh("value"))
            assigned = cst.Assign([cst.AssignTarget(name)], outputs)  # type: ignore[arg-type]
            inner.append(cst.SimpleStatementLine([assigned]))
            line, old, outputs = body[place], call, outputs
            call = rebuild(call, lambda node: name if node is outputs else None)
            body[place] = rebuild(line, lambda node: call if node is old else None)
            self.origins[body[place]] = self.origins.get(line, line)
        tape = cst.AsName(cst.Name(self._fresh("inner_tape")))
        recorded = cst.WithItem(cst.parse_expression("torch.enable_grad()"), tape)
        made = cst.With([recorded], cst.IndentedBlock(inner))
        body[first : last + 1] = [made]
        self.blocks[call] = made
        return place - (last - first)

    def _fresh(self, name: str) -> str:
        number = next(n for n in range(1, 999) if f"{name}{_suffix(n)}" not in self.taken)
        self.taken.add(f"{name}{_suffix(number)}")
        return f"{name}{_suffix(number)}"


_IN_PLACE = re.compile(r"(?<!_)(?<!^requires_grad)_$")
_HOLDING = (cst.BaseStatement, cst.BaseSuite, cst.Else, cst.Finally, cst.ExceptHandler)


def _kept(module: cst.Module) -> set[str]:
    """Names of what may have to be a variable: changed in place, handed on, or its `.grad` read."""
    found: set[str] = set()
    for part in find(module, cst.Attribute):
        if part.attr.value in ("grad", "data") or _IN_PLACE.search(part.attr.value):
            found |= names_read(part.value)
    for call in find(module, cst.Call):
        if "optim" in code(call.func).lower():
            found |= names_read(call)
    for changed in find(module, cst.AugAssign):
        found |= names_read(changed.target)
    values = [a.value for a in find(module, cst.Assign)]
    for value in [*values, *(r.value for r in find(module, cst.Return))]:
        parts = [e.value for e in getattr(value, "elements", ())] if value else []
        found |= {p.value for p in [value, *parts] if isinstance(p, cst.Name)}
    return found


def _unasked(value: cst.BaseExpression) -> cst.BaseExpression:
    """A new tensor that asks for gradients as one that does not."""
    if not isinstance(value, cst.Call):
        return value
    asked = [a for a in value.args if a.keyword and a.keyword.value == "requires_grad"]
    if asked and code(asked[0].value) == "True":
        args = [a for a in value.args if a is not asked[0]]
        args[-1:] = [a.with_changes(comma=cst.MaybeSentinel.DEFAULT) for a in args[-1:]]
        return value.with_changes(args=args)
    if isinstance(value.func, cst.Attribute) and value.func.attr.value == "requires_grad_":
        if code(value)[len(code(value.func)) :] in ("()", "(True)"):
            return value.func.value
    return value


def _suffix(number: int) -> str:
    return f"_{number}" if number > 1 else ""


def argument(call: cst.Call, place: int, name: str) -> cst.BaseExpression | None:
    """What a call is given for a parameter, by place or by name."""
    for index, arg in enumerate(call.args):
        if arg.star:
            return None
        if (arg.keyword.value == name) if arg.keyword is not None else index == place:
            return arg.value
    return None


def _computes(outputs: cst.BaseExpression, inputs: cst.BaseExpression) -> bool:
    """Whether an expression itself goes from the inputs to what is differentiated."""
    called = [c.func for c in find(outputs, cst.Call)]
    own = any(isinstance(f, cst.Name) or code(f).startswith("self.") for f in called)
    return own or bool(names_read(outputs) & names_read(inputs))


def _calls(line: cst.CSTNode) -> Iterator[cst.Call]:
    """The calls of a statement that run once where it runs."""
    stack: list[cst.CSTNode] = [line]
    while stack:
        node = stack.pop()
        if isinstance(node, _REPEATED):
            continue
        if isinstance(node, cst.BaseCompoundStatement) and not isinstance(node, _PASSED):
            continue
        if isinstance(node, cst.Call):
            yield node
        stack.extend(reversed(children(node)))


def _names(module: cst.Module) -> set[str]:
    """What the module calls the function."""
    found: set[str] = set()
    for line in find(module, cst.ImportFrom):
        if isinstance(line.names, cst.ImportStar):
            continue
        for alias in line.names:
            full = f"{dotted(line.module)}.{dotted(alias.name)}"
            found |= _under(full, alias.evaluated_alias or alias.evaluated_name)
    for imported in find(module, cst.Import):
        for alias in imported.names:
            name = alias.evaluated_alias
            full = alias.evaluated_name
            found |= _under(full, name) if name else {NAME} if full.startswith("torch") else set()
    return found


def _under(full: str, name: str) -> set[str]:
    return {name + NAME.removeprefix(full)} if f"{NAME}.".startswith(f"{full}.") else set()
