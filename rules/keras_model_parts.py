"""What a Keras program asks of its models and layers: parts, names, losses, variables' makers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import UNKNOWN, Class, Const, Instance, Symbol, options
from transpiler.rule import Unfit, rewrites
from transpiler.rules.keras_initial_values import fills, named
from transpiler.rules.keras_layer_weights import NAMES, is_one_module
from transpiler.site import Site
from transpiler.syntax import find, walk
from transpiler.template import as_node, fill

INITIALIZERS = (
    "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal",
    "RandomNormal", "RandomUniform", "TruncatedNormal", "Zeros", "Ones", "Constant", "Orthogonal",
    "Identity", "VarianceScaling",
)  # fmt: skip


@rewrites("keras.Layer.build", "keras.Model.build", to="torch")
def build(site: Site) -> Any:
    """PyTorch's layers have their weights from the start."""
    if not site.alone:
        raise Unfit("build is used inside of an expression")
    return []


@rewrites(
    *(f"keras.initializers.{name}" for name in INITIALIZERS),
    *(f"keras.regularizers.{name}" for name in ("L1", "L2", "L1L2", "OrthogonalRegularizer")),
    *(f"keras.constraints.{name}" for name in ("MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm")),
    to="torch",
)
def option(site: Site) -> Any:
    """An object that only layers are given: they have read it already."""
    return read_by_layers(site)


def read_by_layers(site: Site) -> Any:
    """Leave an option of layers out, whose modules say it by themselves. Raises Unfit."""
    parent = site.parent
    if site.name.startswith("keras.constraints.") and not site.context.notes.get("trainings"):
        raise Unfit("constraints of weights have no equal here", "apply them after each step")
    if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
        name = parent.targets[0].target.value
        edits = site.context.edits
        named = [n for n in find(site.context.module, cst.Name) if n.value == name]
        reads = [n for n in named if not isinstance(edits.parent[n], cst.AssignTarget)]
        if all(_is_layer_argument(site, n) for n in reads if not _is_keyword(edits, n)):
            return []
    if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Attribute):
        return _set_on(site, parent.targets[0].target)
    if _makes_own_layer(site):
        return cst.Name("None")  # the layers of the class have read it already
    raise Unfit(f"{site.short} stands outside of a layer", "use torch.nn.init")


def _set_on(site: Site, target: cst.Attribute) -> Any:
    """An attribute of the program's own class has been read; a stock layer's fills its weights."""
    layers = [v for v in options(site.context.fact(target.value)) if v is not UNKNOWN]
    if layers and not any(isinstance(v, Instance) and isinstance(v.cls, Symbol) for v in layers):
        return []
    name, known = named(site.context.fact(site.node))
    role = target.attr.value.removesuffix("_initializer")
    if role not in NAMES or not site.name.startswith("keras.initializers."):
        raise Unfit(f"`{target.attr.value}` of a layer is set after it was made",
                    "give it to the layer where that is made")  # fmt: skip
    for layer in layers:
        if isinstance(layer, Instance) and not is_one_module(site, layer):
            raise Unfit("the initializer of a layer that is several modules here is set",
                        "give it to the layer where that is made")  # fmt: skip
    site.context.edits.replace(site.parent, cst.Expr(fills(name, known, target.value, NAMES[role])))
    return site.keep()


def _makes_own_layer(site: Site) -> bool:
    """Whether the option goes to the constructor of a layer of the program."""
    call = site.context.edits.enclosing(site.node, cst.Call)
    if call is None:
        return False
    held = options(site.context.fact(call.func))
    return bool(held) and all(isinstance(v, Class) for v in held)


def _is_keyword(edits: Any, name: cst.Name) -> bool:
    parent = edits.parent.get(name)
    if isinstance(parent, cst.Attribute):
        return parent.attr is name
    return isinstance(parent, cst.Arg) and parent.keyword is name


def _is_layer_argument(site: Site, name: cst.CSTNode) -> bool:
    call = site.context.edits.enclosing(name, cst.Call)
    if call is None:
        return False
    values = options(site.context.fact(call))
    return any(isinstance(v, Instance) for v in values) or _adds_weight(call)


def _adds_weight(call: cst.Call) -> bool:
    return isinstance(call.func, cst.Attribute) and call.func.attr.value.startswith("add_")


@rewrites("keras.random.SeedGenerator", to="torch")
def seed_generator(site: Site) -> Any:
    """Draws come from PyTorch's own generator."""
    parent = site.parent
    if not isinstance(parent, cst.Assign):
        raise Unfit("a seed generator is used inside of an expression")
    site.context.remark(site.statement, site.short, "draws come from PyTorch's default generator")
    return []


@rewrites("keras.Layer.name", "keras.Operation.name", "keras.Model.name", to="torch")
def name(site: Site) -> Any:
    """PyTorch's modules have no names: that of the program, else of the class."""
    target = site.parent
    if isinstance(target, cst.AssignTarget):
        return []
    values = options(site.receiver_fact)
    texts = set()
    for value in values:
        given = value.arguments.get("name") if isinstance(value, Instance) else None
        texts.add(given.value if isinstance(given, Const) else None)
    if len(texts) == 1 and isinstance(text := texts.pop(), str):
        return as_node(text)
    if _decides(site):
        raise Unfit("which layer this is, is told by a name that Keras gave it",
                    "compare the modules themselves")  # fmt: skip
    return fill("type(layer).__name__", layer=site.receiver)


def _decides(site: Site) -> bool:
    """Whether the program compares the name."""
    around = site.context.edits.enclosing(site.node, cst.Comparison, cst.Call, cst.BaseStatement)
    if isinstance(around, cst.Comparison):
        return True
    return isinstance(around, cst.Call) and isinstance(around.func, cst.Attribute) \
        and around.func.value is site.node  # fmt: skip


@rewrites("keras.Layer.trainable", "keras.Model.trainable", to="torch")
def trainable(site: Site) -> Any:
    """Whether a layer's parameters are trained."""
    return fill("all(p.requires_grad for p in layer.parameters())", layer=site.receiver)


@rewrites("keras.Model.layers", to="torch")
def layers(site: Site) -> Any:
    """The parts of a model, in order."""
    parent = site.parent
    values = [v for v in options(site.context.fact(parent)) if isinstance(v, Instance)]
    models = [v for v in options(site.receiver_fact) if isinstance(v, Instance)]
    if isinstance(parent, cst.Subscript) and len(values) == 1 and len(models) == 1:
        from transpiler.planners.keras_graph import attribute_name

        found = attribute_name(site.context, models[0], values[0])
        if found is not None:
            part = fill(f"model.{found}", model=site.receiver)
            site.context.edits.replace(parent, part)
            return site.keep()
        place = _place(models[0], values[0])
        if place is not None:
            new = fill("model[i]", model=site.receiver, i=place)
            site.context.edits.replace(parent, new)
            return site.keep()
    site.caution("PyTorch's children are the layers as they are written here: activations and"
                 " changes of the order of axes are modules of their own")  # fmt: skip
    return fill("list(model.children())", model=site.receiver)


@rewrites("keras.Layer._flatten_layers", to="torch")
def all_layers(site: Site) -> Any:
    """The model and all its parts."""
    if site.positional or site.keywords:
        raise Unfit("_flatten_layers of some layers only", "use model.modules()")
    return fill("model.modules()", model=site.receiver)


def _place(model: Instance, layer: Instance) -> int | None:
    """The number of a Sequential's module, where each layer became one."""
    held = model.state.get("layers")
    if not isinstance(held, list) or layer not in held:
        return None
    for before in held[: held.index(layer) + 1]:
        if not isinstance(before, Instance) or not isinstance(before.cls, Symbol):
            return None
        kind = before.cls.name.rpartition(".")[2]
        active = before.arguments.get("activation")
        if kind not in ("Dense", "Dropout", "Embedding", "LSTM", "GRU", "Activation", "Flatten",
                        "Normalization"):  # fmt: skip
            return None
        if before is not layer and active not in (None, Const(None), Const("linear")):
            if kind == "Dense":
                return None
    index: int = held.index(layer)
    return index


@rewrites("keras.Model.get_layer", to="torch")
def get_layer(site: Site) -> Any:
    """A layer by name is the attribute of that name."""
    models = [v for v in options(site.receiver_fact) if isinstance(v, Instance)]
    found = [v for v in options(site.context.fact(site.node)) if isinstance(v, Instance)]
    if len(models) == 1 and len(found) == 1:
        from transpiler.planners.keras_graph import attribute_name

        attribute = attribute_name(site.context, models[0], found[0])
        if attribute is not None:
            return fill(f"model.{attribute}", model=site.receiver)
    raise Unfit("which layer get_layer gives is not known before the program runs")


@rewrites("keras.Layer.losses", "keras.Model.losses", to="torch")
def losses(site: Site) -> Any:
    """What layers added to the loss, and the penalties on their weights."""
    from transpiler.planners.keras_compile import penalized

    models = [v for v in options(site.receiver_fact) if isinstance(v, Instance)]
    names = [site.context.emit("added_losses")]
    if penalized(models):
        names.append(site.context.emit("regularization"))
    return fill(f"[{', '.join(f'{n}(model)' for n in names)}]", model=site.receiver)


@rewrites("keras.Layer.metrics", "keras.Model.metrics", to="torch")
def metrics(site: Site) -> Any:
    """The metrics that a model holds; compile leaves a list where a step of its own asks."""
    from transpiler.planners.keras_compile import lists_metrics

    models = set(options(site.receiver_fact))
    for training in site.context.notes.get("trainings", ()):
        if models & set(training.models) and lists_metrics(training):
            return site.keep()
    return fill('[m for m in vars(model).values() if hasattr(m, "update_state")]',
                model=site.receiver, m=cst.Name("m"))  # fmt: skip


@rewrites("keras.Layer.output_shape", "keras.Model.output_shape", to="torch")
def output_shape(site: Site) -> Any:
    """A module does not know it: an assertion goes, and what is known is written."""
    statement: Any = site.context.edits.statement(site.node)
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    if isinstance(small, cst.Assert):
        site.context.edits.replace(statement, [])
        for part in walk(statement):
            site.context.claim(part)
        return site.keep()
    known = site.context.fact(site.node)
    if not isinstance(known, Const):
        raise Unfit("the shape of what this model gives is not known before the program runs")
    return cst.parse_expression(repr(known.value))


@rewrites("keras.Model.metrics_names", to="torch")
def metrics_names(site: Site) -> Any:
    """The loss, and the names that compile's metrics go by."""
    models = set(options(site.receiver_fact))
    for training in site.context.notes.get("trainings", ()):
        if models & set(training.models) and not training.stepped:
            return fill('["loss", *metrics]', metrics=training.name("metrics", site.receiver))
    raise Unfit("what the model is compiled with is not known here")


@rewrites("keras.Model.optimizer", to="torch")
def optimizer(site: Site) -> Any:
    """compile leaves it on the model where the program asks for it."""
    return site.keep()


@rewrites("keras.utils.register_keras_serializable", to="torch")
def serializable(site: Site) -> Any:
    """A decorator that says nothing here."""
    place = site.context.edits.enclosing(site.node, cst.Decorator)
    if place is None:
        raise Unfit("register_keras_serializable is used as a function")
    site.context.edits.replace(place, [])
    for item in walk(place):
        site.context.claim(item)
    return site.keep()


@rewrites("keras.layers.Normalization.adapt", to="torch")
def adapt(site: Site) -> Any:
    """The emitted layer adapts itself in the same way."""
    return site.keep()
