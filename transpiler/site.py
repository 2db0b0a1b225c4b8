"""Site: one place where a rule is applied, as rule authors see it."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Bound,
    Const,
    Instance,
    ListObject,
    Sequence,
    Tensor,
    Value,
    items_of,
    join,
    lacks,
    options,
)
from transpiler.rule import Unfit
from transpiler.syntax import dotted, literal
from transpiler.template import OMIT, as_node, fill, parse_expression

_MISSING = object()


class Keep(Exception):
    """Raised by `site.keep()`: leave the node as it is and translate inside it."""


class Site:
    """A call (or plain use) of a library name in the original tree.

    node: the Call, Attribute or Name.
    name: canonical qualified name, such as `torch.Tensor.view`.
    receiver: for methods, the expression before the dot.
    args: expressions given in the call, by parameter name; `*args` parameters hold lists.
    """

    def __init__(self, context: Context, node: cst.BaseExpression, name: str) -> None:
        self.context = context
        self.node = node
        self.name = name
        self.is_call = isinstance(node, cst.Call)
        self.positional: list[cst.BaseExpression] = []
        self.keywords: dict[str, cst.BaseExpression] = {}
        self.starred: list[cst.Arg] = []
        self.receiver: cst.BaseExpression | None = None
        self.spreads = False
        """Whether a rule has read what the call unpacks, one by one."""
        self._args: dict[str, Any] | None = None
        self._read()

    def _read(self) -> None:
        node = self.node
        func: cst.CSTNode = node
        if isinstance(node, cst.Call):
            func = node.func
            for arg in node.args:
                if arg.star:
                    self.starred.append(arg)
                elif arg.keyword is not None:
                    self.keywords[arg.keyword.value] = arg.value
                else:
                    self.positional.append(arg.value)
        if isinstance(func, cst.Attribute):
            fact = self.context.fact(func)
            receiver = self.context.fact(func.value)
            objects = [o for o in options(receiver) if not lacks(o, func.attr.value)]
            of_object = objects and all(isinstance(o, (Tensor, Instance)) for o in objects)
            if of_object or all(isinstance(o, Bound) for o in options(fact)):
                self.receiver = func.value
            elif fact is UNKNOWN and receiver is UNKNOWN:
                self.receiver = func.value

    # ---- arguments ---------------------------------------------------------------------------

    def give(self, node: Any, new: cst.BaseExpression) -> None:
        """Another expression for an argument."""
        self.positional = [new if p is node else p for p in self.positional]
        self.keywords = {n: new if v is node else v for n, v in self.keywords.items()}
        self._args = None

    @property
    def args(self) -> dict[str, Any]:
        """Arguments by parameter name; raises Unfit where the call does not bind."""
        if self._args is None:
            try:
                positional = self._spread() if self.starred else self.positional
                self._args = dict(signatures.bind(self.name, positional, self.keywords))
            except signatures.BindError as error:
                raise Unfit(f"arguments of {self.short} do not match: {error}") from None
        return self._args

    def _spread(self) -> list[cst.BaseExpression]:
        """The positional arguments, unpacked ones one by one."""
        found: list[cst.BaseExpression] = []
        assert isinstance(self.node, cst.Call)
        for arg in self.node.args:
            parts = [arg.value] if not arg.star else None
            if arg.star == "*":
                parts = self.spread(arg.value)
            if parts is None:
                raise Unfit(f"arguments of {self.short} are unpacked with * or **")
            found += parts if arg.keyword is None else []
        return found

    def spread(self, node: cst.BaseExpression) -> list[cst.BaseExpression] | None:
        """The elements of what is unpacked with `*`, where it is known how many there are."""
        self.spreads = True
        return _elements(self.context, node)

    @property
    def short(self) -> str:
        """The name as users say it: `Tensor.view`, `nn.Linear`."""
        parts = self.name.split(".")
        return ".".join(parts[-2:]) if len(parts) > 1 else self.name

    def has(self, name: str) -> bool:
        """Whether the call gives the argument (a written `None` counts as not given)."""
        found = self.args.get(name)
        return found is not None and not (isinstance(found, cst.Name) and found.value == "None")

    def default(self, name: str) -> cst.BaseExpression | None:
        """The parameter's default as an expression, None where it has none."""
        entry = signatures.lookup(self.name)
        for signature in entry.signatures if entry else ():
            for parameter in signature.parameters:
                if parameter.name == name and parameter.default is not None:
                    return parse_expression(parameter.default).deep_clone()
        return None

    def arg(self, name: str) -> cst.BaseExpression:
        """The argument given, else the parameter's default; Unfit where there is neither."""
        found = self.args.get(name)
        if found is None:
            found = self.default(name)
        if found is None:
            raise Unfit(f"{self.short} is called without `{name}`")
        return as_node(found)

    def given(self, name: str) -> Any:
        """The argument given, or OMIT."""
        return self.args.get(name, OMIT)

    def fact(self, node: cst.CSTNode | str | None) -> Value:
        """What is known of an expression, or of an argument by name."""
        found = self.args.get(node) if isinstance(node, str) else node
        if isinstance(node, str) and found is None:
            default = self.default(node)
            return _literal_value(default) if default is not None else UNKNOWN
        if found is None:
            return UNKNOWN
        fact = self.context.fact(found)
        return _literal_value(found) if fact is UNKNOWN else fact

    def const(self, name: str, fallback: Any = _MISSING) -> Any:
        """An argument's constant value (default included). Unfit, or fallback, where unknown."""
        value = constant_value(self.fact(name))
        if value is _MISSING:
            if fallback is _MISSING:
                raise Unfit(f"`{name}` of {self.short} is not known before the program runs")
            return fallback
        return value

    @property
    def receiver_fact(self) -> Value:
        """What is known of the method's receiver."""
        return self.context.fact(self.receiver) if self.receiver is not None else UNKNOWN

    def rank(self, node: cst.CSTNode | None) -> int | None:
        """The number of axes of a tensor expression, where known."""
        fact = self.context.fact(node)
        return fact.rank if isinstance(fact, Tensor) else None

    def dtype(self, node: cst.CSTNode | None) -> str | None:
        """The dtype's name of a tensor expression, where known."""
        fact = self.context.fact(node)
        return fact.dtype if isinstance(fact, Tensor) else None

    def layout(self, node: cst.CSTNode | None) -> str | None:
        """ "nhwc" where the translated expression is channels-last (any rank)."""
        return self.context.layouts.get(node) if node is not None else None

    @property
    def training(self) -> bool | None:
        """Whether the module called here is in train mode; None where it may be in either."""
        modes = self.context.interpreter.call_modes.get(self.node)
        return next(iter(modes)) if modes is not None and len(modes) == 1 else None

    # ---- surroundings ------------------------------------------------------------------------

    @property
    def exact(self) -> bool:
        return self.context.exact

    @property
    def statement(self) -> cst.CSTNode:
        """The statement that the node stands in."""
        return self.context.edits.statement(self.node)

    @property
    def parent(self) -> cst.CSTNode:
        """What the node stands in; a call made up for a mere reference stands in nothing."""
        return self.context.edits.parent.get(self.node, self.node)

    @property
    def alone(self) -> bool:
        """Whether the node is a whole expression statement."""
        return isinstance(self.parent, cst.Expr)

    @property
    def assigned_to(self) -> cst.BaseExpression | None:
        """The single target that the whole node is assigned to."""
        parent = self.parent
        if (
            isinstance(parent, cst.Assign)
            and len(parent.targets) == 1
            and parent.value is self.node
        ):
            return parent.targets[0].target
        return None

    @property
    def unpacked(self) -> list[cst.BaseExpression] | None:
        """The targets of `a, b = node`."""
        target = self.assigned_to
        if isinstance(target, (cst.Tuple, cst.List)):
            return [e.value for e in target.elements]
        return None

    # ---- results -----------------------------------------------------------------------------

    def fill(self, template: str, /, **holes: Any) -> cst.BaseExpression:
        """A new expression from a template with holes; see transpiler.template."""
        return fill(template, **holes)

    def emit(self, name: str) -> cst.Name:
        """Ask for an emitted unit and name it."""
        return cst.Name(self.context.emit(name))

    def keep(self) -> Any:
        """Leave the node and translate what is under it."""
        raise Keep

    def caution(self, message: str, hint: str = "") -> None:
        """Report a deviation of what is written here."""
        self.context.caution(self.node, self.short, message, hint)

    def request_import(self, statement: str) -> None:
        self.context.request_import(statement)


def _elements(context: Context, node: cst.BaseExpression) -> list[cst.BaseExpression] | None:
    if isinstance(node, (cst.Tuple, cst.List)):
        plain = all(isinstance(e, cst.Element) for e in node.elements)
        return [e.value for e in node.elements] if plain else None
    known = [items_of(o) for o in options(context.fact(node))]
    counts = {None if items is None else len(items) for items in known}
    if dotted(node) is None or len(counts) != 1 or None in counts:
        return None
    parts: list[cst.BaseExpression] = []
    for index in range(counts.pop() or 0):
        parts.append(fill("items[i]", items=node, i=index))
        context.facts[parts[-1]] = join(*(items[index] for items in known if items is not None))
    return parts


def _literal_value(node: cst.CSTNode) -> Value:
    import ast

    if isinstance(node, (cst.Integer, cst.Float, cst.SimpleString, cst.Name, cst.Tuple, cst.List,
                         cst.UnaryOperation)):  # fmt: skip
        try:
            value = ast.literal_eval(cst.Module([]).code_for_node(node))
        except (ValueError, SyntaxError):
            return UNKNOWN
        return Const(value)
    return UNKNOWN


def constant_value(value: Value) -> Any:
    """The Python constant of a value, containers included; the marker `missing` where unknown."""
    if isinstance(value, Const):
        return value.value
    if isinstance(value, (Sequence, ListObject)):
        items = items_of(value)
        if items is not None:
            found = [constant_value(i) for i in items]
            if all(f is not _MISSING for f in found):
                return found if isinstance(value, ListObject) else tuple(found)
    return _MISSING


missing = _MISSING
__all__ = ["Keep", "Site", "constant_value", "literal", "missing"]
