"""Whether statements can run inside `@tf.function`: why not, where they can not."""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst

from transpiler.context import Context
from transpiler.element_homes import is_kept
from transpiler.infer.values import (
    Bound,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Method,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Unknown,
    Value,
    options,
)
from transpiler.planners.expressions import qualified_name
from transpiler.planners.layer_settings import CHANGING
from transpiler.planners.rebindings import rebinds
from transpiler.planners.unfreezing import CHANGES
from transpiler.syntax import code, walk

_HOST_METHODS = frozenset(
    {"torch.Tensor.item", "torch.Tensor.numpy", "torch.Tensor.tolist", "torch.Tensor.cpu"}
)
_TRACED = ("torch.", "torchvision.", "to_torch.")
"""Where functions come from that rules write as TensorFlow's."""
_HOST_BUILTINS = frozenset({"print", "input", "open", "next", "iter", "exec", "eval"})


def reason_not_traceable(context: Context, statements: Iterable[cst.CSTNode]) -> str | None:
    """Why the statements can not be traced, None where they can."""
    if context.notes.get(CHANGES):
        return "which parameters are trained changes while the program runs"
    if context.notes.get(CHANGING):
        return "a setting of a layer changes while the program runs"
    seen: set[cst.CSTNode] = set()
    pending: list[tuple[cst.CSTNode, bool]] = [(s, False) for s in statements]
    while pending:
        root, called = pending.pop()
        for node in walk(root):
            reason = _reason(context, node, called)
            if reason is not None:
                return reason
            if isinstance(node, (cst.Call, cst.Attribute)):
                for function in called_functions(context, node):
                    if function not in seen:
                        seen.add(function)
                        body = function.body
                        pending.append((body, True))
    return None


def _properties(context: Context, node: cst.Attribute) -> list[cst.FunctionDef | cst.Lambda]:
    """The methods that the reading of an attribute runs."""
    found: list[cst.FunctionDef | cst.Lambda] = []
    for owner in options(context.fact(node.value)):
        cls = owner.cls if isinstance(owner, Instance) else None
        member = cls.lookup(node.attr.value) if isinstance(cls, Class) else None
        if isinstance(member, Function) and any(
            isinstance(d, Symbol) and d.name.endswith("property") for d in member.decorators
        ):
            found.append(member.node)
    return found


def called_functions(
    context: Context, call: cst.Call | cst.Attribute
) -> list[cst.FunctionDef | cst.Lambda]:
    """The program's functions that a call may run, `forward` of modules and parts included.

    Reading an attribute runs a method where that is a property.
    """
    if isinstance(call, cst.Attribute):
        return _properties(context, call)
    found: list[cst.FunctionDef | cst.Lambda] = []
    stack = list(options(context.fact(call.func)))
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Function):
            found.append(value.node)
        elif isinstance(value, Method):
            found.append(value.function.node)
        elif isinstance(value, Class):
            init = value.lookup("__init__")
            if isinstance(init, Function):
                found.append(init.node)
        elif isinstance(value, Instance):
            entry = None
            if isinstance(value.cls, Class):
                name = context.knowledge.entry(value)
                entry = value.cls.lookup("__call__") or (value.cls.lookup(name) if name else None)
            if isinstance(entry, Function):
                found.append(entry.node)
            from transpiler.modules import children, is_module

            if is_module(context, value):
                stack.extend(c for c in children(value) if is_module(context, c))
    return found


def _reason(context: Context, node: cst.CSTNode, called: bool) -> str | None:
    match node:
        case cst.Call():
            return _call_reason(context, node)
        case cst.If() | cst.While() | cst.IfExp():
            if isinstance(context.fact(node.test), Tensor):
                return "Python control flow depends on a tensor"
        case cst.For():
            if isinstance(context.fact(node.iter), (Tensor, Instance)):
                return "a Python loop runs over a tensor or a loader"
        case cst.CompFor() if isinstance(context.fact(node.iter), Tensor):
            return "a comprehension runs over a tensor"
        case cst.Assign() | cst.AugAssign():
            element = _changed_element(context, node)
            if element is not None:
                return f"`{element}` is kept in a list or dict between steps"
            for target in assigned_attributes(node):
                if _keeps_state(context, target):
                    return f"`{code(target)}` keeps a value between steps"
        case cst.Yield() | cst.Await() | cst.Try() | cst.Global() | cst.Nonlocal():
            return "it uses statements that a graph can not hold"
        case cst.Attribute():
            return _stale_attribute(context, node)
    return None


def assigned_attributes(node: cst.Assign | cst.AugAssign) -> list[cst.Attribute]:
    """The attributes that a statement binds, those in tuples included."""
    found: list[cst.Attribute] = []
    pending: list[cst.CSTNode] = (
        [node.target] if isinstance(node, cst.AugAssign) else [t.target for t in node.targets]
    )
    while pending:
        target = pending.pop(0)
        if isinstance(target, cst.Attribute):
            found.append(target)
        elif isinstance(target, (cst.Tuple, cst.List)):
            pending.extend(e.value for e in target.elements)
    return found


def _changed_element(context: Context, node: cst.Assign | cst.AugAssign) -> str | None:
    """What a statement changes in a container of an object, or as an element of one."""
    target = node.target if isinstance(node, cst.AugAssign) else node.targets[0].target
    if isinstance(target, cst.Subscript) and isinstance(target.value, cst.Attribute):
        held = options(context.fact(target.value))
        if any(isinstance(o, (ListObject, Mapping)) for o in held):
            return code(target)
    if isinstance(node, cst.AugAssign) and isinstance(target, cst.Name):
        return target.value if is_kept(context, node, target.value) else None
    return None


def _keeps_state(context: Context, target: cst.Attribute) -> bool:
    fact = context.fact(target.value)
    return not isinstance(fact, Tensor) and not rebinds(context, target)


def _stale_attribute(context: Context, node: cst.Attribute) -> str | None:
    """An attribute that is a Python number or a tensor and changes while the program runs."""
    parent = context.edits.parent.get(node)
    if isinstance(parent, (cst.AssignTarget, cst.AugAssign)):
        return None
    if not any(_is_data(o) for o in options(context.fact(node))):
        return None
    if any(isinstance(o, Instance) for o in options(context.fact(node.value))):
        if node.attr.value in changing_attributes(context):
            return f"`{code(node)}` changes while the program runs"
    return None


def _is_data(value: Value) -> bool:
    """Numbers, tensors and tuples of them, which a trace would keep as they were; no variables."""
    if isinstance(value, Sequence):
        return any(_is_data(o) for item in value.items or () for o in options(item))
    if isinstance(value, Tensor):
        return not value.variable
    return isinstance(value, (Const, Number))


def _is_moved(target: cst.Attribute, value: cst.CSTNode | None) -> bool:
    """`self.scale = self.scale.to(device)`."""
    match value:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name("to" | "cuda" | "cpu"))):
            return owner.deep_equals(target)
    return False


def changing_attributes(context: Context) -> set[str]:
    """Names of attributes that are assigned outside of `__init__`."""
    found = context.notes.get("changing attributes")
    if found is None:
        found = set()
        for node in walk(context.module):
            if not isinstance(node, (cst.Assign, cst.AugAssign)):
                continue
            for target in assigned_attributes(node):
                if _is_moved(target, node.value) or rebinds(context, target):
                    continue
                function = context.edits.enclosing(target, cst.FunctionDef)
                if function is None or function.name.value != "__init__":
                    found.add(target.attr.value)
        context.notes["changing attributes"] = found
    assert isinstance(found, set)
    return found


def _call_reason(context: Context, node: cst.Call) -> str | None:
    name = qualified_name(context, node.func)
    if name is not None and name.startswith("torch.Tensor.") and name.endswith("_"):
        owner = node.func.value if isinstance(node.func, cst.Attribute) else node
        if isinstance(owner, cst.Name) and is_kept(context, node, owner.value):
            return f"`{owner.value}` is kept in a list or dict between steps"
    if name in _HOST_METHODS and name != "torch.Tensor.cpu":
        return f"`{code(node.func)}()` needs the value itself"
    fact = context.fact(node)
    parent = context.edits.parent.get(node)
    assigned = isinstance(parent, cst.Assign) and rebinds(context, parent.targets[0].target)
    if isinstance(fact, Tensor) and fact.variable and _asks(node, name) and not assigned:
        return f"`{code(node.func)}()` makes a variable each time"
    for value in options(context.fact(node.func)):
        if isinstance(value, Symbol):
            if value.name.startswith("builtins."):
                short = value.name[9:]
                if short in _HOST_BUILTINS:
                    return f"`{short}()` runs in Python, once, when a graph is traced"
                if short in ("float", "int", "bool") and node.args:
                    if isinstance(context.fact(node.args[0].value), Tensor):
                        return f"`{short}()` of a tensor needs the value itself"
            elif not value.name.startswith(_TRACED) and not _is_constant_call(
                context, node, value.name
            ):
                return f"`{code(node.func)}()` runs in Python, once, when a graph is traced"
        elif isinstance(value, Bound) and value.name.startswith("numpy.ndarray"):
            return f"`{code(node.func)}()` runs in Python, once, when a graph is traced"
        elif isinstance(value, Unknown) and name is None and not _may_be_module(context, node):
            return f"what `{code(node.func)}()` does is not known, and a graph runs it once"
    return None


def _asks(node: cst.Call, name: str | None) -> bool:
    asked = any(a.keyword is not None and a.keyword.value == "requires_grad" for a in node.args)
    return asked or name in ("torch.autograd.Variable", "torch.nn.Parameter")


def _may_be_module(context: Context, call: cst.Call) -> bool:
    """Whether an unknown callee is called as models and losses are: on tensors, by its name."""
    if code(call.func).startswith("super("):
        return True
    if isinstance(call.func, cst.Attribute):
        owner = call.func.value
        if not isinstance(owner, cst.Name) or owner.value != "self":
            return False
    return bool(call.args) and not any(
        isinstance(context.fact(arg.value), (Const, Number)) for arg in call.args
    )


def _is_constant_call(context: Context, node: cst.Call, name: str) -> bool:
    """`np.sqrt(2)` and the like: a Python number from Python numbers."""
    if not name.startswith(("numpy.", "math.")) or "random" in name:
        return False
    return bool(node.args) and all(
        isinstance(context.fact(a.value), (Const, Number)) for a in node.args
    )
