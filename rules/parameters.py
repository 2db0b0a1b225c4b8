"""Parameters and buffers of a program's own modules, and those of its layers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Instance,
    Sequence,
    Symbol,
    Tensor,
    Value,
    as_dim,
    options,
)
from transpiler.modules import in_module_method, modules_in
from transpiler.rule import Proof, Unfit, infers_property, rewrites
from transpiler.rules.checkpoints import build
from transpiler.rules.facts_torch_layers import argument, library_name, numbers
from transpiler.rules.initializers import bare, constant_like, layer_parameter
from transpiler.rules.layer_arguments import known
from transpiler.rules.layer_names import each
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import OMIT, call, fill, fill_statements


@rewrites(
    "torch.nn.Parameter",
    "torch.nn.parameter.Parameter",
    to="tf",
    proof=Proof(
        inputs=[(2, 3)],
        cases=[
            "x * torch.nn.Parameter(torch.ones(3))",
            "torch.nn.Parameter(torch.zeros(2, 3)) - x",
        ],
        gradients=False,
        directions=["tf"],
    ),
)
def parameter(site: Site) -> Any:
    """A Keras variable, which the layer that holds it finds by itself."""
    wanted = known(site, site.arg("requires_grad"))
    trainable: Any = OMIT if wanted is True else False if wanted is False else None
    if trainable is None:
        trainable = site.arg("requires_grad")
    if trainable is OMIT and _is_replaced(site):
        trainable = False
    if not site.has("data"):
        raise Unfit("a parameter without data")
    return call("keras.Variable", site.arg("data"), trainable=trainable)


def _is_replaced(site: Site) -> bool:
    """Whether another parameter takes this one's place later: no optimizer was given that one."""
    from transpiler.planners.rebindings import is_replaced

    target = site.assigned_to
    if not isinstance(target, cst.Attribute):
        return False
    owners = options(site.context.fact(target.value))
    return any(is_replaced(site.context, owner, target.attr.value) for owner in owners)


@rewrites("torch.nn.Module.register_buffer", "torch.nn.Module.register_parameter", to="tf")
def register(site: Site) -> Any:
    """`self.mask = mask`; a variable where the buffer is given new values later."""
    if site.receiver is None or not site.alone:
        raise Unfit(f"{site.short} is used inside of an expression")
    name = known(site, site.arg("name"))
    value = site.arg("tensor" if site.name.endswith("buffer") else "param")
    if not isinstance(name, str):
        new = fill("setattr(owner, name, value)", owner=site.receiver, name=site.arg("name"),
                   value=value)  # fmt: skip
        return [cst.SimpleStatementLine([cst.Expr(new)])]
    if site.name.endswith("buffer") and _changes(site, name):
        value = call("keras.Variable", value, trainable=False)
    target = cst.AssignTarget(cst.Attribute(site.receiver, cst.Name(name)))
    return [cst.SimpleStatementLine([cst.Assign([target], value)])]


def _changes(site: Site, name: str) -> bool:
    """Whether the program gives the buffer new values: those have to survive graph mode."""
    for node in find(site.context.module, cst.Attribute):
        if node.attr.value != name:
            continue
        parent = site.context.edits.parent.get(node)
        if isinstance(parent, (cst.AssignTarget, cst.AugAssign)) and _is_target(parent, node):
            return True
        if _changed_by_method(site, node):
            return True
    return False


def _is_target(parent: Any, node: cst.CSTNode) -> bool:
    return getattr(parent, "target", None) is node


def _changed_by_method(site: Site, node: cst.CSTNode) -> bool:
    """`self.mean.mul_(0.9).add_(x)`, `self.mean.data.copy_(x)`."""
    parents = site.context.edits.parent
    above = parents.get(node)
    while isinstance(above, cst.Attribute) and above.attr.value in ("data",):
        above = parents.get(above)
    if isinstance(above, cst.Attribute):
        name = above.attr.value
        return name.endswith("_") and not name.startswith("_") and name != "requires_grad_"
    around = parents.get(above) if isinstance(above, cst.Subscript) else None
    return isinstance(around, (cst.AssignTarget, cst.AugAssign)) and _is_target(around, above)  # type: ignore[arg-type]


# ---- what a layer's own parameters are -----------------------------------------------------------

DENSE = ("Linear", "LazyLinear")
CONVOLVED = (*each("Conv", "LazyConv"),)
TRANSPOSED = each("ConvTranspose")
NORMS = (*each("BatchNorm", "InstanceNorm"), "LayerNorm", "GroupNorm", "RMSNorm")
RNN_SIZES = ("input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "dropout")
SIZES: dict[str, str] = {
    "in_features": "", "in_channels": "", "num_features": "", "input_size": "",
    "out_features": "units", "out_channels": "filters", "hidden_size": "units",
    "num_embeddings": "input_dim", "embedding_dim": "output_dim", "kernel_size": "kernel_size",
    "stride": "strides", "p": "rate", "num_groups": "groups", "eps": "epsilon",
}  # fmt: skip
"""Attributes of layers that hold an argument, and Keras's name for it."""
OWNERS = (*DENSE, *CONVOLVED, *TRANSPOSED, *NORMS, "Embedding", "EmbeddingBag", "Dropout",
          *each("Dropout"))  # fmt: skip


@infers_property(*(f"torch.nn.{name}.weight" for name in OWNERS))
def weight_fact(value: Value) -> Value:
    """A layer's weight, of torch's shape."""
    if not isinstance(value, Instance):
        return Tensor(None, "float32", "torch", True)
    if not value.state.get("inputs"):
        value.state["read early"] = True
    name = library_name(value)

    def dim(key: str) -> Dim:
        return as_dim(argument(value, key) or UNKNOWN)

    if name in DENSE:
        return Tensor((dim("out_features"), dim("in_features")), "float32", "torch", True)
    if name in CONVOLVED:
        window = numbers(value, "kernel_size", int(name[-2]), None)
        sizes = (dim("out_channels"), None, *window)
        return Tensor(sizes, "float32", "torch", True)
    if name.startswith("Embedding"):
        return Tensor((dim("num_embeddings"), dim("embedding_dim")), "float32", "torch", True)
    return Tensor(None, "float32", "torch", True)


@infers_property(*(f"torch.nn.{name}.bias" for name in OWNERS))
def bias_fact(value: Value) -> Value:
    """A layer's bias; None where it has none."""
    from transpiler.infer.values import NONE

    if isinstance(value, Instance) and argument(value, "bias") == Const(False):
        return NONE
    return Tensor((None,), "float32", "torch", True)


def _size_fact(name: str) -> Any:
    """The argument of the constructor under that name."""

    def infer(value: Value) -> Value:
        found = argument(value, name) if isinstance(value, Instance) else None
        if found is not None and name in ("kernel_size", "stride") and as_dim(found) is not None:
            count = int(library_name(value)[-2]) if library_name(value)[-1] == "d" else 1
            return Sequence("tuple", (found,) * count)
        return found if found is not None else UNKNOWN

    return infer


STATISTICS = {"running_mean": "moving_mean", "running_var": "moving_variance"}
TRACKING = (*each("BatchNorm"), "SyncBatchNorm")


@infers_property(*(f"torch.nn.{owner}.{name}" for owner in TRACKING for name in STATISTICS))
def statistic_fact(value: Value) -> Value:
    """A running mean or variance; None where none is tracked."""
    if isinstance(value, Instance):
        if argument(value, "track_running_stats") == Const(False):
            return Const(None)
        return Tensor(
            (as_dim(argument(value, "num_features") or UNKNOWN),), "float32", "torch", True
        )
    return Tensor((None,), "float32", "torch", True)


@rewrites(*(f"torch.nn.{owner}.{name}" for owner in TRACKING for name in STATISTICS), to="tf")
def statistic(site: Site) -> Any:
    """The variable of that name; what a layer starts with it has already."""
    if isinstance(site.parent, cst.AssignTarget):
        raise Unfit("whether this layer has been built by then is not known")
    _refuse_unbuilt(site)
    return fill(f"layer.{STATISTICS[site.name.rpartition('.')[2]]}", layer=_layer(site))


@rewrites(*(f"torch.nn.{owner}.reset_running_stats" for owner in TRACKING), to="tf")
def reset_statistics(site: Site) -> Any:
    """Means of 0 and variances of 1, assigned to the variables."""
    if site.receiver is None or not site.alone:
        raise Unfit(f"{site.short} is used inside of an expression")
    return fill_statements(
        "norm.moving_mean.assign(tf.zeros_like(norm.moving_mean))\n"
        "norm.moving_variance.assign(tf.ones_like(norm.moving_variance))",
        norm=site.receiver,
    )


SIZE_FACTS = [
    infers_property(*(f"torch.nn.{owner}.{name}" for owner in OWNERS))(_size_fact(name))
    for name in SIZES
]


RNN_FACTS = [
    infers_property(*(f"torch.nn.{owner}.{name}" for owner in ("RNNBase", "LSTM", "GRU", "RNN")))(
        _size_fact(name)
    )
    for name in RNN_SIZES
]


@rewrites(
    *(f"torch.nn.{owner}.{name}" for owner in ("RNNBase", "LSTM", "GRU", "RNN")
      for name in RNN_SIZES),
    to="tf",
)  # fmt: skip
def recurrent_size(site: Site) -> Any:
    """The number given when the layer was made."""
    value = known(site, site.node)
    if value is None:
        raise Unfit(f"`{site.short}` is not known before the program runs", "keep it in a variable")
    from transpiler.syntax import literal

    return literal(value)


@rewrites(*(f"torch.nn.{owner}.{name}" for owner in OWNERS for name in SIZES), to="tf")
def size(site: Site) -> Any:
    """The number itself where it is known, else Keras's attribute."""
    owner, _, name = site.name.rpartition(".")
    value = known(site, site.node)
    if isinstance(value, (int, float, tuple)) and not isinstance(value, bool):
        from transpiler.syntax import literal

        return literal(value)
    keras_name = SIZES[name]
    if keras_name and site.receiver is None and isinstance(site.node, cst.Attribute):
        return fill(f"layer.{keras_name}", layer=inner(site, site.node.value))
    if keras_name:
        return fill(f"layer.{keras_name}", layer=inner(site, _layer(site)))
    if owner.rpartition(".")[2] in (*DENSE, *CONVOLVED):
        return fill("layer.kernel.shape[-2]", layer=inner(site, _layer(site)))
    raise Unfit(f"`{name}` of a Keras layer is not known before its first call")


def _layer(site: Site) -> Any:
    assert isinstance(site.node, cst.Attribute)
    return site.node.value


def inner(site: Site, layer: Any) -> Any:
    """The convolution itself where it stands in a Sequential with its padding."""
    from transpiler.rules.containers import PARTS

    found: set[int | None] = set()
    for value in options(site.context.fact(layer)):
        origin = value.origin if isinstance(value, Instance) else None
        name = value.class_names[0] if isinstance(value, Instance) and value.class_names else ""
        if name not in PARTS or not isinstance(origin, cst.Call):
            found.add(None)
            continue
        mark, notes = len(site.context.reports), dict(site.context.notes)
        try:
            parts = PARTS[name](Site(site.context, origin, name))
        except Unfit:
            parts = []
        del site.context.reports[mark:]
        site.context.notes.clear()
        site.context.notes.update(notes)
        places = [i for i, p in enumerate(parts) if "Conv" in _called(p)]
        found.add(places[0] if len(parts) > 1 and places else None)
    place = found.pop() if len(found) == 1 else None
    return layer if place is None else fill(f"layer.layers[{place}]", layer=layer)


def _called(part: Any) -> str:
    from transpiler.syntax import dotted

    return dotted(part.func) or "" if isinstance(part, cst.Call) else ""


WEIGHT_NAMES = {**dict.fromkeys(NORMS, "gamma"), "Embedding": "embeddings",
                "EmbeddingBag": "embeddings", "RMSNorm": "scale"}  # fmt: skip
_ORDERS = {1: [2, 1, 0], 2: [3, 2, 0, 1], 3: [4, 3, 0, 1, 2]}


def tie(site: Site) -> Any:
    """`self.decoder.weight = self.encoder.weight`: a dense layer on the embedding's table."""
    place: Any = site.parent
    assign = site.context.edits.parent.get(place) if isinstance(place, cst.AssignTarget) else place
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
        return None
    sides: list[Any] = [assign.targets[0].target, assign.value]
    if not all(isinstance(x, cst.Attribute) and x.attr.value == "weight" for x in sides):
        return None
    layers: dict[str, Any] = {}
    for side in sides:
        for value in options(site.context.fact(side.value)):
            if isinstance(value, Instance) and isinstance(value.cls, Symbol):
                layers[library_name(value)] = (side.value, value)
    if set(layers) == {"Embedding"}:  # one layer in two places
        for side in sides:
            site.context.claim(side)
        shared = cst.Assign([cst.AssignTarget(sides[0].value)], sides[1].value)
        return [cst.SimpleStatementLine([shared])]
    if set(layers) != {"Linear", "Embedding"}:
        return None
    for side in sides:
        site.context.claim(side)
    (place, dense), (embedding, _) = layers["Linear"], layers["Embedding"]
    arguments: dict[str, Any] = {"use_bias": OMIT}
    if argument(dense, "bias") == Const(False):
        arguments["use_bias"] = False
    elif site.exact:
        arguments["bias_initializer"] = fill(
            "f(e.output_dim)", f=site.emit("torch_uniform"), e=embedding
        )
    new = call("TiedDense", embedding, **arguments).with_changes(func=site.emit("TiedDense"))
    return [cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(place)], new)])]


def start_from(site: Site) -> Any:
    """`layer.weight.data = table`, `layer.weight = nn.Parameter(table)`."""
    top: Any = site.node
    parents = site.context.edits.parent
    while isinstance(parents.get(top), cst.Attribute) and bare(parents[top]) is site.node:
        top = parents[top]
    place = parents.get(top)
    assign = parents.get(place) if isinstance(place, cst.AssignTarget) else None
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
        return None
    value = assign.value
    if isinstance(value, cst.Call) and code(value.func).endswith("Parameter") and value.args:
        site.context.claim(value)
        site.context.claim(value.func)
        value = value.args[0].value
    assert isinstance(site.node, cst.Attribute)
    result = constant_like(site, site.node.value, site.node.attr.value, value)
    for node in (site.node, top):
        site.context.claim(node)
    return [result]


@rewrites("torch.Tensor.data", to="tf")
def assigned_data(site: Site) -> Any:
    """`layer.weight.data = table`."""
    if not isinstance(site.parent, cst.AssignTarget) or site.receiver is None:
        raise Unfit("`data` is read")
    if layer_parameter(site, site.receiver) is None:
        raise Unfit("`data` of something that is no layer's weight")
    result = start_from(Site(site.context, bare(site.receiver), "torch.nn.Linear.weight"))
    if result is None:
        raise Unfit("`data` of several things is assigned to")
    return result


@rewrites(*(f"torch.nn.{owner}.weight" for owner in OWNERS), to="tf")
def weight(site: Site) -> Any:
    """The variable, in torch's order of axes where it is computed with."""
    tied = tie(site) or start_from(site)
    if tied is not None:
        return tied
    name = site.name.split(".")[-2]
    layer = inner(site, _layer(site))
    _refuse_targets(site)
    _refuse_unbuilt(site)
    if name in WEIGHT_NAMES:
        return fill(f"layer.{WEIGHT_NAMES[name]}", layer=layer)
    if name not in (*DENSE, *CONVOLVED, *TRANSPOSED):
        raise Unfit(f"the weight of {name} is another one in Keras")
    if _is_listed(site):
        return fill("layer.kernel", layer=layer)
    if name in DENSE:
        return fill("tf.transpose(layer.kernel)", layer=layer)
    order = _ORDERS[int(name[-2])]
    return fill("tf.transpose(layer.kernel, order)", layer=layer, order=order)


@rewrites(*(f"torch.nn.{owner}.bias" for owner in OWNERS), to="tf")
def bias(site: Site) -> Any:
    """The variable; compared with None, it asks whether the layer has one at all."""
    name = site.name.split(".")[-2]
    layer = inner(site, _layer(site))
    if isinstance(site.parent, cst.Comparison):
        if len({c.cls.name.split(".")[-1] in NORMS for c in _kinds(site)}) > 1:
            raise Unfit("whether this layer is a normalization is not known", "test for its class")
        flag = fill("layer.center" if name in NORMS else "layer.use_bias", layer=layer)
        operator = site.parent.comparisons[0].operator
        none = isinstance(operator, (cst.Is, cst.Equal))
        if not site.context.edits.edited(site.parent):
            new = fill("not flag", flag=flag) if none else flag
            site.context.edits.replace(site.parent, new)
        return None
    _refuse_targets(site)
    _refuse_unbuilt(site)
    return fill(f"layer.{'beta' if name in NORMS else 'bias'}", layer=layer)


_WRITTEN = {1: [2, 1, 0], 2: [2, 3, 1, 0], 3: [2, 3, 4, 1, 0]}


def variable_of(context: Context, target: cst.Attribute) -> tuple[Any, list[int] | None] | None:
    """The variable of a layer of torch's under a name, and how torch's axes go into it."""
    kinds = {v.cls.name.rpartition(".")[2] if isinstance(v, Instance) and isinstance(v.cls, Symbol)
             else "" for v in options(context.fact(target.value))}  # fmt: skip
    role = target.attr.value
    if kinds <= {*TRACKING} and role in STATISTICS:
        return fill(f"layer.{STATISTICS[role]}", layer=target.value), None
    known = {*DENSE, *CONVOLVED, *NORMS, "Embedding"}
    if not kinds <= known or role not in ("weight", "bias"):
        return None
    layer = inner(Site(context, target, f"torch.nn.{min(kinds)}.{role}"), target.value)
    if role == "bias":
        [name] = {"beta" if kind in NORMS else "bias" for kind in kinds}
        return fill(f"layer.{name}", layer=layer), None
    [name] = {WEIGHT_NAMES.get(kind, "kernel") for kind in kinds}
    first = min(kinds)
    order = [1, 0] if first in DENSE else _WRITTEN[int(first[-2])] if first in CONVOLVED else None
    return fill(f"layer.{name}", layer=layer), order


def _kinds(site: Site) -> list[Any]:
    """The library's layers that the owner of an attribute may be."""
    values = options(site.context.fact(_layer(site)))
    return [v for v in values if isinstance(v, Instance) and isinstance(v.cls, Symbol)]


def _is_listed(site: Site) -> bool:
    """Whether the variable itself is meant: given to an optimizer or kept in a list."""
    parent = site.parent
    return isinstance(parent, cst.Element) or isinstance(
        site.context.edits.enclosing(site.node, cst.DictElement), cst.DictElement
    )


def _refuse_targets(site: Site) -> None:
    """Tied or replaced weights."""
    top: Any = site.node
    parents = site.context.edits.parent
    while isinstance(parents.get(top), cst.Attribute) and bare(parents[top]) is site.node:
        top = parents[top]
    statement = parents.get(top)
    if isinstance(statement, cst.AssignTarget):
        raise Unfit(
            "a layer of Keras makes its own weights: they can not be replaced",
            "build the layer and assign to its variable, or write the product out",
        )
    if isinstance(statement, cst.Assign) and isinstance(
        statement.targets[0].target, cst.Attribute
    ) and statement.targets[0].target.attr.value in ("weight", "bias"):  # fmt: skip
        raise Unfit(
            "tied weights: a layer of Keras makes its own",
            "multiply by the other layer's variable: tf.matmul(x, embedding.embeddings, "
            "transpose_b=True)",
        )


def _refuse_unbuilt(site: Site) -> None:
    """In `__init__` no layer has variables yet."""
    function = site.context.edits.enclosing(site.node, cst.FunctionDef)
    layer = _layer(site)
    own = isinstance(layer, cst.Attribute) and isinstance(layer.value, cst.Name)
    if function is not None and function.name.value == "__init__" and own:
        if layer.value.value == "self":
            raise Unfit("a Keras layer has no weights before its first call",
                        "set its initializer")  # fmt: skip
    if not in_module_method(site.context, site.node):
        _build_first(site, layer)


def _build_first(site: Site, layer: Any) -> None:
    """Outside of modules, what is read before the model's first call has to be built."""
    early = any(
        isinstance(v, Instance) and v.state.get("read early")
        for v in options(site.context.fact(layer))
    )
    if not early:
        return
    model = layer
    while isinstance(model, cst.Attribute) and modules_in(site.context, _fact(site, model.value)):
        model = model.value
    site.context.interpreter.early.add(site.node)
    build(site, model)


def _fact(site: Site, node: Any) -> Value:
    found: Value = site.context.fact(node)
    return found
