"""`build(self, input_shape)` as the end of a constructor, with the sizes that it is given."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, scalar_type
from transpiler.modules import method, self_name
from transpiler.rule import Unfit
from transpiler.rules.keras_sizes import input_size
from transpiler.syntax import code, find, names_read, walk
from transpiler.template import fill_statements


def merge_build(context: Context, node: cst.ClassDef, cls: Class) -> None:
    """Move what `build` makes into `__init__`. Raises Unfit."""
    build = method(node, "build")
    if build is None:
        return
    if len(build.params.params) != 2:
        raise Unfit("this `build` is not understood")
    shape = build.params.params[1].name.value
    body = [s for s in build.body.body if not _is_for_keras(s)]
    for statement in body:
        _write_sizes(context, statement, shape, cls)
    init = method(node, "__init__")
    if init is not None:
        own, new = self_name(init), self_name(build)
        if own != new:
            raise Unfit("`build` and `__init__` name their object differently")
        clash = _locals(init) & _locals(build)
        if clash:
            raise Unfit(f"`build` and `__init__` both have a variable `{sorted(clash)[0]}`")
        context.edits.replace_body(init.body, [*context.edits.body_of(init.body), *body])
        context.edits.replace(build, [])
        return
    context.edits.replace(build.name, cst.Name("__init__"))
    context.edits.replace(build.params, cst.Parameters(params=[build.params.params[0]
                          .with_changes(comma=cst.MaybeSentinel.DEFAULT)]))  # fmt: skip
    start = fill_statements("super().__init__()")
    context.edits.replace_body(build.body, [*start, *body])


def _is_for_keras(statement: Any) -> bool:
    """`super().build(input_shape)`, `self.built = True`."""
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    match small:
        case cst.Expr(value=cst.Call(func=cst.Attribute(attr=cst.Name(value="build")) as func)):
            return isinstance(func.value, cst.Call) and code(func.value.func) == "super"
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Attribute(attr=attr))]):
            return attr.value in ("built", "input_spec")
        case cst.Expr(value=cst.SimpleString()):
            return True
        case cst.Pass():
            return True
    return False


def _locals(function: cst.FunctionDef) -> set[str]:
    found = set()
    for target in find(function.body, cst.AssignTarget):
        found |= {
            n.value for n in find(target.target, cst.Name) if isinstance(target.target, cst.Name)
        }
    return found


def _write_sizes(context: Context, statement: Any, shape: str, cls: Class) -> None:
    """Numbers, or an argument of the constructor, for what is read off the shape."""
    todo: list[Any] = [statement]
    while todo:
        item = todo.pop()
        if isinstance(item, cst.BaseExpression) and _reads(item, shape):
            if _write_size(context, item, shape, cls):
                continue
            if isinstance(item, cst.Name):
                raise Unfit("sizes that `build` reads are not known before the program runs",
                            "give them to the constructor")  # fmt: skip
        if isinstance(item, (cst.Attribute, cst.Arg)):
            todo.append(item.value)
        else:
            todo.extend(item.children)


def _reads(node: cst.BaseExpression, shape: str) -> bool:
    return shape in names_read(node)


def _write_size(context: Context, node: cst.BaseExpression, shape: str, cls: Class) -> bool:
    fact = context.fact(node)
    last = _is_last(node, shape) and scalar_type(fact) in ("int", None)
    name = input_size(context, cls) if last else None
    if name is not None:
        _replace(context, node, name)
        return True
    if code(node).replace(" ", "") == f"{shape}[-1:]":
        name = input_size(context, cls)
        if name is not None:
            _replace(context, node, cst.Tuple([cst.Element(name, cst.Comma())]))
            return True
    if isinstance(fact, Const) and isinstance(fact.value, (int, tuple)):
        _replace(context, node, cst.parse_expression(repr(fact.value)))
        return True
    return False


def _replace(context: Context, node: cst.BaseExpression, new: cst.BaseExpression) -> None:
    context.edits.replace(node, new)
    for item in walk(node):
        context.claim(item)


def _is_last(node: cst.BaseExpression, shape: str) -> bool:
    """`input_shape[-1]`, `int(input_shape[-1])`."""
    text = code(node).replace(" ", "")
    return text in (f"{shape}[-1]", f"int({shape}[-1])", f"{shape}[1]", f"{shape}.as_list()[-1]",
                    f"tf.TensorShape({shape})[-1]")  # fmt: skip
