"""Functions that update parameters by their gradients, `sgd(params, lr)`: written out where called.

And `for param in params: param.requires_grad_()`, asked where each of them is made.

What the functions read, `param.grad`, belongs to the backward pass before the call; only there a
tape can give it. A function that nobody calls any more goes.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.dataflow import writes
from transpiler.syntax import code, docstring_end, find, names_read, parents, rebuild, walk

Arguments = dict[str, cst.BaseExpression]


def write_updates(module: cst.Module, changes: dict[cst.CSTNode, Any], gone: object) -> None:
    """Put the bodies of such functions in the place of statements that call them."""
    functions = {
        f.name.value: f
        for f in module.body
        if isinstance(f, cst.FunctionDef) and _updates(f) is not None
    }
    if not functions:
        return
    above = parents(module)
    for name, function in functions.items():
        uses = [n for n in find(module, cst.Name) if n.value == name and n is not function.name]
        written = [new for n in uses if (new := _written(function, n, above)) is not None]
        if uses and len(written) == len(uses):
            changes.update(written)
            changes[function] = gone


def _updates(function: cst.FunctionDef) -> Any:
    """The one statement of a function that loops over its parameters' gradients, if it is that."""
    body: list[Any] = list(function.body.body)
    body = body[docstring_end(body) :]
    params = function.params
    if len(body) != 1 or function.decorators or params.star_kwarg or params.kwonly_params:
        return None
    loop = body[0]
    if isinstance(loop, cst.With) and "no_grad" in code(loop.items[0].item):
        loop = loop.body.body[0] if len(loop.body.body) == 1 else None
    if not isinstance(loop, cst.For):
        return None
    root = loop.iter.func if isinstance(loop.iter, cst.Call) else loop.iter
    root = root.value if isinstance(root, cst.Attribute) else root
    if not isinstance(root, cst.Name) or root.value not in {p.name.value for p in params.params}:
        return None
    inner: Any = loop.body.body[0]
    grouped = isinstance(inner, cst.For) and code(loop.iter).endswith(".param_groups")
    gradient = f"{code(inner.target if grouped else loop.target)}.grad"
    reads = any(code(a) == gradient for a in find(loop.body, cst.Attribute))
    returns = any(True for _ in find(loop.body, cst.Return))
    return body[0] if reads and not returns else None


def _written(
    function: cst.FunctionDef, use: cst.Name, above: dict[cst.CSTNode, cst.CSTNode]
) -> tuple[cst.CSTNode, Any] | None:
    """The statement that calls the function, and what to write instead; None where that differs."""
    call: Any = above.get(use)
    small = above.get(call)
    line = above.get(small) if isinstance(small, cst.Expr) else None
    if not isinstance(call, cst.Call) or call.func is not use or line is None:
        return None
    given = _arguments(function, call)
    if given is None:
        return None
    statement = _updates(function)
    scope: Any = line
    while not isinstance(scope, (cst.FunctionDef, cst.Module)):
        scope = above[scope]
    own = writes(statement)
    lines = [s for s in _lines(scope) if not isinstance(s, (cst.FunctionDef, cst.ClassDef))]
    known = set().union(*(names_read(s) | writes(s) for s in lines))
    elsewhere = names_read(statement) - own - set(given)
    if own & known or (isinstance(scope, cst.FunctionDef) and elsewhere & writes(scope.body)):
        return None
    new = _with_arguments(statement, given)
    return line, new.with_changes(leading_lines=line.leading_lines)  # type: ignore[attr-defined]


def _lines(scope: cst.FunctionDef | cst.Module) -> list[Any]:
    return list(scope.body.body if isinstance(scope, cst.FunctionDef) else scope.body)


def _arguments(function: cst.FunctionDef, call: cst.Call) -> Arguments | None:
    """The argument of each parameter, where all can be written in its place."""
    params = list(function.params.params)
    found = {p.name.value: p.default for p in params if p.default is not None}
    for position, arg in enumerate(call.args):
        if arg.star or position >= len(params):
            return None
        name = arg.keyword.value if arg.keyword is not None else params[position].name.value
        found[name] = arg.value
    if set(found) != {p.name.value for p in params}:
        return None
    return found if all(map(_is_plain, found.values())) else None


def _is_plain(node: cst.BaseExpression) -> bool:
    """An expression that may be written, and evaluated, more than once."""
    match node:
        case cst.Name() | cst.BaseNumber() | cst.Attribute():
            return True
        case cst.Subscript():
            return _is_plain(node.value)
        case cst.List() | cst.Tuple():
            return all(_is_plain(e.value) for e in node.elements)
        case cst.Call(func=cst.Attribute(attr=cst.Name("parameters")), args=[]):
            return True
    return False


def _with_arguments(statement: Any, given: Arguments) -> Any:
    kept: set[Any] = {a.attr for a in find(statement, cst.Attribute)}
    kept |= {a.keyword for a in find(statement, cst.Arg)}
    wanted = {n for n in walk(statement) if isinstance(n, cst.Name) and n not in kept}

    def change(node: cst.CSTNode) -> cst.CSTNode | None:
        if node in wanted and isinstance(node, cst.Name) and node.value in given:
            return given[node.value].deep_clone()
        return None

    return rebuild(statement.deep_clone() if not wanted else statement, change)


def ask_in_loops(module: cst.Module, changes: dict[cst.CSTNode, Any], gone: object) -> None:
    """Tensors of a list that ask for gradients in a loop ask where they are made."""
    blocks: list[Any] = [module, *find(module, cst.IndentedBlock)]
    for block in blocks:
        made: dict[str, cst.Assign] = {}
        for line in block.body:
            if isinstance(line, cst.For):
                names = _asking_names(line, made)
                if names and all(name in made for name in names):
                    changes.update({made[name].value: _variable for name in names})
                    changes[line] = gone
            elif isinstance(line, cst.SimpleStatementLine):
                small = line.body[0]
                bound = writes(line)
                made = {k: v for k, v in made.items() if k not in bound}
                if isinstance(small, cst.Assign) and len(bound) == 1:
                    made[next(iter(bound))] = small


def _asking_names(loop: cst.For, made: dict[str, cst.Assign]) -> list[str]:
    """The names in the list of `for param in params: param.requires_grad_(True)`."""
    asked = (f"{code(loop.target)}.requires_grad_()", f"{code(loop.target)}.requires_grad_(True)",
             f"{code(loop.target)}.requires_grad = True")  # fmt: skip
    body = loop.body.body
    if len(body) != 1 or code(body[0]).strip() not in asked:
        return []
    held: Any = loop.iter
    if isinstance(held, cst.Name) and held.value in made:
        held = made[held.value].value
    if not isinstance(held, (cst.List, cst.Tuple)):
        return []
    parts = [e.value for e in held.elements]
    return (
        [p.value for p in parts if isinstance(p, cst.Name)]
        if all(isinstance(p, cst.Name) for p in parts)
        else []
    )


def _variable(value: Any) -> cst.BaseExpression:
    """The value as a variable that is trained."""
    if "requires_grad" in code(value):
        return value  # type: ignore[no-any-return]
    keyword = cst.Arg(cst.Name("True"), keyword=cst.Name("requires_grad"))
    made = cst.parse_expression("torch.autograd.Variable")
    return cst.Call(made, [cst.Arg(value), keyword])
