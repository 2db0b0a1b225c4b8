"""`isinstance(layer, layers.Dense)` and `type(layer) == layers.Dense`, asked of PyTorch's modules.

Keras' `model.layers` are the layers; the modules of a model may lie deeper, where a layer became
one with its activation. A loop that only does something with the layers it tests for therefore
goes over `model.modules()`.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, options
from transpiler.planners.keras_tape.sensitive import parts_of
from transpiler.planners.type_tests import asks_type, plan_class_names, written
from transpiler.rule import Unfit
from transpiler.rules.layer_classes import MODULE_NAMES, MODULES
from transpiler.syntax import find
from transpiler.template import fill


def plan(context: Context) -> None:
    """Record PyTorch's classes wherever a layer's class is asked for."""
    tests: dict[cst.CSTNode, list[str]] = {}
    for call in find(context.module, cst.Call):
        if isinstance(call.func, cst.Name) and call.func.value in ("isinstance", "issubclass"):
            if len(call.args) == 2:
                tests[call] = _replace(context, written(context, call.args[1].value))
    for comparison in find(context.module, cst.Comparison):
        if len(comparison.comparisons) != 1:
            continue
        [other] = [c.comparator for c in comparison.comparisons]
        if asks_type(comparison.left):
            tests[comparison] = _replace(context, other)
        elif _asks_name(comparison.left) and isinstance(other, cst.SimpleString):
            tests[comparison] = [f"keras.layers.{other.evaluated_value!s}"]
    plan_class_names(context, MODULE_NAMES)
    tests = {node: names for node, names in tests.items() if names}
    if not tests:
        return
    loops: list[Any] = list(find(context.module, cst.For, cst.CompFor))
    for loop in loops:
        try:
            _reach(context, loop, tests)
        except Unfit as error:
            context.unfit(loop if isinstance(loop, cst.For) else loop.iter, "isinstance", error)


def _asks_name(node: cst.BaseExpression) -> bool:
    """`type(x).__name__`."""
    return isinstance(node, cst.Attribute) and node.attr.value == "__name__" \
        and asks_type(node.value)  # fmt: skip


def _replace(context: Context, node: Any) -> list[str]:
    """Write PyTorch's classes for Keras'; the names of those found."""
    if isinstance(node, (cst.Tuple, cst.List)):
        return [name for e in node.elements for name in _replace(context, e.value)]
    fact = context.fact(node)
    name = fact.name if isinstance(fact, Symbol) else ""
    if name not in MODULES:
        return []
    context.claim(node)
    if any(_is_taken_for(context, i, name) for i in context.interpreter.instances.values()):
        context.manual(node, name.rpartition(".")[2], "layers of several classes are one class "
                       f"here, {MODULES[name]}")  # fmt: skip
    else:
        context.edits.replace(node, fill(MODULES[name]))
    return [name]


def _is_taken_for(context: Context, instance: Instance, name: str) -> bool:
    """Whether an object of another class becomes a module of the same class."""
    kind = instance.class_names[0] if instance.class_names else ""
    return MODULES.get(kind) == MODULES[name] and not context.knowledge.derives(instance, name)


# ---- loops ---------------------------------------------------------------------------------------


def _reach(context: Context, loop: Any, tests: dict[cst.CSTNode, list[str]]) -> None:
    """Let a loop over a model's layers come to the modules that it asks for."""
    owner = loop.iter
    if not isinstance(owner, cst.Attribute) or owner.attr.value != "layers":
        return
    models = [v for v in options(context.fact(owner.value)) if isinstance(v, Instance)]
    around = loop if isinstance(loop, cst.For) else context.edits.parent[loop]
    asked = {n for test in find(around, cst.Call, cst.Comparison) for n in tests.get(test, [])}
    if not models or not asked or not isinstance(loop.target, cst.Name):
        return
    if _only_tested(loop, tests) and not any(_nests(m) for m in models):
        context.claim(owner)
        context.edits.replace(owner, fill("model.modules()", model=owner.value))
    elif any(_is_wrapped(m, part, asked) for m in models for part in parts_of(context, m)):
        raise Unfit("a layer with an activation is a module inside of another here, and this "
                    "loop does not come to it", "loop over model.modules()")  # fmt: skip


def _only_tested(loop: Any, tests: dict[cst.CSTNode, list[str]]) -> bool:
    """Whether all that a loop does stands under a test of its variable's class."""
    if isinstance(loop, cst.CompFor):
        return any(_requires(condition.test, tests) for condition in loop.ifs)
    body = loop.body.body
    branch: Any = body[0] if len(body) == 1 else None
    while isinstance(branch, cst.If) and _requires(branch.test, tests):
        if branch.orelse is None:
            return True
        branch = branch.orelse
    return False


def _requires(test: cst.CSTNode, tests: dict[cst.CSTNode, list[str]]) -> bool:
    """Whether a condition only holds for modules of a class asked for."""
    if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
        return _requires(test.left, tests) or _requires(test.right, tests)
    if isinstance(test, cst.Comparison):
        return test in tests and isinstance(test.comparisons[0].operator, (cst.Equal, cst.Is))
    return test in tests


def _nests(model: Instance) -> bool:
    """Whether models are layers of a model: Keras' loop does not enter them."""
    held: Any = model.state.get("layers") or [*model.attributes.values()]
    parts = [x for x in held if isinstance(x, Instance)]
    return any(
        "layers" in x.state or "outputs" in x.state or not isinstance(x.cls, Symbol) for x in parts
    )


def _is_wrapped(model: Instance, layer: Instance, asked: set[str]) -> bool:
    """Whether a layer asked for is a module inside of one that it shares with its activation."""
    if not asked & set(layer.class_names) or isinstance(model.state.get("layers"), list):
        return False
    active = layer.arguments.get("activation") not in (None, Const(None), Const("linear"))
    return active or layer.arguments.get("padding") not in (None, Const("valid"))
