"""Keras' layers as PyTorch modules: the sizes come from what is known of their inputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.context import Context
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
    scalar_type,
)
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import axes_in, borders, numbers
from transpiler.rules.keras_activations import activation_module, activation_name
from transpiler.rules.keras_bounds import bound, last_name, penalty
from transpiler.rules.keras_layer_starts import started, started_recurrent
from transpiler.rules.keras_sizes import size_of, solve
from transpiler.rules.keras_written_sizes import is_readable
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, find, names_read
from transpiler.template import OMIT, as_node, call, fill

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
        counted = self.counted()
        if counted is not None and axis == -1:
            return counted
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
        given = self.instance.arguments.get("kernel_initializer")
        return isinstance(given, Instance) and given.class_names == ("to_tf.torch_uniform",)

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


def dense(layer: Layer) -> list[Part]:
    module = sized(layer, "Linear", layer.arg("units"), bias=layer.unless("use_bias", True))
    return activated(layer, [Part(weighted(layer, module), LAST)])


def per_axis(layer: Layer, name: str, count: int) -> tuple[int, ...] | None:
    found = numbers(layer.instance, name, count, 1)
    whole = [f for f in found if isinstance(f, int)]
    return tuple(whole) if len(whole) == count else None


def short(numbers_: tuple[int, ...] | None, given: Any) -> Any:
    """(3, 3) as 3."""
    if numbers_ is not None:
        return numbers_[0] if len(set(numbers_)) == 1 else numbers_
    return given


@dataclass
class Window:
    """A size per axis: its numbers, where all calls have the same, and what is written."""

    numbers: tuple[int, ...] | None
    written: Any

    @property
    def is_one(self) -> bool:
        """Whether it changes nothing, and says so in numbers."""
        return self.numbers is not None and set(self.numbers) == {1} and self.written == 1


def window(layer: Layer, name: str, count: int) -> Window:
    """`kernel_size`, `strides` ...: by name where the program names it, else in numbers."""
    found = per_axis(layer, name, count)
    if found is None or layer.names(name):
        return Window(found, layer.arg(name))
    return Window(found, found[0] if len(set(found)) == 1 else found)


def convolution(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    if layer.const("data_format", None) == "channels_first":
        raise Unfit(f"{layer.site.short} with data_format='channels_first' is not translated")
    kernel, stride, dilation = (
        window(layer, name, count) for name in ("kernel_size", "strides", "dilation_rate")
    )
    before, padding = pads(layer, kernel, stride, dilation)
    depthwise = layer.name.startswith("Depthwise")
    options = {
        "stride": OMIT if stride.is_one else stride.written,
        "padding": padding,
        "dilation": OMIT if dilation.is_one else dilation.written,
        "bias": layer.unless("use_bias", True),
    }
    if depthwise:
        channels = layer.size()
        factor = layer.const("depth_multiplier", 1)
        outputs: Any = times(channels, factor)
        options["groups"] = channels
        module = call(f"torch.nn.Conv{count}d", channels, outputs, kernel.written, **options)
    else:
        options["groups"] = layer.unless("groups", 1)
        module = sized(layer, f"Conv{count}d", layer.arg("filters"), kernel.written, **options)
    parts = [*before, Part(weighted(layer, module, "depthwise" if depthwise else "kernel"), FIRST)]
    return activated(layer, parts)


def pads(
    layer: Layer, kernel: Window, stride: Window, dilation: Window, value: str | None = None
) -> tuple[list[Part], Any]:
    """What pads before a window, or the module's own padding argument."""
    padding = layer.padding
    if padding == "valid":
        return [], OMIT
    if padding == "causal":
        amount = _before(kernel, dilation)
        return [Part(call("torch.nn.ConstantPad1d", (amount, 0), 0.0), FIRST)], OMIT
    if padding != "same":
        raise Unfit(f"padding={padding!r} of {layer.site.short} is not translated")
    if kernel.is_one and not isinstance(kernel.written, cst.CSTNode):
        return [], OMIT
    if stride.numbers is not None and set(stride.numbers) == {1} and value is None:
        return [], "same"
    module = layer.emit(
        "SamePad", kernel.written, OMIT if stride.is_one else stride.written,
        dilation=OMIT if dilation.is_one else dilation.written,
        value=OMIT if value is None else fill(value),
    )  # fmt: skip
    return [Part(module, FIRST)], OMIT


def _before(kernel: Window, dilation: Window) -> Any:
    """How many elements of the past the window of a causal convolution reaches."""
    if isinstance(kernel.written, int) and isinstance(dilation.written, int):
        return dilation.written * (kernel.written - 1)
    reach = as_node(kernel.written - 1) if isinstance(kernel.written, int) else fill(
        "k - 1", k=kernel.written)  # fmt: skip
    return reach if dilation.is_one else fill("d * reach", d=dilation.written, reach=reach)


def times(size: cst.BaseExpression | int, factor: int) -> cst.BaseExpression | int:
    """A size several times over."""
    if isinstance(size, int):
        return size * factor
    return size if factor == 1 else fill("size * factor", size=size, factor=factor)


def separable(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    kernel, stride, dilation = (
        window(layer, name, count) for name in ("kernel_size", "strides", "dilation_rate")
    )
    layer.refuse("pointwise_regularizer", "depthwise_regularizer", "pointwise_constraint")
    channels = layer.size()
    middle: Any = times(channels, layer.const("depth_multiplier", 1))
    before, padding = pads(layer, kernel, stride, dilation)
    first = call(
        f"torch.nn.Conv{count}d", channels, middle, kernel.written,
        stride=OMIT if stride.is_one else stride.written, padding=padding,
        dilation=OMIT if dilation.is_one else dilation.written, groups=channels, bias=False,
    )  # fmt: skip
    second = call(
        f"torch.nn.Conv{count}d", middle, layer.arg("filters"), 1,
        bias=layer.unless("use_bias", True),
    )  # fmt: skip
    modules = [started(layer, first, "depthwise"), started(layer, second, "pointwise")]
    return activated(layer, [*before, *(Part(m, FIRST) for m in modules)])


def transposed(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    kernel, stride = per_axis(layer, "kernel_size", count), per_axis(layer, "strides", count)
    dilation = per_axis(layer, "dilation_rate", count)
    if kernel is None or stride is None or dilation is None or set(dilation) != {1}:
        raise Unfit(f"the window of {layer.site.short} has no equal here")
    more = layer.const("output_padding", None)
    if more is not None and layer.padding == "same":
        raise Unfit(f"`output_padding` of {layer.site.short} has no equal here")
    options: dict[str, Any] = {"stride": OMIT if set(stride) == {1} else short(stride, None)}
    after: list[Part] = []
    if layer.padding == "same":
        gaps = [k - s for k, s in zip(kernel, stride, strict=False)]
        if any(g < 0 for g in gaps):
            options["output_padding"] = tuple(max(-g, 0) for g in gaps)
        lows = tuple(max(g, 0) // 2 for g in gaps)
        if all(g <= 0 or g % 2 == 0 for g in gaps):
            options["padding"] = OMIT if not any(lows) else short(lows, None)
        else:
            highs = [max(g, 0) - low for g, low in zip(gaps, lows, strict=False)]
            edges = tuple(-x for low, high in zip(reversed(lows), reversed(highs), strict=False)
                          for x in (low, high))  # fmt: skip
            after = [Part(call(f"torch.nn.ZeroPad{count}d", edges), FIRST)]
    elif more is not None:
        wanted = (more,) * count if isinstance(more, int) else tuple(more)
        options["output_padding"] = short(wanted, None) if any(wanted) else OMIT
    elif any(k < s for k, s in zip(kernel, stride, strict=False)):
        options["output_padding"] = tuple(
            max(s - k, 0) for k, s in zip(kernel, stride, strict=False)
        )
    module = call(
        f"torch.nn.ConvTranspose{count}d", layer.size(), layer.arg("filters"),
        short(kernel, None), **options, bias=layer.unless("use_bias", True),
    )  # fmt: skip
    return activated(layer, [Part(weighted(layer, module), FIRST), *after])


def pooling(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    kind = "Max" if layer.name.startswith("Max") else "Avg"
    given = layer.value("strides")
    kernel = pool_size(layer, count)
    absent = given is None or is_none(given)
    stride = kernel if absent else window(layer, "strides", count)
    equal = absent or (stride.numbers is not None and stride.numbers == kernel.numbers)
    step = OMIT if equal else stride.written
    if layer.padding == "same":
        if kind == "Avg":
            return [Part(layer.emit("SameAvgPool", kernel.written, step), FIRST)]
        before, _ = pads(layer, kernel, stride, Window((1,) * count, 1), "-math.inf")
        return [*before, Part(call(f"torch.nn.MaxPool{count}d", kernel.written, step), FIRST)]
    return [Part(call(f"torch.nn.{kind}Pool{count}d", kernel.written, step), FIRST)]


def pool_size(layer: Layer, count: int) -> Window:
    """The window of a pooling, which is 2 where nothing is said."""
    if isinstance(layer.instance.arguments.get("pool_size"), Value):
        return window(layer, "pool_size", count)
    return Window((2,) * count, 2)


def global_pooling(layer: Layer) -> list[Part]:
    count, kept = axes_in(layer.name), layer.const("keepdims", False)
    if "Max" in layer.name:
        return [Part(layer.emit("GlobalMaxPool", keepdim=kept or OMIT), FIRST)]
    if count == 1 or kept:
        return [Part(layer.emit("GlobalAvgPool", keepdim=kept or OMIT), FIRST)]
    pool = call(f"torch.nn.AdaptiveAvgPool{count}d", 1)
    return [Part(pool, FIRST), Part(fill("torch.nn.Flatten()"), ANY, LAST)]


def batch_norm(layer: Layer) -> list[Part]:
    x = layer.input
    if x is None or x.rank is None:
        raise Unfit(f"the rank of the input of {layer.site.short} is not known")
    axis = layer.const("axis", -1)
    if axis not in (-1, x.rank - 1):
        raise Unfit(f"axis={axis} of {layer.site.short} is not translated")
    layer.refuse("beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint",
                 "renorm", "synchronized")  # fmt: skip
    momentum = layer.plain("momentum")
    options: dict[str, Any] = {"eps": layer.arg("epsilon"), "momentum": minus_momentum(layer)}
    plain = layer.const("center", True) and layer.const("scale", True)
    order = FIRST if x.rank > 2 else ANY
    if layer.site.exact or not plain:
        if options["eps"] == 1e-3:
            options["eps"] = OMIT
        kept = {n: OMIT if layer.const(n, True) else False for n in ("center", "scale")}
        eps = OMIT if layer.plain("epsilon") == 1e-3 else options["eps"]
        decay = OMIT if momentum == 0.99 else options["momentum"]
        try:
            size = layer.size()
        except UnknownSize as error:
            if not plain:
                raise
            tell_lazy(layer, error)
            return [Part(layer.emit("LazyKerasBatchNorm", eps=eps, momentum=decay), order)]
        module = layer.emit("KerasBatchNorm", size, eps=eps, momentum=decay, **kept)
        return [Part(module, order)]
    layer.caution(
        "PyTorch's running variance takes the unbiased batch variance, Keras' the biased one:"
        " the output of evaluation differs by a factor of about 1 + 1/(2n), n values per batch"
    )
    eps = OMIT if layer.plain("epsilon") == 1e-5 else options["eps"]
    kind = {2: 1, 3: 1, 4: 2, 5: 3}.get(x.rank, 1)
    return [Part(sized(layer, f"BatchNorm{kind}d", eps=eps, momentum=options["momentum"]), order)]


def minus_momentum(layer: Layer) -> Any:
    """What is new of a running statistic, where Keras counts what is kept."""
    momentum = layer.plain("momentum")
    if isinstance(momentum, (int, float)) and not layer.names("momentum"):
        return round(1 - momentum, 12)
    return fill("1 - m", m=layer.arg("momentum"))


def normalized_shape(layer: Layer) -> Any:
    """The sizes of the last axes, over which a layer normalizes. Raises Unfit for other axes."""
    axis = layer.const("axis", -1)
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = layer.input.rank if layer.input is not None else None
    last = sorted(a - rank if rank is not None and a >= 0 else a for a in axes)
    if last != list(range(-len(axes), 0)):
        raise Unfit(f"`axis` of {layer.site.short} names other axes than the last")
    sizes = [layer.size(a) for a in last]
    if len(sizes) == 1:
        return sizes[0]
    return cst.Tuple([cst.Element(as_node(size)) for size in sizes])


def layer_norm(layer: Layer) -> list[Part]:
    center, scale = layer.const("center", True), layer.const("scale", True)
    if center and not scale:
        raise Unfit(f"{layer.site.short} with a center and no scale has no equal here")
    module = call("torch.nn.LayerNorm", normalized_shape(layer), eps=layer.arg("epsilon"),
                  elementwise_affine=OMIT if scale else False,
                  bias=OMIT if center or not scale else False)  # fmt: skip
    return [Part(module, LAST)]


def adapts(context: Context) -> bool:
    """Whether the program has an optimizer that goes by the squares of gradients, or may have."""
    names = {(i.class_names or ("",))[0] for i in context.interpreter.instances.values()}
    made = {n.rpartition(".")[2].lower() for n in names if n.startswith("keras.optimizers.")}
    texts = [s.evaluated_value for s in find(context.module, cst.SimpleString)]
    made |= {t.lower() for t in texts if isinstance(t, str)} & {"sgd", *ADAPTIVE}
    return bool(made & ADAPTIVE) or "sgd" not in made


ADAPTIVE = frozenset({"adam", "adamw", "nadam", "adamax", "rmsprop", "adagrad", "adadelta", "ftrl"})


def embedding(layer: Layer) -> list[Part]:
    layer.refuse("embeddings_constraint", "weights")
    if layer.scope is None and layer.const("mask_zero", False):
        layer.refuse("mask_zero")
    sparse = penalty(layer.site.short, layer.value("embeddings_regularizer")) == (0.0, 0.0)
    sparse = sparse and adapts(layer.site.context)
    unit = "KerasEmbedding" if layer.site.exact and sparse else None
    if sparse and not unit:
        layer.caution(
            "Keras' adaptive optimizers square the gradients of an id that a batch repeats one by"
            " one, PyTorch's their sum", "--fidelity exact writes KerasEmbedding",
        )  # fmt: skip
    args = layer.arg("input_dim"), layer.arg("output_dim")
    module = layer.emit(unit, *args) if unit else call("torch.nn.Embedding", *args)
    return [Part(weighted(layer, module, "embeddings"), LAST)]


def simple(template: str, order: str = ANY) -> Callable[[Layer], list[Part]]:
    """A layer without arguments."""
    return lambda layer: [Part(fill(template), order)]


def dropout(layer: Layer) -> list[Part]:
    layer.refuse("noise_shape")
    kind = layer.name[-2] if layer.name.startswith("Spatial") else ""
    if kind:
        return [Part(call(f"torch.nn.Dropout{kind}d", layer.arg("rate")), FIRST)]
    name = "AlphaDropout" if layer.name == "AlphaDropout" else "Dropout"
    return [Part(call(f"torch.nn.{name}", layer.arg("rate")))]


def activation(layer: Layer) -> list[Part]:
    return activated(layer, []) or [Part(fill("torch.nn.Identity()"))]


def leaky_relu(layer: Layer) -> list[Part]:
    name = "negative_slope" if "negative_slope" in layer.instance.arguments else "alpha"
    slope = layer.arg(name) if name in layer.instance.arguments else 0.3
    return [Part(call("torch.nn.LeakyReLU", slope))]


def softmax(layer: Layer) -> list[Part]:
    return [Part(call("torch.nn.Softmax", dim=layer.arg("axis")), LAST)]


def relu(layer: Layer) -> list[Part]:
    layer.refuse("negative_slope", "threshold")
    top = layer.const("max_value", None)
    if top not in (None, 6, 6.0):
        return [Part(call("torch.nn.Hardtanh", 0.0, top))]
    return [Part(fill("torch.nn.ReLU()" if top is None else "torch.nn.ReLU6()"))]


def zero_padding(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    name = "cropping" if layer.name.startswith("Cropping") else "padding"
    amounts = borders(layer.instance, name, count)
    sign = -1 if name == "cropping" else 1
    edges: Any = tuple(sign * x for pair in reversed(amounts) if pair for x in pair)
    if None in amounts or (layer.names(name) and isinstance(layer.plain(name), int)):
        edges = _one_border(layer, name)
    elif len(set(edges)) == 1:
        edges = edges[0]
    return [Part(call(f"torch.nn.ZeroPad{count}d", edges), FIRST)]


def _one_border(layer: Layer, name: str) -> cst.BaseExpression:
    """The same number of elements on all sides, as the program writes it. Raises Unfit."""
    value = layer.value(name)
    if not isinstance(value, (Const, Number)) or scalar_type(value) != "int":
        raise Unfit(f"`{name}` of {layer.site.short} is not known before the program runs")
    amount: cst.BaseExpression = as_node(layer.arg(name))
    return amount if name == "padding" else fill("-amount", amount=amount)


def upsampling(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    mode = layer.const("interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise Unfit(f"interpolation={mode!r} of {layer.site.short} is not translated")
    given = isinstance(layer.instance.arguments.get("size"), Value)
    factors = window(layer, "size", count).written if given else 2
    return [Part(call("torch.nn.Upsample", scale_factor=factors,
                      mode=OMIT if mode == "nearest" else mode), FIRST)]  # fmt: skip


def reshape(layer: Layer) -> list[Part]:
    node = layer.site.args.get("target_shape")
    if layer.scope is None and not layer.literal and isinstance(node, (cst.Tuple, cst.List)):
        return [Part(layer.emit("Reshape", *(e.value for e in node.elements)), LAST)]
    shape = tuple(layer.const("target_shape"))
    sizes = list(_sizes_written(layer, shape))
    if layer.scope is not None and len(shape) > 1 and set(shape[:-1]) == {1}:
        # one number per channel, to be multiplied with maps that stand channels first
        return [Part(layer.emit("Reshape", sizes[-1], *sizes[:-1]), LAST, FIRST)]
    return [Part(layer.emit("Reshape", *sizes), LAST)]


def _sizes_written(layer: Layer, shape: tuple[int, ...]) -> list[Any]:
    """The elements of a shape as the class can write them."""
    node = layer.site.args.get("target_shape")
    if not isinstance(node, (cst.Tuple, cst.List)):
        return list(shape)
    if layer.scope is None:
        return list(shape)
    return [layer.scope.write(e.value, Const(n)) for e, n in zip(node.elements, shape, strict=True)]


def permute(layer: Layer) -> list[Part]:
    return [Part(layer.emit("Permute", 0, *layer.const("dims")), LAST)]


def repeat_vector(layer: Layer) -> list[Part]:
    return [Part(layer.emit("RepeatVector", layer.arg("n")), LAST)]


def noise(layer: Layer) -> list[Part]:
    return [Part(layer.emit("GaussianNoise", layer.arg("stddev")))]


def rescaling(layer: Layer) -> list[Part]:
    offset = OMIT if layer.const("offset", None) in (0, 0.0) else layer.arg("offset")
    return [Part(layer.emit("Rescaling", layer.arg("scale"), offset))]


def function_layer(layer: Layer) -> list[Part]:
    layer.refuse("mask", "arguments")
    return [Part(layer.emit("Lambda", layer.site.arg("function")), LAST)]


def recurrent(layer: Layer) -> list[Part]:
    """LSTM, GRU and SimpleRNN: PyTorch's layer with Keras' single bias, in the kind of output."""
    layer.refuse("stateful", "unroll", "kernel_regularizer", "recurrent_regularizer",
                 "bias_regularizer", "kernel_constraint", "recurrent_constraint",
                 "zero_output_for_mask", "time_major")  # fmt: skip
    kind = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}[layer.name]
    activation = activation_name(layer.value("activation"))
    gates = activation_name(layer.value("recurrent_activation")) if kind != "RNN" else "sigmoid"
    bias = layer.unless("use_bias", True)
    usual = activation == "tanh" and gates == "sigmoid"
    if kind == "GRU" and layer.const("reset_after", True) is not True:
        usual = False
    if kind == "RNN" and activation == "relu":
        usual = True
    drops = layer.unless("recurrent_dropout", 0.0) is not OMIT
    if usual and not drops:
        extra = {"nonlinearity": "relu"} if kind == "RNN" and activation == "relu" else {}
        module: cst.BaseExpression = call(
            f"torch.nn.{kind}", layer.size(), layer.arg("units"), bias=bias, batch_first=True,
            **extra,
        )  # fmt: skip
        module = started_recurrent(layer, module)
        if kind != "GRU" and bias is OMIT:
            module = layer.emit("single_bias", module)
    else:
        from transpiler.rules.keras_activations import FUNCTIONS

        if activation not in FUNCTIONS or gates not in FUNCTIONS:
            raise Unfit(f"the activations of {layer.site.short} have no equal here")
        functions: dict[str, Any] = {}
        if activation != "tanh":
            functions["activation"] = fill("lambda x: " + FUNCTIONS[activation])
        if kind != "RNN" and gates != "sigmoid":
            functions["recurrent_activation"] = fill("lambda x: " + FUNCTIONS[gates])
        if drops:
            functions["dropout"] = layer.unless("dropout", 0.0)
            functions["recurrent_dropout"] = layer.arg("recurrent_dropout")
        before = kind == "GRU" and layer.const("reset_after", True) is not True
        module = layer.emit(f"Keras{kind}{'ResetBefore' if before else ''}Loop", layer.size(),
                            layer.arg("units"), **functions, bias=bias)  # fmt: skip
    options = {
        name: OMIT if layer.plain(name) in (False, 0, 0.0) else layer.arg(name)
        for name in ("return_sequences", "return_state", "go_backwards", "dropout")
        if not (drops and name == "dropout")
    }
    return [Part(layer.emit("KerasRecurrent", module, **options), LAST)]


def cell(layer: Layer) -> list[Part]:
    """One step of a recurrent layer: PyTorch's cell with Keras' single bias."""
    layer.refuse("dropout", "recurrent_dropout", "kernel_regularizer", "recurrent_regularizer",
                 "bias_regularizer", "kernel_constraint", "recurrent_constraint")  # fmt: skip
    kind = {"SimpleRNNCell": "RNNCell"}.get(layer.name, layer.name)
    activation = activation_name(layer.value("activation"))
    gates = activation_name(layer.value("recurrent_activation")) if kind != "RNNCell" else "sigmoid"
    relu = kind == "RNNCell" and activation == "relu"
    if (activation != "tanh" and not relu) or gates != "sigmoid":
        raise Unfit(f"the activations of {layer.site.short} have no equal here")
    if kind == "GRUCell" and layer.const("reset_after", True) is not True:
        raise Unfit(f"reset_after=False of {layer.site.short} has no equal here")
    bias = layer.unless("use_bias", True)
    module: cst.BaseExpression = call(
        f"torch.nn.{kind}", layer.size(), layer.arg("units"), bias=bias,
        nonlinearity="relu" if relu else OMIT,
    )  # fmt: skip
    module = started_recurrent(layer, module)
    if kind != "GRUCell" and bias is OMIT:
        module = layer.emit("single_bias", module)
    return [Part(layer.emit("KerasCell", module), LAST)]


def bidirectional(layer: Layer) -> list[Part]:
    inner = layer.instance.arguments.get("layer")
    node = layer.site.args.get("layer")
    if not isinstance(inner, Instance) or not isinstance(node, cst.Call):
        raise Unfit("the layer in Bidirectional is not known before the program runs")
    layer.refuse("backward_layer")
    site = Site(layer.site.context, node, inner.class_names[0])
    inner.state.setdefault("input", layer.instance.state.get("input"))
    first = layer_parts(site, inner, layer.literal, layer.scope)
    second = layer_parts(site, inner, layer.literal, layer.scope)
    back = second[0].node
    assert isinstance(back, cst.Call)
    from transpiler.template import arguments

    backward = back.with_changes(args=[*back.args, *arguments([], {"go_backwards": True})])
    layer.site.context.claim(node)
    mode = layer.const("merge_mode", "concat")
    return [Part(layer.emit("Bidirectional", first[0].node, backward.deep_clone(),
                            merge_mode=OMIT if mode == "concat" else mode), LAST)]  # fmt: skip


def distributed(layer: Layer) -> list[Part]:
    inner, node = layer.instance.arguments.get("layer"), layer.site.args.get("layer")
    name = inner.class_names[0] if isinstance(inner, Instance) and inner.class_names else ""
    if name != "keras.layers.Dense" or not isinstance(node, cst.Call):
        raise Unfit("TimeDistributed is translated around Dense only")
    assert isinstance(inner, Instance)
    inner.state["input"] = layer.instance.state.get("input")
    layer.site.context.claim(node)
    return layer_parts(Site(layer.site.context, node, name), inner, layer.literal, layer.scope)


def attention(layer: Layer) -> list[Part]:
    layer.refuse("attention_axes", "kernel_regularizer", "bias_regularizer")
    module = layer.emit(
        "KerasMultiHeadAttention", layer.size(), layer.arg("num_heads"), layer.arg("key_dim"),
        value_dim=layer.unless("value_dim", None), dropout=layer.unless("dropout", 0.0),
        use_bias=layer.unless("use_bias", True), output_dim=layer.unless("output_shape", None),
    )  # fmt: skip
    return [Part(module, LAST)]


def augmenting(layer: Layer) -> list[Part]:
    """Random flips, turns, zooms and shifts of images."""
    if layer.name == "RandomFlip":
        return [
            Part(layer.emit("RandomFlip", layer.unless("mode", "horizontal_and_vertical")), FIRST)
        ]
    raise Unfit(
        f"{layer.site.short} draws other numbers than its PyTorch equal and is not translated",
        "torchvision.transforms.v2 has similar augmentations",
    )


def normalization(layer: Layer) -> list[Part]:
    mean, variance = layer.instance.arguments.get("mean"), layer.instance.arguments.get("variance")
    options = {
        n: layer.arg(n) for n, v in (("mean", mean), ("variance", variance)) if v is not None
    }
    layer.refuse("invert")
    axis = layer.const("axis", -1)
    rank = layer.input.rank if layer.input is not None else None
    if isinstance(axis, int) and axis != -1 and axis + 1 != rank:
        raise Unfit("layers.Normalization of an axis that is not the last one is not translated")
    if axis is None:
        options["axis"] = None
    return [Part(layer.emit("Normalization", **options), LAST)]


LAYERS: dict[str, Callable[[Layer], list[Part]]] = {
    "Dense": dense,
    **{f"{p}{n}D": convolution for n in (1, 2, 3) for p in ("Conv", "DepthwiseConv")},
    "SeparableConv1D": separable, "SeparableConv2D": separable,
    **{f"Conv{n}DTranspose": transposed for n in (1, 2, 3)},
    **{f"{p}Pooling{n}D": pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"Global{p}Pooling{n}D": global_pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"{p}{n}D": zero_padding for n in (1, 2, 3) for p in ("ZeroPadding", "Cropping")},
    **{f"UpSampling{n}D": upsampling for n in (1, 2, 3)},
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm, "Embedding": embedding,
    "Flatten": simple("torch.nn.Flatten()", LAST), "Identity": simple("torch.nn.Identity()"),
    **dict.fromkeys(("Dropout", "AlphaDropout"), dropout),
    **dict.fromkeys([f"SpatialDropout{n}D" for n in (1, 2, 3)], dropout),
    "Activation": activation, "LeakyReLU": leaky_relu, "Softmax": softmax, "ReLU": relu,
    "Reshape": reshape, "Permute": permute, "RepeatVector": repeat_vector, "GaussianNoise": noise,
    "Rescaling": rescaling, "Lambda": function_layer, "LSTM": recurrent, "GRU": recurrent,
    "SimpleRNN": recurrent, **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), cell),
    "Bidirectional": bidirectional, "TimeDistributed": distributed,
    "MultiHeadAttention": attention, "RandomFlip": augmenting, "Normalization": normalization,
}  # fmt: skip


ELEMENTWISE = frozenset({"ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "Identity"})
"""Layers that are the same in any order of axes."""


def layer_parts(
    site: Site,
    instance: Instance,
    literal: bool = False,
    scope: Any = None,
    peers: Sequenced[Instance] = (),
) -> list[Part]:
    """The modules that a layer of the library becomes. Raises Unfit."""
    layer = Layer(site, instance, literal, scope, peers)
    write = LAYERS.get(layer.name)
    if write is None:
        raise Unfit(f"no rule for {site.name}")
    parts = write(layer)
    if layer.const("trainable", True) is False:
        freeze(layer, parts)
    return parts


WEIGHTED = re.compile("Linear|Conv|Norm|Embedding|LSTM|GRU|RNN|Loop|Attention|PReLU|Bidirectional")


def freeze(layer: Layer, parts: list[Part]) -> None:
    """`trainable=False` of a layer's constructor."""
    for part in parts:
        name = code(part.node.func) if isinstance(part.node, cst.Call) else ""
        if "Norm" in layer.name and layer.name.startswith(("Batch", "Sync")):
            part.node = layer.emit("set_trainable", part.node, False)
        elif WEIGHTED.search(name) or "regularize" in name:
            part.node = fill("module.requires_grad_(False)", module=part.node)


__all__ = ["ANY", "FIRST", "LAST", "Part", "layer_parts"]
