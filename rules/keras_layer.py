"""A Keras layer while it is written as PyTorch modules: what is known of it, what they share."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Instance,
    Number,
    Sequence,
    Tensor,
    Value,
    is_none,
    items_of,
    join,
    options,
)
from transpiler.rule import Unfit
from transpiler.rules.keras_activations import activation_module, activation_name
from transpiler.rules.keras_bounds import bound, last_name, penalty
from transpiler.rules.keras_layer_starts import started
from transpiler.rules.keras_sizes import size_of, solve
from transpiler.rules.keras_written_sizes import is_readable
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import names_read
from transpiler.template import OMIT, call

FIRST, LAST, ANY = "channels first", "source order", "any order"


@dataclass
class Part:
    """One module that a layer becomes, and the order of axes that it works on."""

    node: cst.BaseExpression
    order: str = ANY
    gives: str | None = None
    """The order of its result, where it is another."""


class UnknownSize(Unfit):
    """The size of a layer's input is not known."""


class Layer:
    """A Keras layer that is being written as PyTorch modules."""

    def __init__(
        self,
        site: Site,
        instance: Instance,
        literal: bool = False,
        scope: Any = None,
        peers: Sequenced[Instance] = (),
    ) -> None:
        self.site = site
        self.peers = peers  # all layers that the call makes, which one expression has to fit
        self.scope = scope  # what may be read where the module is written, if not everything
        self.instance = common(instance, peers)
        self.literal = literal  # arguments are written by value: their names mean nothing there
        self.name = (instance.class_names or ("",))[0].rpartition(".")[2]

    def value(self, name: str) -> Value | None:
        """What is known of an argument; its default where it was not given."""
        value = self.instance.arguments.get(name)
        if isinstance(value, Value):
            return value
        found = self.site.default(name)
        return self.site.fact(found) if found is not None else None

    def const(self, name: str, fallback: Any = missing) -> Any:
        """An argument's constant; the fallback where it was not given. Raises Unfit."""
        value = self.value(name)
        found = constant_value(value) if value is not None else missing
        if found is not missing:
            return found
        if fallback is missing or isinstance(self.instance.arguments.get(name), Value):
            raise Unfit(f"`{name}` of {self.site.short} is not known before the program runs")
        return fallback

    def plain(self, name: str) -> Any:
        """An argument's constant; None where it is not known."""
        value = self.value(name)
        found = constant_value(value) if value is not None else missing
        return None if found is missing else found

    @property
    def padding(self) -> str:
        """The kind of padding; Keras takes it in any case."""
        return str(self.const("padding", "valid")).lower()

    def arg(self, name: str) -> Any:
        """An argument as it is to be written."""
        value = self.instance.arguments.get(name)
        found = constant_value(value) if isinstance(value, Value) else missing
        node = self.site.args.get(name)
        if node is not None and self.scope is not None:
            return self.scope.write(node, value if isinstance(value, Value) else None)
        if node is not None and not self.literal:
            return node
        if found is not missing:
            return found
        if isinstance(value, Number) and value.symbol and node is not None:
            raise Unfit(f"`{name}` of {self.site.short} differs from call to call")
        if node is not None:
            raise Unfit(f"`{name}` of {self.site.short} is not known before the program runs")
        default = self.site.default(name)
        if default is None:
            raise Unfit(f"{self.site.short} is called without `{name}`")
        return default

    def names(self, name: str) -> bool:
        """Whether an argument is written by names that mean the same where the module stands."""
        node = self.site.args.get(name)
        free = self.scope is None and not self.literal
        return free and isinstance(node, cst.BaseExpression) and bool(names_read(node))

    def unless(self, name: str, usual: Any) -> Any:
        """An argument, left out where it is what the module has anyway."""
        return OMIT if self.plain(name) == usual else self.arg(name)

    @property
    def input(self) -> Tensor | None:
        value = self.instance.state.get("input")
        if isinstance(value, Sequence):
            items = items_of(value)
            value = items[0] if items else None
        return value if isinstance(value, Tensor) else None

    def size(self, axis: int = -1) -> cst.BaseExpression | int:
        """The size of an axis of the input."""
        if self.scope is not None and axis == -1:
            named: cst.BaseExpression | None = self.scope.widths()
            if named is not None:
                return named
        counted = self.counted()
        if counted is not None and axis == -1:
            return counted
        called = [p for p in self.peers if p.state.get("input") is not None]
        if called:
            sizes = [size_of(p, axis) for p in called]
            found = solve(self.site.context, self.site.node, called, sizes)
            if found is not None:
                return int(found.value) if isinstance(found, cst.Integer) else found
            if len(set(sizes)) > 1:
                raise UnknownSize(
                    f"the layers that {self.site.short} makes here differ in their sizes",
                    "give the constructor the input's size as an argument",
                )
        shape = self.input.shape if self.input is not None else None
        size: Dim = shape[axis] if shape else None
        if isinstance(size, int):
            return size
        if isinstance(size, str) and (self.scope is not None or not self.literal):
            return self.named(size)
        given = self.declared() if axis == -1 and not self.literal else None
        if given is not None:
            return given
        raise UnknownSize(
            f"the input size of {self.site.short} is not known before the program runs",
            "give the first layer its shape with keras.Input, or write the size by hand",
        )

    def named(self, size: str) -> cst.BaseExpression:
        """A size that is known by what the program writes for it, where that can be read."""
        if self.scope is None:
            expression = cst.parse_expression(size)
            if not is_readable(self.site.context, self.site.node, expression):
                raise UnknownSize(f"the input size of {self.site.short} has no name here")
            return expression
        try:
            found = self.scope.symbolic(size)
        except Unfit as error:
            raise UnknownSize(error.reason, error.hint) from None
        return found if isinstance(found, cst.BaseExpression) else cst.parse_expression(size)

    def counted(self) -> cst.BaseExpression | None:
        """The size that an initializer of torch's was given."""
        node = self.site.args.get("kernel_initializer")
        if self.literal or self.scope is not None or self.name != "Dense":
            return None
        return node.args[0].value if isinstance(node, cst.Call) and self.starts_as_torch() else None

    def starts_as_torch(self) -> bool:
        """Whether the kernel starts from torch's own initial values."""
        given = options(self.instance.arguments.get("kernel_initializer"))
        own = ("to_tf.torch_uniform",)
        return bool(given) and all(isinstance(g, Instance) and g.class_names == own for g in given)

    def declared(self) -> cst.BaseExpression | None:
        """The last size of `input_shape=` or `input_dim=` as the program writes it."""
        shape = self.site.args.get("input_shape", self.site.args.get("batch_input_shape"))
        if isinstance(shape, (cst.Tuple, cst.List)) and shape.elements:
            return shape.elements[-1].value
        found = self.site.args.get("input_dim")
        return found if isinstance(found, cst.BaseExpression) else None

    def refuse(self, *names: str) -> None:
        """Arguments that change what is computed and have no equal here."""
        for name in names:
            value = self.value(name)
            if value is None or is_none(value) or value in (Const(False), Const(0.0), Const(0)):
                continue
            raise Unfit(
                f"`{name}` of {self.site.short} has no equal here",
                "write it by hand in forward or in the loss",
            )

    def caution(self, message: str, hint: str = "") -> None:
        """Report a deviation at the statement: the call itself may go."""
        self.site.context.caution(self.site.statement, self.site.short, message, hint)

    def emit(self, unit: str, *args: Any, **kwargs: Any) -> cst.Call:
        """A call of an emitted unit."""
        return call(unit, *args, **kwargs).with_changes(func=self.site.emit(unit))


def common(instance: Instance, peers: Sequenced[Instance]) -> Instance:
    """What holds of all layers that a call makes: arguments and sizes that differ are not known."""
    every = [instance, *(p for p in peers if p is not instance)]
    if len(every) == 1:
        return instance
    arguments = dict(instance.arguments)
    for name in {n for p in every for n in p.arguments}:
        values = [p.arguments.get(name, UNKNOWN) for p in every]
        if all(isinstance(v, Value) for v in values):
            arguments[name] = values[0] if _are_alike(values) else join(*values)
    state = dict(instance.state)
    inputs = [p.state["input"] for p in every if p.state.get("input") is not None]
    if inputs:
        state["input"] = join(*inputs)
    return Instance(instance.cls, arguments, instance.attributes, instance.origin, state)


def _are_alike(values: list[Value]) -> bool:
    """Whether all are objects of one class, made with the same arguments: equal regularizers."""
    first = values[0]
    return isinstance(first, Instance) and all(
        isinstance(v, Instance) and v.cls == first.cls and v.arguments == first.arguments
        for v in values
    )


def weighted(
    layer: Layer, module: cst.BaseExpression, kernel: str = "kernel"
) -> cst.BaseExpression:
    """A module with the penalty on its weight and its initial values, as far as they differ."""
    layer.refuse("bias_constraint")
    l1, l2 = penalty(layer.site.short, layer.value(f"{kernel}_regularizer"))
    module = started(layer, module, kernel)
    if l1 or l2:
        module = layer.emit("regularize", module, l1=l1 or OMIT, l2=l2 or OMIT)
    l1, l2 = penalty(layer.site.short, layer.value("bias_regularizer"))
    if l1 or l2:
        module = layer.emit("regularize", module, l1=l1 or OMIT, l2=l2 or OMIT, name="bias")
    return constrained(layer, module, layer.value(f"{kernel}_constraint"), kernel)


def constrained(
    layer: Layer, module: cst.BaseExpression, value: Value | None, kernel: str
) -> cst.BaseExpression:
    """A module with what keeps its weight in bounds after every step."""
    if value is None or is_none(value):
        return module
    function = bound(layer.site.context, layer.site.short, value, layer.name == "Dense")
    if layer.name != "Dense" and last_name(value) not in ("NonNeg", "non_neg"):
        raise Unfit(f"a constraint of {layer.site.short} that looks at axes is not translated")
    return layer.emit("constrain", module, function)


def activated(layer: Layer, parts: list[Part], name: str = "activation") -> list[Part]:
    """The parts with the activation that a layer takes by argument."""
    value = layer.value(name)
    module = activation_module(layer.site, value, layer.site.args.get(name))
    if module is not None:
        order = LAST if activation_name(value) in ("softmax", "log_softmax") else ANY
        parts.append(Part(module, order))
    if name == "activation":
        l1, l2 = penalty(layer.site.short, layer.value("activity_regularizer"))
        if l1 or l2:
            parts.append(Part(layer.emit("ActivityPenalty", l1=l1 or OMIT, l2=l2 or OMIT)))
    return parts


def sized(layer: Layer, name: str, *rest: Any, **options: Any) -> cst.Call:
    """A module that takes the input's size first; a lazy one where nothing is known of it."""
    try:
        return call(f"torch.nn.{name}", layer.size(), *rest, **options)
    except UnknownSize as error:
        tell_lazy(layer, error)
        return call(f"torch.nn.Lazy{name}", *rest, **options)


def tell_lazy(layer: Layer, error: UnknownSize) -> None:
    """Say that a module finds its size by itself, and that the model has to be called first."""
    for made in (layer.instance, *layer.peers):
        made.state["lazy"] = True
    layer.caution(f"{error.reason}: a lazy module finds its size at its first call", error.hint)
