"""Arguments of tensor operations as expressions: axes, sizes, dtypes, and what casts they need."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import UNKNOWN, Const, Number, Tensor, Value, options
from transpiler.modules import in_module_method
from transpiler.rule import Unfit
from transpiler.rules.operands import FIRST, dtype_of, integers, names_one_size
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, walk
from transpiler.template import OMIT, as_node, fill

Node = cst.BaseExpression
CUTS = ("data", "detach", "cpu", "cuda", "contiguous", "clone")
"""What changes a tensor's gradient or place, but not its elements."""
IGNORED = ("device", "out", "memory_format", "layout", "pin_memory", "non_blocking")


class Arguments:
    """The tensor of a call, and the other arguments by name or position after the tensor."""

    def __init__(self, site: Site, first: bool = True) -> None:
        self.site = site
        if any(a.star == "**" for a in site.starred):
            raise Unfit(f"arguments of {site.short} are unpacked with **")
        self.keywords = dict(site.keywords)
        self.rest = _positional(site.node)
        self.x: Any = self._first() if first else None
        if "out" in self.keywords and not _is_none(self.keywords["out"]):
            raise Unfit(f"{site.short} writes into the tensor given as `out`")
        drop(site, *(self.keywords[n] for n in IGNORED if n in self.keywords))

    def _first(self) -> Any:
        if self.site.receiver is not None and self.site.name.startswith("torch.Tensor."):
            return self.site.receiver
        if self.rest:
            found = self.rest.pop(0)
            if isinstance(found, cst.StarredElement):
                raise Unfit(f"arguments of {self.site.short} are unpacked with *")
            return found
        name = next((n for n in FIRST if n in self.keywords), None)
        if name is None:
            raise Unfit(f"{self.site.short} is called without its tensor")
        return self.keywords.pop(name)

    def get(self, *names: str, at: int | None = None) -> Any:
        """The argument as it is written; None where it is not given or written as None."""
        found = next((self.keywords[n] for n in names if n in self.keywords), None)
        if found is None and at is not None:
            self._spread(at)
            found = self.rest[at] if at < len(self.rest) else None
        return None if found is None or _is_none(found) else found

    def _spread(self, at: int) -> None:
        """Write unpacked arguments up to a place one by one."""
        for index in range(at + 1):
            node = self.rest[index] if index < len(self.rest) else None
            while isinstance(node, cst.StarredElement):
                parts = self.site.spread(node.value)
                if parts is None:
                    raise Unfit(f"arguments of {self.site.short} are unpacked with *")
                self.rest[index : index + 1] = parts
                node = self.rest[index] if index < len(self.rest) else None

    def given(self, *names: str, at: int | None = None) -> Any:
        """The argument as it is written, OMIT where it is not given."""
        found = self.get(*names, at=at)
        return OMIT if found is None else found

    def const(self, *names: str, at: int | None = None, default: Any = None) -> Any:
        """The value of an argument that must be known."""
        found = self.get(*names, at=at)
        if found is None:
            return default
        value = constant_value(self.site.fact(found))
        if value is missing:
            raise Unfit(f"`{names[0]}` of {self.site.short} is not known before the program runs")
        return value


def _positional(node: Any) -> list[Any]:
    """Positional arguments in order; unpacked ones as starred elements."""
    found: list[Any] = []
    for arg in node.args if isinstance(node, cst.Call) else ():
        if arg.star == "*":
            found.append(cst.StarredElement(arg.value))
        elif arg.keyword is None:
            found.append(arg.value)
    return found


def _is_none(node: Any) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def drop(site: Site, *nodes: Any) -> None:
    """Keep other rules off expressions that the translation leaves out."""
    for node in nodes:
        if isinstance(node, cst.CSTNode):
            for part in walk(node):
                site.context.claim(part)


# ---- sizes and axes ---------------------------------------------------------------------------


def sizes(site: Site, given: Arguments, *names: str) -> Any:
    """The sizes of `f(2, 3)`, `f((2, 3))`, `f(*shape)`: a list, or an expression for all."""
    named = next((given.keywords[n] for n in names if n in given.keywords), None)
    items = given.rest if named is None else [named]
    if len(items) == 1 and not isinstance(items[0], cst.StarredElement):
        only = items[0]
        if isinstance(only, (cst.Tuple, cst.List)):
            items = [e if isinstance(e, cst.StarredElement) else e.value for e in only.elements]
        elif not is_size(site.fact(only)) and not reads_as_size(site, only):
            return shape_of(site, only)
    if len(items) == 1 and isinstance(items[0], cst.StarredElement):
        return shape_of(site, items[0].value)
    return [i if isinstance(i, cst.StarredElement) else size(site, i) for i in items]


def is_size(value: Value) -> bool:
    """Whether a value is an integer, and not a container of some."""
    return all(
        isinstance(k, Number)
        or (isinstance(k, Const) and isinstance(k.value, int))
        or (
            isinstance(k, Tensor)
            and k.library == "numpy"
            and k.rank == 0
            and (k.dtype or "").startswith(("int", "uint"))
        )
        for k in options(value)
    )


def reads_as_size(site: Site, node: Any) -> bool:
    """Whether a parameter of which nothing is known has the name of one size, not of a shape.

    torch takes `zeros(n)` and `zeros(shape)` alike; a wrong reading raises at once in TensorFlow.
    """
    return site.fact(node) is UNKNOWN and names_one_size(node)


def as_list(items: Any) -> Any:
    """Sizes as a list expression."""
    if not isinstance(items, list):
        return items
    return cst.List(
        [i if isinstance(i, cst.StarredElement) else cst.Element(as_node(i)) for i in items]
    )


def dims_list(site: Site, node: Any) -> Any:
    """A `size` argument: a written tuple as a list, anything else as it is."""
    if isinstance(node, (cst.Tuple, cst.List)):
        items = [
            e if isinstance(e, cst.StarredElement) else size(site, e.value) for e in node.elements
        ]
        return as_list(items)
    if is_size(site.fact(node)):
        return as_list([node])
    return shape_of(site, node)


def is_simple(node: Any) -> bool:
    """Whether an expression may be written twice: names, and parts of them."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return isinstance(node, (cst.Name, cst.Integer, cst.Float))


def owner_of_size(node: Any) -> tuple[Node, Node | None] | None:
    """The tensor and axis of `x.size(0)`, `x.shape[0]`, `x.size()[0]`; no axis for all of them."""
    match node:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="size")), args=args):
            return owner, args[0].value if args else None
        case cst.Attribute(value=owner, attr=cst.Name(value="shape")):
            return owner, None
        case cst.Subscript(value=inner, slice=[cst.SubscriptElement(slice=cst.Index(value=axis))]):
            found = owner_of_size(inner)
            return (found[0], axis) if found is not None and found[1] is None else None
        case cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=owner)]):
            return owner, cst.Integer("0")
    return None


def size(site: Site, node: Any) -> Any:
    """A size in a list of sizes: inside modules the batch may be unknown when a graph is made."""
    found = owner_of_size(node)
    if found is None or found[1] is None or not isinstance(site.context.fact(found[0]), Tensor):
        return node
    if constant_value(site.fact(found[1])) == 0 and in_module_method(site.context, node):
        drop_around(site, node, found[0])
        return fill("tf.shape(x)[0]", x=found[0])
    return node


def drop_around(site: Site, node: Any, owner: Node) -> None:
    """Claim an expression such as `x.size(0)`, but not what is under `x`."""
    inside = set(walk(owner))
    for part in walk(node):
        if part not in inside:
            site.context.claim(part)


def shape_of(site: Site, node: Any) -> Any:
    """An expression for all sizes, such as `y.size()`."""
    found = owner_of_size(node)
    if found is None or found[1] is not None or not isinstance(site.context.fact(found[0]), Tensor):
        return node
    drop_around(site, node, found[0])
    form = "tf.shape(x)" if in_module_method(site.context, node) else "x.shape"
    return fill(form, x=found[0])


def axis(site: Site, x: Node, node: Any) -> Any:
    """An axis argument for the translated tensor, whose channels may have moved last."""
    if node is None:
        return OMIT
    moved = site.layout(x) == "nhwc"
    if isinstance(node, int):
        return _renumber(site, x, node) if moved else node
    if moved:
        known = integers(site.fact(node))
        if known is None:
            raise Unfit(f"the axis of {site.short} is not known before the program runs")
        places = [_renumber(site, x, a) for a in known]
        return places if isinstance(node, (cst.Tuple, cst.List)) else places[0]
    if isinstance(node, cst.Tuple):
        return as_list([e.value for e in node.elements])
    return node


def _renumber(site: Site, x: Node, number: int) -> int:
    rank = site.rank(x)
    if number < 0:
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        number += rank
    return 0 if number == 0 else -1 if number == 1 else number - 1


# ---- dtypes -----------------------------------------------------------------------------------


def tf_dtype(name: str) -> Node:
    """`tf.float32` for "float32"."""
    return fill(f"tf.{name}")


def dtype_argument(site: Site, node: Any) -> Any:
    """A dtype argument in TensorFlow, OMIT for None."""
    if node is None or node is OMIT:
        return OMIT
    known = dtype_of(site.context.fact(node))
    builtin = isinstance(node, cst.Name) and node.value in ("int", "float", "bool")
    if known is not None and (isinstance(node, (cst.Attribute, cst.SimpleString)) or builtin):
        drop(site, node)
        return tf_dtype(known)
    return node


def cast(node: Any, dtype: str) -> Node:
    """`tf.cast(node, tf.<dtype>)`."""
    return fill("tf.cast(x, dtype)", x=node, dtype=tf_dtype(dtype))


def counted(site: Site, node: Any) -> Any:
    """A tensor to be added up: TensorFlow adds no truth values, torch counts in int64."""
    if site.dtype(node) in ("bool", "uint8", "int8", "int16", "int32"):
        return cast(node, "int64")
    return node


def is_number(site: Site, node: Any) -> bool:
    """Whether an expression is a Python number."""
    return all(isinstance(o, (Const, Number)) for o in options(site.fact(node)))


def is_tensor(site: Site, node: Any) -> bool:
    """Whether an expression may be a tensor."""
    return any(isinstance(o, Tensor) for o in options(site.fact(node)))


def bare(site: Site, node: Any) -> Any:
    """The tensor without `.data`, `.detach()`, `.cpu()`, for uses that have no gradient."""
    while True:
        match node:
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))):
                pass
            case cst.Attribute(value=inner, attr=cst.Name(value="data" as name)):
                pass
            case _:
                return node
        is_cut = name in CUTS and isinstance(site.context.fact(inner), Tensor)
        if not is_cut or site.context.edits.wrapped(node) or node in site.context.claimed:
            return node
        drop_around(site, node, inner)
        node = inner


def text(node: Any) -> str:
    """The source text of an expression."""
    return code(node)
