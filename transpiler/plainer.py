"""Spellings of PyTorch that say the same as plainer ones, put in those before anything is inferred.

* `x = torch.zeros(3)` and, later, `x.requires_grad = True`: asked for where the tensor is made.
* `ws = [torch.zeros(3).requires_grad_() for _ in sizes]`: the same.
* `optimizer.step(closure)` of an optimizer that evaluates once: the closure itself steps.
* `def block(n, **kwargs): return nn.Conv2d(n, 8, **kwargs)`: by name what is passed on.
* `DataLoader(data, **options)`: the options one by one.
* `sgd([w, b], lr)`, a function that updates its arguments by their gradients: its body.
* `target = copy.deepcopy(net)`: another one, which loads the state.
* `net._modules.values()`: `net.children()`.
* `if cuda: y = f(x.cuda())` with `else: y = f(x)`: the one line; `x.cuda() if cuda else x`: `x`.
* `V = lambda *args, **kwargs: autograd.Variable(*args, **kwargs)`: what it calls.
* `x.dtype.is_floating_point`: `x.is_floating_point()`.
* `data.__len__()`, `loader.__iter__()`: `len(data)`, `iter(loader)`.
* `nn.parallel.data_parallel(net, x, devices)`: `net(x)`, which gives the same.
* `getattr(nn, kind)(...)` under `if kind in ("LSTM", "GRU")`: one branch for each name.
* `{k: v.clone() for k, v in model.state_dict().items()}`: the state, of which Keras makes copies.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Any

import libcst as cst

from transpiler.asked_early import ask_early, ask_where_made
from transpiler.copied_modules import make_again
from transpiler.hand_updates import ask_in_loops, write_updates
from transpiler.passed_on import call_directly, write_out
from transpiler.registered import ask_publicly
from transpiler.syntax import child_fields, code, constant, find, is_node, rebuild, walk
from transpiler.unpacked_options import give_one_by_one

_MOST_NAMES = 4
_PASSED = re.compile(r"\*\w+\s*(:[^\n)]*)?,?\s*\)\s*(->[^\n]*)?:")
"""The end of a definition that takes `*args` or `**kwargs`."""
_STEPS = re.compile(r"\.step\(\s*\w")
GONE = object()
"""What becomes of a statement that is no longer needed."""
Changes = dict[cst.CSTNode, Any]
Origins = dict[cst.CSTNode, cst.CSTNode]


def plainer(module: cst.Module, text: str) -> tuple[cst.Module, Origins]:
    """The module in plainer spellings, and what its new nodes were before.

    text: the module's source.
    """
    changes: Changes = {}
    if ".requires_grad" in text:
        ask_early(module, changes, GONE)
        ask_where_made(module, changes)
        ask_in_loops(module, changes, GONE)
    if _STEPS.search(text) and "def " in text:
        _step_inside(module, changes)
    if "getattr(" in text:
        _name_all(module, changes)
    if _PASSED.search(text):
        write_out(module, changes)
    if "DataLoader(" in text and "**" in text:
        give_one_by_one(module, changes, GONE)
    if "data_parallel(" in text:
        _call_once(module, changes)
    if ".cuda(" in text or ".to(" in text:
        _join_branches(module, changes)
    if "lambda *" in text:
        call_directly(module, changes, GONE)
    if ".__" in text:
        _call_builtins(module, changes)
    if ".is_floating_point" in text:
        _ask_tensors(module, changes)
    if "._modules" in text:
        ask_publicly(module, changes)
    if ".state_dict().items()" in text:
        _copy_states(module, changes)
    if "deepcopy(" in text:
        make_again(module, changes)
    if ".grad" in text and "def " in text:
        write_updates(module, changes, GONE)
    origins: Origins = {}
    return (apply_changes(module, changes, origins), origins) if changes else (module, origins)


def apply_changes(node: Any, changes: Changes, origins: Origins) -> Any:
    """The tree with its changes, innermost first; what none concerns stays the node it was."""
    new = node
    fields: dict[str, Any] = {}
    for name in child_fields(node.__class__):
        value = getattr(node, name)
        if is_node(value):
            if (result := apply_changes(value, changes, origins)) is not value:
                fields[name] = result
        elif type(value) in (tuple, list) and value and is_node(value[0]):
            items = [apply_changes(item, changes, origins) for item in value]
            if any(a is not b for a, b in zip(items, value, strict=True)):
                lists = [item if isinstance(item, list) else [item] for item in items]
                fields[name] = [item for lines in lists for item in lines if item is not GONE]
    if fields:
        if fields.get("body") == [] and isinstance(node, cst.IndentedBlock):
            fields["body"] = [cst.parse_statement("pass")]
        new = node.with_changes(**fields)
    change = changes.get(node)
    if change is not None:
        new = change(new) if callable(change) else change
    for line in new if isinstance(new, list) else [new]:
        if line is not node and line is not GONE:
            origins[line] = node
    return new


# ---- closures --------------------------------------------------------------------------------


def _step_inside(module: cst.Module, changes: Changes) -> None:
    functions: dict[str, cst.FunctionDef] = {}  # those above, as often as their names return
    for call in walk(module):
        if isinstance(call, cst.FunctionDef):
            functions[call.name.value] = call
        if not isinstance(call, cst.Call):
            continue
        func = call.func
        if not isinstance(func, cst.Attribute) or func.attr.value != "step" or len(call.args) != 1:
            continue
        closure = functions.get(code(call.args[0].value))
        if closure is None or closure.params.params:
            continue
        made, place = _makers(module, func.value), _backward(closure)
        if place is None or not made:
            continue
        changes[closure.body] = _stepping(place, code(func.value))
        if not any("LBFGS" in text for text in made):  # which calls it several times
            changes[call] = cst.Call(cst.Name(closure.name.value))


def _stepping(place: int, optimizer: str) -> Any:
    step = cst.parse_statement(f"{optimizer}.step()")

    def change(block: Any) -> Any:
        body = list(block.body)
        return block.with_changes(body=[*body[: place + 1], step, *body[place + 1 :]])

    return change


def _makers(module: cst.Module, optimizer: cst.BaseExpression) -> list[str]:
    """The calls whose results are assigned to the optimizer's name."""
    name = code(optimizer).rpartition(".")[2]
    return [
        code(assign.value.func)
        for assign in find(module, cst.Assign)
        if isinstance(assign.value, cst.Call)
        and any(code(t.target).rpartition(".")[2] == name for t in assign.targets)
    ]


def _backward(closure: cst.FunctionDef) -> int | None:
    places = [
        index
        for index, line in enumerate(closure.body.body)
        if isinstance(line, cst.SimpleStatementLine) and code(line).strip().endswith("backward()")
    ]
    return places[-1] if places else None


# ---- classes by name -------------------------------------------------------------------------


def _name_all(module: cst.Module, changes: Changes) -> None:
    for branch in find(module, cst.If):
        names = _names_tested(branch.test)
        if names is None or not isinstance(branch.body, cst.IndentedBlock):
            continue
        tested, values = names
        for line in branch.body.body:
            calls = [c for c in find(line, cst.Call) if _is_getattr(c, tested)]
            if len(calls) == 1 and isinstance(line, cst.SimpleStatementLine):
                changes[line] = _branches(line, calls[0], tested, values)


def _names_tested(test: cst.BaseExpression) -> tuple[str, list[str]] | None:
    """`kind in ["LSTM", "GRU"]`: the name and the texts."""
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return None
    [part] = test.comparisons
    try:
        values: Any = constant(part.comparator)
    except (ValueError, SyntaxError):
        return None
    if isinstance(part.operator, cst.Equal):
        values = [values]
    elif not isinstance(part.operator, cst.In):
        return None
    if not isinstance(values, (list, tuple)) or not 0 < len(values) <= _MOST_NAMES:
        return None
    if not all(isinstance(v, str) and v.isidentifier() for v in values):
        return None
    return code(test.left), list(values)


def _is_getattr(call: cst.Call, tested: str) -> bool:
    func = call.func
    return code(func) == "getattr" and len(call.args) == 2 and code(call.args[1].value) == tested


def _branches(line: Any, call: cst.Call, tested: str, values: list[str]) -> Any:
    owner = code(call.args[0].value)
    lines = [_with_name(line, call, f"{owner}.{value}") for value in values]
    lines = [lines[0], *(each.deep_clone() for each in lines[1:])]
    result: Any = lines[-1]
    if len(lines) > 1:
        result = cst.Else(cst.IndentedBlock([result]))
    for value, each in reversed(list(zip(values[:-1], lines[:-1], strict=True))):
        test = cst.parse_expression(f'{tested} == "{value}"')
        result = cst.If(test, cst.IndentedBlock([each]), orelse=result)
    return result.with_changes(leading_lines=line.leading_lines)


def _with_name(line: Any, call: cst.Call, name: str) -> Any:
    def change(node: cst.CSTNode) -> cst.CSTNode | None:
        return cst.parse_expression(name) if node is call else None

    return rebuild(line, change)


# ---- copies of states ------------------------------------------------------------------------

_COPIES = frozenset({"clone", "cpu", "to", "cuda", "contiguous"})


def _copy_states(module: cst.Module, changes: Changes) -> None:
    for comp in find(module, cst.DictComp):
        match comp.for_in:
            case cst.CompFor(
                target=cst.Tuple(elements=[
                    cst.Element(value=cst.Name(value=key)), cst.Element(value=cst.Name(value=name)),
                ]),
                iter=cst.Call(func=cst.Attribute(value=state, attr=cst.Name(value="items"))),
                ifs=[], inner_for_in=None,
            ) if code(comp.key) == key and _is_copy(comp.value, name):  # fmt: skip
                if isinstance(state, cst.Call) and code(state.func).endswith(".state_dict"):
                    changes[comp] = state


def _is_copy(node: cst.BaseExpression, name: str) -> bool:
    """`v.detach().cpu().clone()`, `copy.deepcopy(v)`."""
    copies = False
    while isinstance(node, cst.Call):
        if isinstance(node.func, cst.Attribute) and node.func.attr.value in {*_COPIES, "detach"}:
            copies = copies or node.func.attr.value != "detach"
            node = node.func.value
        elif code(node.func).rpartition(".")[2] == "deepcopy" and len(node.args) == 1:
            copies, node = True, node.args[0].value
        else:
            return False
    return copies and isinstance(node, cst.Name) and node.value == name


# ---- several devices -------------------------------------------------------------------------


def _call_once(module: cst.Module, changes: Changes) -> None:
    for call in find(module, cst.Call):
        if code(call.func).rpartition(".")[2] != "data_parallel" or len(call.args) < 2:
            continue
        net, given = call.args[0], call.args[1]
        if net.keyword is None and given.keyword is None and not net.star and not given.star:
            inputs = [given.value]
            if isinstance(given.value, cst.Tuple):
                inputs = [element.value for element in given.value.elements]
            changes[call] = cst.Call(net.value, [cst.Arg(value) for value in inputs])


# ---- special methods by name -----------------------------------------------------------------


def _call_builtins(module: cst.Module, changes: Changes) -> None:
    for call in find(module, cst.Call):
        func = call.func
        if not isinstance(func, cst.Attribute) or call.args or code(func.value) == "super()":
            continue
        name = func.attr.value
        if name in ("__len__", "__iter__", "__next__"):
            changes[call] = _builtin(name.strip("_"))


def _ask_tensors(module: cst.Module, changes: Changes) -> None:
    """`x.dtype.is_floating_point` → `x.is_floating_point()`."""
    for node in find(module, cst.Attribute):
        match node:
            case cst.Attribute(
                value=cst.Attribute(value=x, attr=cst.Name("dtype")),
                attr=cst.Name("is_floating_point"),
            ):
                changes[node] = cst.Call(cst.Attribute(x, node.attr))


def _builtin(name: str) -> Any:
    def change(call: Any) -> Any:
        return cst.Call(cst.Name(name), [cst.Arg(call.func.value)])

    return change


# ---- branches for devices --------------------------------------------------------------------


def _join_branches(module: cst.Module, changes: Changes) -> None:
    """One line for both, where the sides of a condition differ in `.cuda()` alone."""
    chained = {id(node.orelse) for node in find(module, cst.If)}
    for node in find(module, cst.If):
        one, other = node.body, node.orelse
        if id(node) in chained or not isinstance(other, cst.Else) or "cuda" not in code(one):
            continue
        lines = [list(getattr(block, "body", ())) for block in (one, other.body)]
        if any(
            len(body) != 1 or not isinstance(body[0], cst.SimpleStatementLine) for body in lines
        ):
            continue
        [first], [second] = lines
        if _meaning(rebuild(first, _without_cuda)) == _meaning(second):
            above = [*node.leading_lines, *second.leading_lines]
            said = any(line.comment is not None for line in above)
            changes[node] = second.with_changes(leading_lines=above)
            if _is_noop(second) and not said:
                changes[node] = GONE
    for choice in find(module, cst.IfExp):
        if "cuda" in code(choice.body):
            if _meaning(rebuild(choice.body, _without_cuda)) == _meaning(choice.orelse):
                changes[choice] = lambda new: new.orelse


def _is_noop(line: cst.SimpleStatementLine) -> bool:
    """`x = x`."""
    match line.body[0]:
        case cst.Assign(targets=[cst.AssignTarget(target=target)], value=value):
            return target.deep_equals(value)
    return False


def _meaning(part: cst.CSTNode) -> str:
    """A statement or an expression without its layout."""
    text = textwrap.dedent(code(part))
    return ast.dump(ast.parse(f"({text})" if isinstance(part, cst.BaseExpression) else text))


def _without_cuda(node: cst.CSTNode) -> cst.CSTNode | None:
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        if node.func.attr.value == "cuda":
            return rebuild(node.func.value, _without_cuda)
    return None
