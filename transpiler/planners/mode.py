"""The mode planner: `model.train()` / `model.eval()` state as `training=` at each call."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Instance, Method, Symbol, Unknown, Value, options
from transpiler.modules import children, in_module_method, is_module
from transpiler.planners.expressions import qualified_name
from transpiler.planners.lasting_modes import is_removed, plan_parts
from transpiler.planners.mode_methods import MethodModes
from transpiler.planners.model import add_keyword
from transpiler.syntax import find

SWITCHES = frozenset({"torch.nn.Module.train", "torch.nn.Module.eval"})
MODE_LAYERS = (
    "torch.nn.modules.dropout._DropoutNd",
    "torch.nn.modules.batchnorm._NormBase",
    "torch.nn.modules.batchnorm._BatchNorm",
    "torch.nn.MultiheadAttention",
    "torch.nn.TransformerEncoderLayer",
    "torch.nn.TransformerDecoderLayer",
    "torch.nn.Transformer",
    "torch.nn.TransformerEncoder",
    "torch.nn.TransformerDecoder",
)


def plan(context: Context) -> None:
    """Drop the switches; tell every outermost call of a model its mode."""
    switches = _plan_switches(context)
    _plan_saved_modes(context, switches)
    for call in find(context.module, cst.Call):
        if not in_module_method(context, call):
            _plan_call(context, call, switches)


def _plan_switches(context: Context) -> list[cst.Call]:
    found: list[cst.Call] = []
    removed = plan_parts(context, _depends_on_mode)
    for call in find(context.module, cst.Call):
        if context.edits.enclosing(call, cst.FunctionDef) in removed:
            context.claim(call)
            continue
        if not isinstance(call.func, cst.Attribute) or call.func.attr.value not in (
            "train",
            "eval",
        ):
            continue
        name = qualified_name(context, call.func)
        guessed = (
            isinstance(context.fact(call.func), Unknown)
            and isinstance(context.edits.parent[call], cst.Expr)
            and (not call.args)
        )
        known = name in SWITCHES or is_removed(context, call.func, removed)
        if not known and not guessed:
            continue
        found.append(call)
        context.claim(call)
        if _is_part(context, call.func.value) and _runs_inside(context, call.func.value):
            context.manual(
                call,
                "training-mode",
                "a part of the model is put in another mode than the rest",
                "pass training= to that part where the model calls it",
            )
            continue
        parent = context.edits.parent[call]
        if isinstance(parent, cst.Expr):
            context.edits.replace(context.edits.statement(call), [])
        else:
            context.edits.replace(call, call.func.value)
    return found


def _plan_saved_modes(context: Context, switches: list[cst.Call]) -> None:
    """`was_training = model.training`, to be given to `model.train()` again: not needed."""
    for node in find(context.module, cst.Attribute):
        if node.attr.value != "training" or in_module_method(context, node):
            continue
        if not any(is_module(context, o) for o in options(context.fact(node.value))):
            continue
        parent = context.edits.parent[node]
        fact = context.fact(node)
        name = parent.targets[0].target if isinstance(parent, cst.Assign) else None
        if isinstance(name, cst.Name) and _is_only_given_back(context, name, switches):
            context.claim(node)
            context.edits.replace(context.edits.statement(node), [])
        elif isinstance(fact, Const):
            context.claim(node)
            context.edits.replace(node, cst.Name(str(fact.value)))


def _is_only_given_back(context: Context, name: cst.Name, switches: list[cst.Call]) -> bool:
    scope = context.edits.enclosing(name, cst.FunctionDef) or context.module
    uses = [n for n in find(scope, cst.Name) if n.value == name.value and n is not name]
    given = {a.value for s in switches for a in s.args}
    return bool(uses) and all(u in given for u in uses)


def _is_part(context: Context, node: cst.BaseExpression) -> bool:
    """Whether a module is reached through another one: `model.backbone`."""
    if not isinstance(node, cst.Attribute):
        return False
    return any(is_module(context, o) for o in options(context.fact(node.value)))


def _runs_inside(context: Context, node: cst.BaseExpression) -> bool:
    """Whether some module runs a part; where it is only kept, its callers tell it the mode."""
    parts = {id(o) for o in options(context.fact(node)) if is_module(context, o)}
    found = [c for c in find(context.module, cst.Call) if in_module_method(context, c)]
    return not parts or any(id(o) in parts for c in found for o in options(context.fact(c.func)))


def _plan_call(context: Context, call: cst.Call, switches: list[cst.Call]) -> None:
    values = options(context.fact(call.func))
    if any(isinstance(o, Unknown) for o in values):  # also what may be a model from a file
        values = tuple(context.interpreter.callees.get(call, ()))
    modules = [o for o in values if isinstance(o, Instance) and is_module(context, o)]
    if modules:
        if not any(_depends_on_mode(context, m) for m in modules):
            return
        modes = context.interpreter.call_modes.get(call, frozenset())
        if len(modes) == 1:
            add_keyword(context, call, "training", cst.Name(str(next(iter(modes)))))
        elif modes:
            _plan_flag(context, call, modules)
        return
    for value in values:
        if isinstance(value, Method) and is_module(context, value.receiver):
            _plan_method_call(context, call, value)
            return


def _plan_method_call(context: Context, call: cst.Call, method: Method) -> None:
    """A call of a model's own method from outside: Keras knows no mode there."""
    receiver = method.receiver
    assert isinstance(receiver, Instance)
    modes = context.interpreter.modes.get(receiver, frozenset({True}))
    if method.function.name == "forward":
        context.edits.replace(call.func, call.func.value)  # type: ignore[attr-defined]
        own = context.interpreter.call_modes.get(call, modes)
        if _depends_on_mode(context, receiver) and len(own) == 1:
            add_keyword(context, call, "training", cst.Name(str(next(iter(own)))))
        elif _depends_on_mode(context, receiver):
            _plan_flag(context, call, [receiver])
        return
    known = context.notes.setdefault("methods' modes", MethodModes(context, _depends_on_mode))
    if known.is_adaptable(method):
        if not known.adapt(method):
            return
        found = context.interpreter.call_modes.get(call, frozenset({True}))
        if len(found) == 1:
            add_keyword(context, call, "training", cst.Name(str(next(iter(found)))))
        else:
            _plan_flag(context, call, [receiver])
    elif True in modes and _method_depends_on_mode(context, receiver, method):
        context.manual(
            call,
            "training-mode",
            f"`{method.function.name}` runs layers that behave differently in training, and Keras "
            "takes them to be in inference here",
            "give the method a `training` argument and pass it on to its layers",
        )


def _method_depends_on_mode(context: Context, receiver: Instance, method: Method) -> bool:
    for call in find(method.function.node, cst.Call):
        for value in options(context.fact(call.func)):
            if isinstance(value, Instance) and is_module(context, value):
                if _depends_on_mode(context, value):
                    return True
    return False


def _depends_on_mode(context: Context, module: Instance) -> bool:
    """Whether train and eval mode differ for a module; True where its parts are not all known."""
    seen: set[int] = set()
    stack: list[Value] = [module]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Instance):
            if any(context.knowledge.derives(value, base) for base in MODE_LAYERS):
                return True
            if isinstance(value.cls, Symbol) and value.cls.name.rpartition(".")[2] in (
                "LSTM", "GRU", "RNN",
            ):  # fmt: skip
                if "dropout" in value.arguments:
                    return True
            if isinstance(value.cls, Class) and _reads_mode(value.cls):
                return True
        stack.extend(children(value))
    return False


def _reads_mode(cls: Class) -> bool:
    if any(a.attr.value == "training" for a in find(cls.node, cst.Attribute)):
        return True
    return any(isinstance(b, Class) and _reads_mode(b) for b in cls.bases)


# ---- a mode that is not known before the program runs ------------------------------------------


def _plan_flag(context: Context, call: cst.Call, modules: list[Instance]) -> None:
    """Keep the mode in a variable where a call runs in both."""
    function = context.edits.enclosing(call, cst.FunctionDef)
    switches = [
        s
        for s in find(function or context.module, cst.Call)
        if isinstance(s.func, cst.Attribute)
        and s.func.attr.value in ("train", "eval")
        and any(m in options(context.fact(s.func.value)) for m in modules)
    ]
    if not switches:
        context.manual(
            call,
            "training-mode",
            "this call runs in train mode from some places and in eval mode from others",
            "pass training=True or training=False from the callers",
        )
        return
    flags: dict[cst.CSTNode, str] = context.notes.setdefault("mode flags", {})
    key = function or context.module
    if key not in flags:
        free = "training" not in context.names
        flags[key] = context.fresh("training" if free else "is_training")
    for switch in switches:
        statement = context.edits.statement(switch)
        value = _switch_value(context, switch)
        line = cst.SimpleStatementLine(
            [cst.Assign([cst.AssignTarget(cst.Name(flags[key]))], value)]
        )
        context.edits.replace(statement, [line])
    add_keyword(context, call, "training", cst.Name(flags[key]))
    context.notes.setdefault("mode flag of", {})[call] = flags[key]


def _switch_value(context: Context, switch: cst.Call) -> cst.BaseExpression:
    assert isinstance(switch.func, cst.Attribute)
    if switch.func.attr.value == "eval":
        return cst.Name("False")
    return switch.args[0].value if switch.args else cst.Name("True")
