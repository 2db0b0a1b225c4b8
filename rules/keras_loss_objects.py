"""Keras' losses called by the program itself, as objects and as functions."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Const,
    Function,
    Instance,
    Symbol,
    Tensor,
    Value,
    items_of,
    options,
)
from transpiler.rule import Unfit, rewrites
from transpiler.rules.keras_activations import activation_name
from transpiler.rules.keras_losses import KNOWN, are_distributions, snake
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import find
from transpiler.template import OMIT, call, fill

CLASSES = (
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge",
)  # fmt: skip
OF_LOGITS = {
    "sparse_categorical_crossentropy": "sparse_cross_entropy",
    "categorical_crossentropy": "soft_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
}
OF_SOFTMAX = {
    "sparse_categorical_crossentropy": "sparse_log_loss",
    "categorical_crossentropy": "soft_log_loss",
    "binary_crossentropy": "binary_log_loss",
}
ENDS = {"softmax": ("sparse_categorical_crossentropy", "categorical_crossentropy"),
        "sigmoid": ("binary_crossentropy",)}  # fmt: skip
DROPPED = ("name", "dtype", "from_logits", "reduction", "axis")


class Uses:
    """Where a loss object is called, and whether nothing else is done with it."""

    def __init__(self, context: Context, origin: cst.Call) -> None:
        self.context = context
        self.calls = [
            node
            for node in find(context.module, cst.Call)
            if any(isinstance(o, Instance) and o.origin is origin
                   for o in options(context.fact(node.func)))
        ]  # fmt: skip
        self.alone = all(
            {getattr(o, "origin", None) for o in options(context.fact(node.func))} == {origin}
            for node in self.calls
        )

    def sites(self) -> list[dict[str, Any]]:
        return [arguments_of(node) for node in self.calls]


def arguments_of(node: cst.Call) -> dict[str, cst.BaseExpression]:
    """The arguments of a loss's call by name."""
    names = iter(("y_true", "y_pred", "sample_weight"))
    found: dict[str, cst.BaseExpression] = {}
    for arg in node.args:
        name = arg.keyword.value if arg.keyword is not None else next(names, "")
        if arg.star or not name:
            raise Unfit("arguments of the loss are unpacked with *")
        found[name] = arg.value
    return found


def uses_of(context: Context, origin: cst.Call) -> Uses:
    known: dict[Any, Uses] = context.notes.setdefault("uses of losses", {})
    if origin not in known:
        known[origin] = Uses(context, origin)
    return known[origin]


# ---- what an object becomes ------------------------------------------------------------------


def given_options(site: Site) -> dict[str, Any]:
    """What the constructor is given, constants as such."""
    found: dict[str, Any] = {}
    for name, node in site.args.items():
        value = constant_value(site.fact(name))
        found[name] = node if value is missing else value
    return found


def reduction_of(site: Site) -> str:
    """mean, sum or none, under any of its names."""
    node = site.args.get("reduction")
    if node is None:
        return "mean"
    value = site.context.fact(node)
    text = value.value if isinstance(value, Const) else getattr(value, "name", "")
    if isinstance(value, Const) and value.value is None:
        return "none"
    kind = str(text).rpartition(".")[2].lower()
    if kind in ("sum_over_batch_size", "auto", "sum_over_batch", "mean"):
        return "mean"
    if kind in ("none", "sum"):
        return kind
    raise Unfit("the reduction of the loss is not known before the program runs")


def logits_of(site: Site, given: dict[str, Any]) -> bool:
    flag = given.get("from_logits", False)
    if not isinstance(flag, bool):
        raise Unfit("whether the loss takes logits is not known before the program runs")
    return flag


def stock(context: Context, origin: cst.Call, site: Site) -> cst.BaseExpression | None:
    """PyTorch's own class, where every call of the object agrees with it; else None."""
    name = snake(site.name.rpartition(".")[2])
    given = given_options(site)
    options_left = {k: v for k, v in given.items() if k not in DROPPED}
    uses = uses_of(context, origin)
    if reduction_of(site) != "mean" or not uses.calls or not uses.alone:
        return None
    if site.has("axis") and given["axis"] != -1:
        return None
    if any(isinstance(p, cst.Arg) and p.value is origin for p in [context.edits.parent[origin]]):
        return None
    if any(set(a) != {"y_true", "y_pred"} for a in uses.sites()):
        return None
    if _handed_on(context, origin, uses):
        return None
    pairs = [(context.fact(a["y_true"]), context.fact(a["y_pred"])) for a in uses.sites()]
    if name in ("mean_squared_error", "mean_absolute_error", "huber"):
        return _of_numbers(name, options_left, pairs)
    if name in OF_LOGITS and logits_of(site, given):
        if undone(context, name, [a["y_pred"] for a in uses.sites()]):
            return None
        if name == "categorical_crossentropy" and not are_distributions(context):
            return None
        return _of_logits(name, options_left, pairs)
    return None


def _handed_on(context: Context, origin: cst.Call, uses: Uses) -> bool:
    """Whether a program hands the object to something that is not known here."""
    own = {id(c.func) for c in uses.calls}
    for node in find(context.module, cst.Arg):
        values = options(context.fact(node.value))
        if id(node.value) in own or not any(getattr(v, "origin", None) is origin for v in values):
            continue
        around = context.edits.parent[node]
        callee = context.fact(around.func) if isinstance(around, cst.Call) else None
        if not any(isinstance(o, (Function, Class)) or hasattr(o, "function")
                   for o in options(callee)):  # fmt: skip
            return True
    return False


def _of_numbers(name: str, left: dict[str, Any], pairs: Any) -> cst.BaseExpression | None:
    if set(left) - {"delta"} or not all(_alike(t, p) for t, p in pairs):
        return None
    kind = {"mean_squared_error": "MSELoss", "mean_absolute_error": "L1Loss"}.get(name, "HuberLoss")
    return call(f"torch.nn.{kind}", **left)


def _alike(target: Value, output: Value) -> bool:
    """Whether two arrays are tensors of the same rank and dtype."""
    if not isinstance(target, Tensor) or not isinstance(output, Tensor):
        return False
    if target.library == "numpy" or target.rank is None or target.rank != output.rank:
        return False
    if target.shape and output.shape:
        for a, b in zip(target.shape, output.shape, strict=True):
            if isinstance(a, int) and isinstance(b, int) and a != b:
                return False
    return target.dtype == output.dtype or None in (target.dtype, output.dtype)


def _of_logits(name: str, left: dict[str, Any], pairs: Any) -> cst.BaseExpression | None:
    if name == "binary_crossentropy":
        if left or not all(_alike(t, p) for t, p in pairs):
            return None
        return call("torch.nn.BCEWithLogitsLoss")
    sparse = name.startswith("sparse")
    for target, output in pairs:
        if not isinstance(target, Tensor) or not isinstance(output, Tensor):
            return None
        if output.rank != 2 or target.rank != (1 if sparse else 2) or target.library == "numpy":
            return None
        if not sparse and not _alike(target, output):
            return None
    named = {"label_smoothing": "label_smoothing", "ignore_class": "ignore_index"}
    given = {n: v for n, v in left.items() if n != "ignore_class" or v is not None}
    if set(given) - set(named):
        return None
    return call("torch.nn.CrossEntropyLoss", **{named[n]: v for n, v in given.items()})


# ---- probabilities ---------------------------------------------------------------------------


def ends_with(context: Context, node: cst.BaseExpression | None, depth: int = 0) -> str | None:
    """The activation that made an array: `softmax` or `sigmoid` of a Keras layer."""
    if depth > 6 or node is None:
        return None
    match node:
        case cst.Name():
            scope = context.edits.enclosing(node, cst.FunctionDef) or context.module
            values = _values(context, scope, node) or _handed(context, scope, node)
            found = {ends_with(context, value, depth + 1) for value in values}
            if not values and isinstance(scope, cst.FunctionDef):
                found = _ends_of_compiled(context, scope, node.value)
            return found.pop() if len(found) == 1 else None
        case cst.Call():
            kinds = {end_of(context, o, depth) for o in options(context.fact(node.func))}
            return kinds.pop() if len(kinds) == 1 else None
    return None


def _ends_of_compiled(context: Context, function: cst.FunctionDef, name: str) -> set[str | None]:
    """What the models end with whose outputs fit hands to a function of the program's own."""
    params = [p.name.value for p in function.params.params]
    if params[:1] == ["self"]:
        params = params[1:]
    if params[1:2] != [name]:
        return set()
    return {
        end_of(context, model, 0)
        for model in list(context.interpreter.instances.values())
        for given in model.state.get("compiled", {}).values()
        if any(_is_written_in(value, function) for value in given.values())
    }


def _is_written_in(value: Any, function: cst.FunctionDef) -> bool:
    """Whether a loss, or one of several metrics, is a function or has it as a method."""
    parts = items_of(value) if isinstance(value, Value) else None
    for option in [o for v in parts or [value] if isinstance(v, Value) for o in options(v)]:
        if isinstance(option, Function) and option.node is function:
            return True
        if isinstance(option, Instance) and isinstance(option.cls, Class):
            methods = option.cls.members.values()
            if any(isinstance(m, Function) and m.node is function for m in methods):
                return True
    return False


def _values(context: Context, scope: Any, name: cst.Name) -> list[cst.BaseExpression]:
    return [
        a.value
        for a in find(scope, cst.Assign)
        for t in a.targets
        if isinstance(t.target, cst.Name) and t.target.value == name.value
    ]


def _handed(context: Context, scope: Any, name: cst.Name) -> list[cst.BaseExpression]:
    """What callers hand over for a parameter."""
    from transpiler.planners.keras_tape.reaching import arguments_of_callers

    if not isinstance(scope, cst.FunctionDef):
        return []
    calls = arguments_of_callers(context, scope)
    return [given[name.value] for given in calls if name.value in given]


def end_of(context: Context, value: Value, depth: int) -> str | None:
    """What a layer's, model's or function's results end with."""
    if isinstance(value, Symbol):
        known = activation_name(value)
        return known if known in ENDS and value.name.startswith("keras.activations") else None
    if isinstance(value, Instance) and isinstance(value.cls, Class):
        entry = value.cls.lookup("call")
        if not isinstance(entry, Function) or not isinstance(entry.node, cst.FunctionDef):
            return None
        found = {ends_with(context, r.value, depth + 1) for r in find(entry.node.body, cst.Return)}
        return found.pop() if len(found) == 1 else None
    if not isinstance(value, Instance):
        return None
    layer: Any = value
    while layer is not None and ("layers" in layer.state or "outputs" in layer.state):
        layer = last_layer(layer)
    if layer is None:
        return None
    kind = (layer.class_names or ("",))[0].rpartition(".")[2]
    if kind in ("Softmax", "Activation"):
        return "softmax" if kind == "Softmax" else _known(layer.arguments.get("activation"))
    return _known(layer.arguments.get("activation"))


def _known(value: Any) -> str | None:
    name = activation_name(value) if isinstance(value, Value) else None
    return name if name in ENDS else None


def last_layer(model: Instance) -> Instance | None:
    """The layer that gives a model's output."""
    layers = model.state.get("layers")
    if layers:
        return layers[-1] if isinstance(layers[-1], Instance) else None
    outputs = model.state.get("outputs")
    items = items_of(outputs) if isinstance(outputs, Value) else None
    if items is not None and len(items) == 1:
        outputs = items[0]
    node = getattr(outputs, "node", None)
    return node.layer if node is not None else None


def unit_for(site: Site, name: str, logits: bool, outputs: list[Any]) -> str:
    """The function that computes the loss of each example."""
    context = site.context
    if logits and name not in OF_LOGITS:
        raise Unfit(f"{name} of logits is not translated")
    if undone(context, name, outputs):
        return context.emit(OF_SOFTMAX[name])
    return context.emit(OF_LOGITS[name] if logits else name)


def undone(context: Context, name: str, outputs: list[Any]) -> bool:
    """Whether Keras takes the logits behind the outputs, whatever `from_logits` says."""
    ends = {ends_with(context, o) for o in outputs}
    return name in OF_SOFTMAX and bool(ends) and all(e and name in ENDS[e] for e in ends)


# ---- rules -----------------------------------------------------------------------------------


def is_stock(context: Context, origin: cst.Call, name: str) -> bool:
    """Whether an object becomes a class of PyTorch's own, which takes the outputs first."""
    known: dict[Any, Any] = context.notes.setdefault("stock losses", {})
    if origin not in known:
        known[origin] = stock(context, origin, Site(context, origin, name))
    return known[origin] is not None


@rewrites(*(f"keras.losses.{c}" for c in CLASSES), to="torch")
def loss_object(site: Site) -> Any:
    """PyTorch's class where all calls allow, else the mean of a function in Keras' order."""
    node = site.node
    if not isinstance(node, cst.Call):
        raise Unfit(f"{site.short} is used without being called")
    if is_stock(site.context, node, site.name):
        return site.context.notes["stock losses"][node]
    given = given_options(site)
    name = snake(site.name.rpartition(".")[2])
    if site.has("axis") and given["axis"] != -1:
        raise Unfit("a loss over another axis than the last is not translated")
    left = {k: v for k, v in given.items() if k not in DROPPED and v is not None}
    outputs = [a.get("y_pred") for a in uses_of(site.context, node).sites()]
    unit = unit_for(site, name, logits_of(site, given), outputs)
    reduction = reduction_of(site)
    return call(
        site.context.emit("MeanLoss"), cst.Name(unit),
        reduction=OMIT if reduction == "mean" else reduction, **left,
    )  # fmt: skip


@rewrites("keras.Loss.__call__", *(f"keras.losses.{c}.__call__" for c in CLASSES), to="torch")
def loss_call(site: Site) -> Any:
    """Outputs come first in PyTorch."""
    node = site.node
    assert isinstance(node, cst.Call)
    made = [o for o in options(site.context.fact(node.func)) if isinstance(o, Instance)]
    name = site.name.removesuffix(".__call__")
    origins = {id(m.origin): m.origin for m in made}
    if len(origins) != 1 or name == "keras.Loss":
        return site.keep()
    origin = next(iter(origins.values()))
    if origin not in site.context.edits.parent or not is_stock(site.context, origin, name):
        return site.keep()
    given = arguments_of(node)
    target = given["y_true"]
    fact = site.context.fact(target)
    if name.endswith("SparseCategoricalCrossentropy") and getattr(fact, "dtype", "") != "int64":
        target = fill("y.long()", y=target)
    func = node.func
    return fill("loss(p, y)", loss=func, p=given["y_pred"], y=target)


@rewrites(*(f"keras.losses.{name}" for name in sorted(KNOWN)), to="torch")
def loss_function(site: Site) -> Any:
    """The loss of each example, by a function of the same name."""
    name = site.name.rpartition(".")[2]
    if not isinstance(site.node, cst.Call):
        return cst.Name(site.context.emit(name))
    given = given_options(site)
    if site.has("axis") and given["axis"] != -1:
        return _over_axes(site, name, given)
    unit = unit_for(site, name, logits_of(site, given), [site.args.get("y_pred")])
    left = {
        k: v for k, v in given.items()
        if k not in (*DROPPED, "y_true", "y_pred") and v is not None
    }  # fmt: skip
    return call(unit, site.arg("y_true"), site.arg("y_pred"), **left)


def _over_axes(site: Site, name: str, given: dict[str, Any]) -> cst.BaseExpression:
    """binary_crossentropy(..., axis=(1, 2, 3)): the mean over these axes."""
    if name != "binary_crossentropy" or given.get("label_smoothing"):
        raise Unfit("a loss over another axis than the last is not translated")
    axes = site.arg("axis")
    function = "torch.nn.functional.binary_cross_entropy"
    holes = {"y": site.arg("y_true"), "p": site.arg("y_pred"), "axes": axes}
    if logits_of(site, given):
        return fill(f'{function}_with_logits(p, y, reduction="none").mean(axes)', **holes)
    text = f'{function}(p.clamp(1e-7, 1 - 1e-7), y, reduction="none").mean(axes)'
    return fill(text, **holes)
