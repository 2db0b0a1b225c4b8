"""Declarative rules at work: match one side's template against a call, fill the other side's.

No rule states a default: what the call leaves out is read from the signature catalogue, and what
equals the target's default is left out of the new call.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.rule import Rule, Unfit
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import dotted, find, literal
from transpiler.template import OMIT, arguments, as_node, fill, parse_expression

RECEIVERS = ("torch.Tensor.", "tf.Tensor.", "tf.Variable.", "numpy.ndarray.")


@cache
def spelling_name(spelling: str) -> str:
    """The qualified name that a template calls or names."""
    return spelling.partition("(")[0].strip()


def is_method(name: str) -> bool:
    """Whether a qualified name is called on a receiver: arrays, and objects of classes."""
    if name.startswith(RECEIVERS):
        return True
    owner = name.rpartition(".")[0]
    entry = signatures.lookup(owner)
    return entry is not None and entry.kind == "class"


@cache
def template_arguments(spelling: str) -> tuple[cst.BaseExpression | None, dict[str, Any]]:
    """The receiver's pattern (methods only) and the patterns by parameter name."""
    tree = parse_expression(spelling)
    if not isinstance(tree, cst.Call):
        return None, {}
    name = spelling_name(spelling)
    positional = [a.value for a in tree.args if a.keyword is None and not a.star]
    keywords = {a.keyword.value: a.value for a in tree.args if a.keyword is not None}
    receiver = positional.pop(0) if is_method(name) and positional else None
    try:
        bound = signatures.bind(name, positional, keywords)
    except signatures.BindError as error:
        raise ValueError(f"template {spelling!r}: {error}") from None
    return receiver, dict(bound)


def match(spelling: str, site: Site) -> dict[str, Any]:
    """The holes of a template, filled from a call. Raises Unfit."""
    receiver, patterns = template_arguments(spelling)
    holes: dict[str, Any] = {}
    if receiver is not None and site.receiver is not None:
        _solve(receiver, site.receiver, holes, site)
    if not site.is_call:
        return holes
    for name, node in site.args.items():
        if name not in patterns and not _is_default(site, name, node):
            raise Unfit(f"`{name}` of {site.short} has no equal here")
    for name, pattern in patterns.items():
        given = site.args.get(name)
        if isinstance(given, list):
            holes[_hole_name(pattern)] = given
            continue
        node = given if given is not None else site.default(name)
        if node is not None:
            _solve(pattern, node, holes, site)
    return holes


def _is_default(site: Site, name: str, node: Any) -> bool:
    default = site.default(name)
    if default is None or isinstance(node, list):
        return isinstance(node, list) and not node
    given, usual = constant_value(site.fact(node)), constant_value(site.fact(default))
    return given is not missing and given == usual and type(given) is type(usual)


def _hole_name(pattern: cst.CSTNode) -> str:
    names = [n.value for n in find(pattern, cst.Name)]
    return names[0] if names else ""


def _solve(pattern: cst.BaseExpression, node: Any, holes: dict[str, Any], site: Site) -> None:
    """Bind the hole of a pattern so that the pattern equals the node."""
    match pattern:
        case cst.Name(value=name) if name not in ("True", "False", "None"):
            holes.setdefault(name, node)
            return
        case cst.UnaryOperation(operator=operator, expression=cst.Name(value=name)):
            if isinstance(operator, (cst.Minus, cst.Not)):
                holes.setdefault(name, _unary(operator, node, site))
                return
        case cst.BinaryOperation(left=left, operator=operator, right=right):
            if isinstance(right, cst.Name) and isinstance(operator, cst.Subtract):
                holes.setdefault(right.value, _arithmetic("a - b", left, node, site))
                return
            if isinstance(left, cst.Name) and isinstance(operator, cst.Divide):
                holes.setdefault(left.value, _arithmetic("a * b", node, right, site))
                return
            if isinstance(left, cst.Name) and isinstance(operator, cst.Multiply):
                holes.setdefault(left.value, _arithmetic("a / b", node, right, site))
                return
            if isinstance(left, cst.Name) and isinstance(operator, cst.Add):
                holes.setdefault(left.value, _arithmetic("a - b", node, right, site))
                return
        case cst.Tuple() | cst.List():
            items = _items(node, site)
            if items is not None and len(items) == len(pattern.elements):
                for element, item in zip(pattern.elements, items, strict=False):
                    _solve(element.value, item, holes, site)
                return
            raise Unfit(f"{site.short} needs a tuple of {len(pattern.elements)} here")
    wanted = _constant(pattern, site)
    found = _constant(node, site)
    if found is missing:
        raise Unfit(f"an argument of {site.short} is not known before the program runs")
    if found != wanted:
        raise Unfit(f"{site.short} with the argument {found!r} has no equal here")


def _items(node: Any, site: Site) -> list[Any] | None:
    if isinstance(node, (cst.Tuple, cst.List)):
        return [e.value for e in node.elements]
    value = _constant(node, site)
    return [literal(v) for v in value] if isinstance(value, (tuple, list)) else None


def _constant(node: Any, site: Site) -> Any:
    if isinstance(node, cst.BaseExpression):
        return constant_value(site.fact(node))
    return node


def _unary(operator: cst.BaseUnaryOp, node: Any, site: Site) -> Any:
    value = _constant(node, site)
    if value is not missing and _is_literal(node):
        return (not value) if isinstance(operator, cst.Not) else -value
    return fill("not a" if isinstance(operator, cst.Not) else "-a", a=node)


def _is_literal(node: Any) -> bool:
    return not isinstance(node, cst.CSTNode) or isinstance(
        node, (cst.Integer, cst.Float, cst.UnaryOperation, cst.Tuple, cst.List, cst.SimpleString)
    ) or (isinstance(node, cst.Name) and node.value in ("True", "False", "None"))  # fmt: skip


def _arithmetic(template: str, a: Any, b: Any, site: Site) -> Any:
    """`a - b` and the like: computed in decimal for literals (1 - 0.99 is 0.01), else written."""
    x, y = _constant(a, site), _constant(b, site)
    if _is_literal(a) and _is_literal(b) and x is not missing and y is not missing:
        from decimal import Decimal  # few programs need it

        p, q = Decimal(repr(x)), Decimal(repr(y))
        result = {"a - b": p - q, "a * b": p * q}.get(template)
        if result is None:
            result = p / q
        whole = result == int(result) and isinstance(x, int) and isinstance(y, int)
        return int(result) if whole else float(result)
    return fill(template, a=as_node(a), b=as_node(b))


def _evaluate(pattern: cst.BaseExpression, holes: dict[str, Any], site: Site) -> Any:
    """A target pattern with its holes filled; OMIT where a hole is empty."""
    names = {n.value for n in find(pattern, cst.Name) if n.value not in ("True", "False", "None")}
    attributes = {a.attr.value for a in find(pattern, cst.Attribute)}
    for name in names - attributes:
        if holes.get(name, OMIT) is OMIT and name not in _ROOTS:
            return OMIT
    match pattern:
        case cst.Name(value=name) if name in holes:
            return holes[name]
        case cst.BinaryOperation(left=left, operator=operator, right=right):
            symbol = {cst.Subtract: "a - b", cst.Multiply: "a * b", cst.Divide: "a / b"}.get(
                type(operator)
            )
            if symbol is not None:
                a, b = _evaluate(left, holes, site), _evaluate(right, holes, site)
                return _arithmetic(symbol, a, b, site)
        case cst.UnaryOperation(operator=operator, expression=expression):
            if isinstance(operator, (cst.Not, cst.Minus)) and names:
                return _unary(operator, _evaluate(expression, holes, site), site)
    return fill(_template_code(pattern), **holes)


_ROOTS = frozenset({"torch", "tf", "keras", "np", "math", "layers"})


@cache
def _template_code(pattern: cst.BaseExpression) -> str:
    return cst.Module([]).code_for_node(pattern)


def build(spelling: str, holes: dict[str, Any], site: Site) -> cst.BaseExpression:
    """The target call, without arguments that equal the target's defaults."""
    tree = parse_expression(spelling)
    if not isinstance(tree, cst.Call):
        return fill(spelling, **holes)
    name = dotted(tree.func)
    if name is None:
        return fill(spelling, **holes)
    positional, keywords = [], {}
    for arg in tree.args:
        value = _evaluate(arg.value, holes, site)
        if arg.keyword is None:
            if isinstance(value, list) and arg.star:
                positional.extend(value)
            else:
                positional.append(value)
        elif value is not OMIT and not _equals_default(name, arg.keyword.value, value, site):
            keywords[arg.keyword.value] = value
    receiver = None
    if is_method(name) and positional:
        receiver = positional.pop(0)
    while positional and positional[-1] is OMIT:
        positional.pop()
    if any(value is OMIT for value in positional):
        raise Unfit(f"what {name.rpartition('.')[2]} needs is not known here")
    func = parse_expression(name).deep_clone()
    if receiver is not None:
        func = cst.Attribute(as_node(receiver), cst.Name(name.rpartition(".")[2]))
    elif "." not in name:
        site.context.emit(name)
    return cst.Call(func=func, args=arguments(positional, keywords))


def _equals_default(name: str, parameter: str, value: Any, site: Site) -> bool:
    entry = signatures.lookup(name)
    if entry is None or not entry.signatures:
        return False
    for known in entry.signatures[0].parameters:
        if known.name == parameter and known.default is not None:
            usual = constant_value(site.fact(parse_expression(known.default).deep_clone()))
            found = _constant(value, site) if _is_literal(value) else missing
            if found is missing or usual is missing:
                return False
            return bool(found == usual) and isinstance(found, bool) == isinstance(usual, bool)
    return False


def apply_rule(rule: Rule, site: Site) -> cst.BaseExpression:
    """Write a site in the other framework by a declarative rule. Raises Unfit."""
    if rule.when is not None and not rule.when(site):
        raise Unfit(f"{site.short} is used in a way that has no equal here")
    sources = _spellings(rule.torch if site.context.to == "tf" else rule.keras)
    targets = _spellings(rule.keras if site.context.to == "tf" else rule.torch)
    target = targets[0]
    exact = rule.exact if site.context.to == "tf" else rule.exact_torch
    if site.exact and exact is not None:
        target = exact
    error: Unfit | None = None
    for source in sources:
        if spelling_name(source) != site.name:
            continue
        try:
            holes = match(source, site)
        except Unfit as found:
            error = found
            continue
        for name, function in rule.infer.items():
            if name not in holes:
                holes[name] = function(site)
        result = build(target, holes, site)
        if rule.caution and not (site.exact and exact is not None):
            site.caution(rule.caution)
        return result
    raise error or Unfit(f"{site.short} has no equal here")


def _spellings(spelling: str | tuple[str, ...]) -> tuple[str, ...]:
    return (spelling,) if isinstance(spelling, str) else spelling


spellings = _spellings
