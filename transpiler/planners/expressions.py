"""The expression planner: every use of the source framework's names, through the rule book."""

from __future__ import annotations

import re
from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Bound,
    Class,
    Const,
    Instance,
    Number,
    Symbol,
    Tensor,
    Union,
    Value,
    is_empty,
    is_none,
    lacks,
    options,
)
from transpiler.planners.receivers import ARRAY, NUMERIC, is_tensor_by_use
from transpiler.rule import Unfit
from transpiler.rules.naming import (
    AMBIGUOUS_METHODS,
    ANNOTATIONS,
    SOURCE_ROOTS,
    STATE_METHODS,
    TABLE_METHODS,
)
from transpiler.site import Keep, Site
from transpiler.syntax import code, walk
from transpiler.template import fill


def plan(context: Context) -> None:
    """Record an edit, or a finding, for every use of the source framework."""
    for node in walk(context.module):
        if isinstance(node, (cst.Call, cst.Attribute, cst.Name)):
            _Planner(context).visit(node)


def qualified_name(context: Context, func: cst.CSTNode) -> str | None:
    """The canonical name of the source framework's function, class or method at a node."""
    found = {_name_of(context, func, value) for value in options(context.fact(func))}
    found.discard(None)
    if len(found) > 1:
        return None
    if found:
        return found.pop()
    return _guess_method(context, func)


def _name_of(context: Context, func: cst.CSTNode, value: Value) -> str | None:
    match value:
        case Symbol():
            name = value.name
        case Bound():
            name = value.name
        case Instance():
            names = value.class_names
            return f"{names[0]}.__call__" if names and isinstance(value.cls, Symbol) else None
        case _:
            return None
    root = name.partition(".")[0]
    return name if root in SOURCE_ROOTS[context.to] else None


def _guess_method(context: Context, func: cst.CSTNode) -> str | None:
    """A method that only the framework's arrays have, on a receiver of which nothing is known."""
    if not isinstance(func, cst.Attribute):
        return None
    if context.fact(func) is not UNKNOWN or context.fact(func.value) is not UNKNOWN:
        return None
    parent = context.edits.parent.get(func)
    called = isinstance(parent, cst.Call) and parent.func is func
    if called and _moves_an_array(context, parent):
        return f"{context.knowledge.arrays['torch']}.to" if context.to == "tf" else None
    if called and func.attr.value in STATE_METHODS and _is_called_model(func.value):
        return f"torch.nn.Module.{func.attr.value}" if context.to == "tf" else None
    shared = func.attr.value in TABLE_METHODS and bool({"pd", "pandas"} & context.names)
    if shared or func.attr.value in AMBIGUOUS_METHODS or func.attr.value.startswith("__"):
        if context.to == "tf" and is_tensor_by_use(context, func):
            return f"{ARRAY}.{func.attr.value}"
        return None
    for library in SOURCE_ROOTS[context.to]:
        cls = context.knowledge.arrays.get(library)
        entry = signatures.lookup(f"{cls}.{func.attr.value}") if cls is not None else None
        if entry is not None and (entry.kind == "method") == called:
            return f"{cls}.{func.attr.value}"
    return None


def _is_called_model(node: cst.BaseExpression) -> bool:
    """Whether something unknown is named as models are, which optimizers and schedules are not."""
    name = node.attr if isinstance(node, cst.Attribute) else node
    return isinstance(name, cst.Name) and _MODEL_NAMES.search(name.value.lower()) is not None


def _moves_an_array(context: Context, call: Any) -> bool:
    """Whether a call is torch's `x.to(...)`, which models have as well."""
    func = call.func
    if not isinstance(func, cst.Attribute) or func.attr.value != "to" or not call.args:
        return False
    fact = context.fact(call.args[0].value)
    if isinstance(fact, Const):
        return isinstance(fact.value, int) or str(fact.value).startswith(_DEVICES)
    return fact is UNKNOWN or isinstance(fact, (Tensor, Symbol, Number, Union, Bound))


_MODEL_NAMES = re.compile(r"(^|_)(model|module|net|network)\d*(_|$)")
_DEVICES = ("cuda", "cpu", "mps", "xpu", "xla", "meta")


class _Planner:
    def __init__(self, context: Context) -> None:
        self.context = context

    def visit(self, node: Any) -> None:
        context = self.context
        if node in context.claimed or context.edits.edited(node) or _in_import(context, node):
            return
        if isinstance(node, cst.Call):
            self.visit_call(node)
        elif not self.is_part(node):
            self.visit_reference(node)

    def is_part(self, node: cst.CSTNode) -> bool:
        """Whether the node is handled with what is around it."""
        parent = self.context.edits.parent.get(node)
        if isinstance(parent, cst.Call) and parent.func is node:
            return True
        if isinstance(parent, cst.Attribute):
            if parent.attr is node:
                return True
            if isinstance(self.context.fact(node), Symbol) and self.is_target(parent):
                return True
            owner = self.context.fact(node)
            if isinstance(owner, Symbol) and self.constant_name(owner, parent.attr.value):
                return True
            return isinstance(self.context.fact(parent), Symbol)
        if isinstance(parent, cst.Arg) and parent.keyword is node:
            return True
        return isinstance(parent, (cst.Param, cst.FunctionDef, cst.ClassDef, cst.NameItem)) and (
            getattr(parent, "name", None) is node
        )

    def visit_call(self, node: cst.Call) -> None:
        name = qualified_name(self.context, node.func)
        if name is None:
            self.tell_unknown(node.func)
            return
        if name.endswith(".__call__") and not self.context.rulebook.candidates(
            self.context.to, name
        ):
            return
        if self.is_indirect(node.func):
            return
        self.translate(node, name)

    def tell_unknown(self, func: cst.BaseExpression) -> None:
        """A method that NumPy's arrays and torch's both have, of a receiver nobody knows."""
        context = self.context
        if context.to != "tf" or not isinstance(func, cst.Attribute):
            return
        unknown = context.fact(func.value) is UNKNOWN and not _is_called_model(func.value)
        if func.attr.value in STATE_METHODS and unknown:
            context.manual(
                func, func.attr.value,
                f"whether `{code(func.value)}` is a model or an optimizer is not known",
                "annotate it, or translate the file together with the program that calls it",
            )  # fmt: skip
        if func.attr.value not in NUMERIC or context.fact(func.value) is not UNKNOWN:
            return
        if context.fact(func) is UNKNOWN:
            context.caution(
                func, func.attr.value,
                f"what `{code(func)}()` is called on is not known, so it stays: right for NumPy's "
                "arrays, no method of TensorFlow's tensors",
                "write it as tf's function where it is a tensor",
            )  # fmt: skip

    def is_indirect(self, func: cst.CSTNode) -> bool:
        """Whether the callee is a variable that holds a class or function of the framework."""
        fact = self.context.fact(func)
        if not isinstance(fact, (Symbol, Union)):
            return False
        some = [o for o in options(fact) if not is_none(o)]  # None has no methods
        if isinstance(fact, Union) and all(isinstance(o, (Bound, Instance)) for o in some):
            return False
        if isinstance(func, cst.Attribute):
            return not isinstance(self.context.fact(func.value), Symbol)
        if isinstance(func, cst.Name):
            return not is_direct_name(self.context, func)
        return True

    def visit_reference(self, node: cst.Name | cst.Attribute) -> None:
        value = self.context.fact(node)
        name: str | None = None
        if isinstance(node, cst.Attribute) and self.is_target(node):
            self.visit_setting(node)
            return
        if isinstance(value, Symbol) and _name_of(self.context, node, value):
            if isinstance(node, cst.Name) and not is_direct_name(self.context, node):
                return
            if isinstance(node, cst.Attribute) and not isinstance(
                self.context.fact(node.value), Symbol
            ):
                return
            if self.is_target(node):
                return
            name = value.name
        elif isinstance(node, cst.Attribute):
            names = self.property_names(node)
            name = names[0] if len(names) == 1 else None
            if len(names) > 1:
                self.translate_alike(node, names)
        if name is not None and self.in_annotation(node):
            self.context.edits.replace(node, fill(ANNOTATIONS.get(name, "object")))
        elif name is not None:
            self.translate(node, name)

    def visit_setting(self, node: cst.Attribute) -> None:
        """`torch.backends.cudnn.benchmark = True`: an assignment to a name of the framework."""
        owner = self.context.fact(node.value)
        if not isinstance(owner, Symbol):
            names = self.property_names(node)
            if len(names) != 1 or not self.context.rulebook.candidates(self.context.to, names[0]):
                return
            self.translate(node, names[0])
        elif _name_of(self.context, node, owner):
            self.translate(
                node, self.context.knowledge.canonical(f"{owner.name}.{node.attr.value}")
            )
            self.context.claim(node.value)

    def in_annotation(self, node: cst.CSTNode) -> bool:
        """Whether a reference stands in a type annotation (not in a value)."""
        parent = self.context.edits.parent.get(node)
        while parent is not None and not isinstance(parent, cst.BaseStatement):
            if isinstance(parent, cst.Annotation):
                return True
            if isinstance(parent, (cst.Call, cst.Assign)):
                return False
            parent = self.context.edits.parent.get(parent)
        return False

    def is_target(self, node: cst.CSTNode) -> bool:
        parent = self.context.edits.parent.get(node)
        return isinstance(parent, cst.AssignTarget)

    def property_names(self, node: cst.Attribute) -> list[str]:
        """`torch.Tensor.shape` for an attribute of an array or of a library's object.

        Several names where the object may be of several classes; none where any is unknown.
        """
        attribute = node.attr.value
        receivers = [o for o in options(self.context.fact(node.value)) if not lacks(o, attribute)]
        names: set[str | None] = set()
        for receiver in receivers:
            if isinstance(receiver, Tensor):
                cls = self.context.knowledge.array_class(receiver)
                known = cls.partition(".")[0] in SOURCE_ROOTS[self.context.to]
                names.add(f"{cls}.{attribute}" if known else None)
            elif isinstance(receiver, Instance) and not _is_own(receiver, attribute):
                names.add(self.instance_property(receiver, attribute))
            elif isinstance(receiver, Symbol):
                names.add(self.constant_name(receiver, attribute))
            else:
                names.add(None)
        if names and None not in names:
            return sorted(name for name in names if name is not None)
        if self.context.fact(node.value) is UNKNOWN:
            guess = _guess_method(self.context, node)
            return [guess] if guess is not None else []
        return []

    def translate_alike(self, node: cst.Attribute, names: list[str]) -> None:
        """An attribute of an object of one class or another, where all are spelled the same."""
        results: dict[str, Any] = {}
        try:
            for name in names:
                result = self.context.rulebook.translate(Site(self.context, node, name))
                results[code(result) if isinstance(result, cst.CSTNode) else ""] = result
            if len(results) > 1:
                raise Unfit(f"`{code(node)}` is another attribute in each class that it may be of")
        except Keep:
            return
        except Unfit as error:
            self.context.unfit(node, names[0], error)
            return
        [result] = results.values()
        if isinstance(result, cst.BaseExpression) and not self.context.edits.edited(node):
            self.context.edits.replace(node, result)

    def constant_name(self, receiver: Symbol, attribute: str) -> str | None:
        """A constant of the library whose value is known, such as `torch.pi`."""
        name = self.context.knowledge.canonical(f"{receiver.name}.{attribute}")
        root = name.partition(".")[0]
        if root not in SOURCE_ROOTS[self.context.to]:
            return None
        return name if self.context.rulebook.candidates(self.context.to, name) else None

    def instance_property(self, receiver: Instance, attribute: str) -> str | None:
        for base in receiver.class_names:
            if base.partition(".")[0] not in SOURCE_ROOTS[self.context.to]:
                continue
            name = self.context.knowledge.member(base, attribute)
            if name is not None:
                return name
            candidate = f"{base}.{attribute}"
            if self.context.rulebook.candidates(self.context.to, candidate):
                return candidate
        return None

    def translate(self, node: Any, name: str) -> None:
        context = self.context
        site = Site(context, node, name)
        first = len(context.reports)
        try:
            result = context.rulebook.translate(site)
            if isinstance(result, cst.Call) and self.is_callable(node):
                raise Unfit(f"{name} is used without being called")
            if _loses_arguments(site, result):
                raise Unfit(f"arguments of {site.short} are unpacked with * or **")
        except Keep:
            context.anchor(node, first)
            return
        except Unfit as error:
            if not isinstance(node, cst.Call) and isinstance(context.fact(node), Symbol):
                error = self.pass_on(node, name) or error
                if context.edits.edited(node):
                    return
            if context.claimed and node in context.claimed:
                return
            context.unfit(node, site.short, error)
            return
        if context.edits.edited(node):
            return
        if isinstance(result, list):
            statement = site.statement
            if not context.edits.edited(statement):
                context.edits.replace(statement, result)
                context.anchor(node, first)
        elif result is not None and result is not node:
            context.edits.replace(node, result)

    def is_callable(self, node: Any) -> bool:
        """Whether a reference names a class or function, which nobody calls here."""
        fact = self.context.fact(node)
        if isinstance(node, cst.Call) or not isinstance(fact, Symbol):
            return False
        entry = signatures.lookup(fact.name)
        return entry is not None and entry.kind in ("class", "function")

    def pass_on(self, node: Any, name: str) -> Unfit | None:
        """Write a reference as a callable; why not, where it can not."""
        from transpiler.planners.references import callable_for

        try:
            self.context.edits.replace(node, callable_for(self.context, node, name))
        except Unfit as error:
            return error
        return None


def _loses_arguments(site: Site, result: Any) -> bool:
    """Whether a rule has read a call without what it unpacks."""
    if not site.starred or site.spreads or not isinstance(result, cst.Call):
        return False
    kept = set(walk(result))
    return any(
        kept.isdisjoint(walk(a.value)) and not is_empty(site.fact(a.value)) for a in site.starred
    )


def _is_own(receiver: Instance, attribute: str) -> bool:
    """Whether the program gives an object the attribute, itself or by its class."""
    if attribute in receiver.attributes:
        return True
    return isinstance(receiver.cls, Class) and receiver.cls.lookup(attribute) is not None


def is_direct_name(context: Context, node: cst.Name) -> bool:
    """Whether a bare name is an import or a module-level alias of one, not a parameter or local."""
    function = context.edits.enclosing(node, cst.FunctionDef, cst.Lambda)
    while function is not None:
        params = function.params
        for param in [*params.posonly_params, *params.params, *params.kwonly_params]:
            if param.name.value == node.value:
                return False
        if isinstance(function, cst.FunctionDef) and _assigns(context, function, node.value):
            return False
        function = context.edits.enclosing(function, cst.FunctionDef, cst.Lambda)
    return True


def _assigns(context: Context, function: cst.FunctionDef, name: str) -> bool:
    cache = context.notes.setdefault("assigned names", {})
    if function not in cache:
        found: set[str] = set()
        for item in walk(function.body):
            if isinstance(item, cst.AssignTarget) and isinstance(item.target, cst.Name):
                found.add(item.target.value)
        cache[function] = found
    return name in cache[function]


def _in_import(context: Context, node: cst.CSTNode) -> bool:
    parent = context.edits.parent.get(node)
    while isinstance(parent, (cst.Attribute, cst.ImportAlias, cst.AsName)):
        if isinstance(parent, cst.ImportAlias):
            return True
        parent = context.edits.parent.get(parent)
    return isinstance(parent, (cst.Import, cst.ImportFrom))


__all__ = ["is_direct_name", "plan", "qualified_name"]
