"""Where a program keeps weights: Keras's own files, or pickles where paths must stay as they are.

Keras wants paths that end in `.weights.h5`. A path whose end can be read in the program is renamed,
everywhere that the same text stands. Where one can not, all states of the program are pickled, and
every path stays what it was.
"""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Mapping, Symbol, options
from transpiler.modules import is_module
from transpiler.planners.expressions import qualified_name
from transpiler.syntax import find, literal

STATE = "torch.nn.Module.state_dict"
_SUFFIXES = (".pth.tar", ".pth", ".pt", ".pkl", ".pickle", ".ckpt", ".bin", ".model", ".tar", ".t7")
_KEEP = ".weights.h5"


def uses_weights_files(context: Context) -> bool:
    """Whether all of the program's states can live in Keras's weights files."""
    found = context.notes.get("weights files")
    if found is None:
        calls = list(find(context.module, cst.Call))
        found = all(_is_plain(context, call) for call in calls)
        context.notes["weights files"] = found
    return bool(found)


def _is_plain(context: Context, call: cst.Call) -> bool:
    """Whether a call saves or loads no state, or does so at a path that can be renamed."""
    name = qualified_name(context, call.func)
    if name not in ("torch.save", "torch.load") or not call.args:
        return True
    given = {a.keyword.value: a.value for a in call.args if a.keyword is not None}
    positional = [a.value for a in call.args if a.keyword is None and not a.star]
    if name == "torch.save":
        what = given.get("obj", positional[0] if positional else None)
        path = given.get("f", positional[1] if len(positional) > 1 else None)
        if not holds_state(context, what) and not holds_module(context, what):
            return True
        direct = isinstance(what, cst.Call) or holds_module(context, what)
        return direct and path is not None and renaming(context, path) is not None
    path = given.get("f", positional[0] if positional else None)
    if any(isinstance(o, Mapping) for o in options(context.fact(call))):
        return True
    if not _goes_into_a_model(context, call) and not holds_state(context, call):
        return True
    return path is not None and renaming(context, path) is not None and _is_simple(context, call)


def holds_state(context: Context, node: cst.CSTNode | None) -> bool:
    """Whether an expression is the state of a module."""
    return any(
        isinstance(o, Instance) and o.cls == Symbol(STATE) for o in options(context.fact(node))
    )


def holds_module(context: Context, node: cst.CSTNode | None) -> bool:
    return any(
        isinstance(o, Instance) and is_module(context, o) for o in options(context.fact(node))
    )


def _goes_into_a_model(context: Context, call: cst.Call) -> bool:
    parent = context.edits.parent[context.edits.parent[call]]
    if isinstance(parent, cst.Call) and isinstance(parent.func, cst.Attribute):
        return parent.func.attr.value == "load_state_dict"
    return False


def _is_simple(context: Context, call: cst.Call) -> bool:
    """`model.load_state_dict(torch.load(path))`, or a name used for nothing but that."""
    if _goes_into_a_model(context, call) or holds_module(context, call):
        return True
    parent = context.edits.parent[call]
    if not isinstance(parent, cst.Assign) or not isinstance(parent.targets[0].target, cst.Name):
        return False
    name = parent.targets[0].target.value
    scope = context.edits.enclosing(call, cst.FunctionDef) or context.module
    uses = [n for n in find(scope, cst.Name) if n.value == name]
    return len(uses) == 2


# ---- paths ---------------------------------------------------------------------------------------


def renaming(context: Context, path: cst.BaseExpression) -> cst.CSTNode | None:
    """The piece of text that a path ends with, where it stands in the program."""
    match path:
        case cst.SimpleString():
            return path if isinstance(path.evaluated_value, str) else None
        case cst.FormattedString() if path.parts:
            last = path.parts[-1]
            return last if isinstance(last, cst.FormattedStringText) else None
        case cst.BinaryOperation(operator=cst.Add() | cst.Divide() | cst.Modulo()):
            side = path.left if isinstance(path.operator, cst.Modulo) else path.right
            return renaming(context, side)
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="join" | "joinpath"))) if path.args:
            return renaming(context, path.args[-1].value)
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="format"), value=text)):
            return renaming(context, text)
        case cst.Call(func=cst.Name(value="str" | "Path")) if path.args:
            return renaming(context, path.args[0].value)
        case cst.Name():
            return _bound_text(context, path)
    return None


def _bound_text(context: Context, name: cst.Name) -> cst.CSTNode | None:
    """The text of a variable that is bound once, here or at module level."""
    for scope in (context.edits.enclosing(name, cst.FunctionDef), context.module):
        if scope is None:
            continue
        values = [
            assign.value
            for assign in find(scope, cst.Assign)
            for target in assign.targets
            if isinstance(target.target, cst.Name) and target.target.value == name.value
        ]
        if len(values) == 1:
            return renaming(context, values[0])
        if values or _is_parameter(scope, name.value):
            return None
    return None


def _is_parameter(scope: cst.CSTNode, name: str) -> bool:
    if not isinstance(scope, cst.FunctionDef):
        return False
    return any(p.name.value == name for p in [*scope.params.params, *scope.params.kwonly_params])


def rename(context: Context, path: cst.BaseExpression) -> cst.BaseExpression:
    """Change the end of a path where it stands, and wherever the same text stands."""
    piece = renaming(context, path)
    if isinstance(piece, cst.FormattedStringText):
        context.edits.replace(piece, cst.FormattedStringText(_renamed(piece.value)))
    elif isinstance(piece, cst.SimpleString):
        text = piece.evaluated_value
        assert isinstance(text, str)
        for other in find(context.module, cst.SimpleString):
            found = other.evaluated_value
            if isinstance(found, str) and (other is piece or _is_same_file(found, text)):
                context.edits.replace(other, literal(_renamed(found)))
    return path


def _is_same_file(other: str, text: str) -> bool:
    """The same path, with folders before it or not, or a pattern for its kind of files."""
    suffix = next((s for s in _SUFFIXES if text.endswith(s)), None)
    if suffix is None:
        return False
    return other in (text, suffix) or other.endswith((f"/{text}", f"*{suffix}"))


def _renamed(text: str) -> str:
    if text.endswith(_KEEP):
        return text
    for suffix in _SUFFIXES:
        if text.endswith(suffix):
            return text[: -len(suffix)] + _KEEP
    return text + _KEEP
