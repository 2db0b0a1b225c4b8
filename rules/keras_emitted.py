"""What translations to TensorFlow wrote out, as the PyTorch that it was written for."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    items_of,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.rules.facts_data import collate, sample
from transpiler.rules.keras_initial_values import fills, named
from transpiler.rules.keras_optimizers import TORCH
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import call, fill, fill_statements, parse_expression
from transpiler.units import module_name

_F = "torch.nn.functional."
_DATA = "torch.utils.data."


# ---- functions -----------------------------------------------------------------------------------

_LOSSES = """nll_loss cross_entropy binary_cross_entropy binary_cross_entropy_with_logits mse_loss
    l1_loss smooth_l1_loss huber_loss kl_div cosine_embedding_loss triplet_margin_loss
    margin_ranking_loss hinge_embedding_loss multi_margin_loss multilabel_soft_margin_loss
    soft_margin_loss poisson_nll_loss gaussian_nll_loss ctc_loss""".split()
FUNCTIONS = {
    **{name: _F + name for name in _LOSSES},
    "soft_cross_entropy": f"{_F}cross_entropy",
    "gelu": f"{_F}gelu",
    "scaled_dot_product_attention": f"{_F}scaled_dot_product_attention",
    "pad_sequence": "torch.nn.utils.rnn.pad_sequence",
    "save_pickle": "torch.save",
    "random_split": f"{_DATA}random_split",
    "kl_of_normals": "torch.distributions.kl.kl_divergence",
    "kl_of_categoricals": "torch.distributions.kl.kl_divergence",
}
"""Units that take what the function of torch takes, in the same order."""


@rewrites(*(f"to_tf.{name}" for name in FUNCTIONS), to="torch")
def function(site: Site) -> Any:
    """The function itself, called or handed on; `axis` is where torch wants the classes."""
    name = site.name.partition(".")[2]
    target = parse_expression(FUNCTIONS[name]).deep_clone()
    asks = "axis" in _parameters(site.name)
    if not isinstance(site.node, cst.Call):
        if not asks or _rank_inside(site) == 2:
            return target
        text = "lambda scores, targets, **options: f(scores.movedim(-1, 1), targets, **options)"
        return fill(text, f=target)
    axis = site.const("axis", None) if "axis" in site.args else -1
    args = [a for a in site.node.args if a.keyword is None or a.keyword.value != "axis"]
    if asks and axis != 1 and site.rank(_first(site)) != 2:
        if axis is None or not args or args[0].keyword is not None:
            raise Unfit(f"the classes of {site.short} do not lie along the second axis")
        moved = fill("x.movedim(axis, 1)", x=args[0].value, axis=axis)
        args = [args[0].with_changes(value=moved), *args[1:]]
    return cst.Call(target, args)


def _parameters(name: str) -> list[str]:
    entry = signatures.lookup(name)
    return [p.name for p in entry.signatures[0].parameters] if entry is not None else []


def _rank_inside(site: Site) -> int | None:
    """The rank of what a unit is called with, wherever that is."""
    module = site.context.interpreter.modules.get(module_name(site.name) or "")
    unit = module.frame.values.get(site.name.partition(".")[2]) if module is not None else None
    if not isinstance(unit, Function):
        return None
    first = _parameters(site.name)[0]
    reads = [n for n in find(unit.node.body, cst.Name) if n.value == first]
    return site.rank(reads[0]) if reads else None


def _first(site: Site) -> Any:
    return site.args.get(_parameters(site.name)[0])


RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "variance": ("torch.var", {"axis": "dim", "keepdims": "keepdim"}),
    "standard_deviation": ("torch.std", {"axis": "dim", "keepdims": "keepdim"}),
    "vector_norm": ("torch.linalg.vector_norm", {"p": "ord", "axis": "dim", "keepdims": "keepdim"}),
    "normalize": (f"{_F}normalize", {"axis": "dim"}),
    "cosine_similarity": (f"{_F}cosine_similarity", {"axis": "dim"}),
    "pairwise_distance": (f"{_F}pairwise_distance", {}),
    "cdist": ("torch.cdist", {}),
    "split_by_size": ("torch.split", {"axis": "dim"}),
    "chunk": ("torch.chunk", {"axis": "dim"}),
    "multinomial": ("torch.multinomial", {}),
    "gumbel_softmax": (f"{_F}gumbel_softmax", {"axis": "dim"}),
    "topk_along": ("torch.topk", {}),
    "sort_along": ("torch.sort", {}),
    "max_along": ("torch.max", {}),
    "min_along": ("torch.min", {}),
    "kthvalue": ("torch.kthvalue", {}),
    "median": ("torch.median", {}),
    "quantile": ("torch.quantile", {}),
    "gather_along": ("torch.gather", {}),
    "scatter_along": ("torch.scatter", {}),
    "scatter_add_along": ("torch.scatter_add", {}),
    "index_add": ("torch.index_add", {}),
    "index_copy": ("torch.index_copy", {}),
    "masked_scatter": ("torch.masked_scatter", {}),
    "square_subsequent_mask": ("torch.nn.Transformer.generate_square_subsequent_mask", {}),
    "bernoulli": ("torch.bernoulli", {}),
    "load_pickle": ("torch.load", {}),
}
"""Units and what they stand for, with the parameters that have another name there."""


@rewrites(*(f"to_tf.{name}" for name in RENAMED), to="torch")
def renamed(site: Site) -> Any:
    """What the unit needs stands first in both; the rest goes by name."""
    target, names = RENAMED[site.name.partition(".")[2]]
    if not site.is_call:
        raise Unfit(f"{site.short} is handed on without being called")
    entry = signatures.lookup(site.name)
    needed = [p.name for p in entry.signatures[0].parameters if p.required] if entry else []
    options = {names.get(n, n): v for n, v in site.args.items() if n not in needed}
    return call(target, *(site.arg(n) for n in needed), **options)


@rewrites("to_tf.assign_at", to="torch")
def assign_at(site: Site) -> Any:
    """`x = assign_at(x, np.s_[i], value)` is how `x[i] = value` was written."""
    index, place = site.arg("index"), site.assigned_to
    if place is None or code(place) != code(site.arg("x")):
        raise Unfit("elements of a tensor are set inside of an expression", "copy it first")
    if isinstance(index, cst.Subscript) and code(index.value) == "np.s_":
        target: Any = index.with_changes(value=place)
    else:
        target = fill("x[i]", x=place, i=index)
    return fill_statements("target = value", target=target, value=site.arg("value"))


# ---- data ----------------------------------------------------------------------------------------

_SETS = ("DataLoader", "TensorDataset", "Subset", "ConcatDataset", "SubsetRandomSampler",
         "WeightedRandomSampler", "BatchSampler")  # fmt: skip


@rewrites(*(f"to_tf.{name}" for name in _SETS), "to_tf.collate", to="torch")
def data_class(site: Site) -> Any:
    """Datasets, samplers and loaders take what torch's take."""
    name = site.name.partition(".")[2]
    target = parse_expression(_DATA + ("default_collate" if name == "collate" else name))
    if isinstance(site.node, cst.Call):
        return cst.Call(target.deep_clone(), site.node.args)
    return target.deep_clone()


@infers("to_tf.DataLoader")
def loader(call_: Invocation) -> Value:
    return call_.interpreter.knowledge.construct(call_)


@infers("to_tf.DataLoader.__iter__")
def batches(call_: Invocation) -> Value:
    """Batches of examples, stacked field by field if nothing else is told."""
    made = call_.receiver
    if not isinstance(made, Instance):
        return UNKNOWN
    one = sample(call_, made.arguments.get("dataset", UNKNOWN))
    function = made.arguments.get("collate_fn")
    if not isinstance(function, Value) or function == Symbol("to_tf.collate"):
        batch = stacked(one)
    else:
        batch = call_.call(function, ListObject(None, one))
    return Sequence("generator", None, batch)


@infers_property("to_tf.DataLoader.dataset")
def loaded(value: Value) -> Value:
    found = value.arguments.get("dataset") if isinstance(value, Instance) else None
    return found if isinstance(found, Value) else UNKNOWN


@rewrites("to_tf.DataLoader.dataset", to="torch")
def dataset_of(site: Site) -> Any:
    return site.keep()


def stacked(value: Value) -> Value:
    """Several examples of one form as one."""
    match value:
        case Sequence() | ListObject() if (known := items_of(value)) is not None:
            return Sequence("tuple", tuple(map(stacked, known)))
        case Mapping():
            return Mapping({k: stacked(v) for k, v in value.items.items()})
        case Tensor() | Const() | Number():
            found = collate(value)
            return found.but(library="tf") if isinstance(found, Tensor) else UNKNOWN
    return UNKNOWN


# ---- initial values, layers as they are made -----------------------------------------------------


@infers("to_tf.torch_uniform")
def initial_values(call_: Invocation) -> Value:
    """Known by its name: layers of torch start this way by themselves."""
    return call_.interpreter.allocate(Symbol(call_.name), call_.node, call_.bound)


@rewrites("to_tf.torch_uniform", to="torch")
def torch_uniform(site: Site) -> Any:
    raise Unfit("torch's initial values stand outside of a layer", "use torch.nn.init")


@rewrites("to_tf.set_initializer", to="torch")
def set_initializer(site: Site) -> Any:
    """`nn.init.normal_(layer.weight, std=0.02)` and the like."""
    role = site.const("role")
    if role not in ("weight", "bias"):
        raise Unfit("which parameters are initialized here is not known")
    name, given = named(site.fact("initializer"))
    return fills(name, given, site.arg("layer"), role)


@infers("to_tf.named_variables")
def variables_by_name(call_: Invocation) -> Value:
    pair = Sequence("tuple", (Number("str"), Tensor(library="tf", variable=True)))
    return Sequence("generator", None, pair)


@rewrites("to_tf.named_variables", to="torch")
def named_variables(site: Site) -> Any:
    return fill("model.named_parameters()", model=site.arg("part"))


@infers("to_tf.parameters")
def all_parameters(_: Invocation) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@rewrites("to_tf.parameters", to="torch")
def parameters(site: Site) -> Any:
    return fill("list(model.parameters())", model=site.arg("model"))


@infers("to_tf.buffers")
def all_buffers(_: Invocation) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@rewrites("to_tf.buffers", to="torch")
def buffers(site: Site) -> Any:
    return fill("list(model.buffers())", model=site.arg("model"))


@rewrites("to_tf.named_modules", to="torch")
def named_modules(site: Site) -> Any:
    return fill("model.named_modules()", model=site.arg("part"))


@infers("to_tf.built")
def built_layer(call_: Invocation) -> Value:
    found = call_.arg("layer", at=0)
    assert found is not None
    return found


@rewrites("to_tf.built", to="torch")
def built(site: Site) -> Any:
    """torch's layers have their parameters as soon as they are made."""
    return site.positional[0]


# ---- optimizers and schedules --------------------------------------------------------------------


@rewrites(*TORCH, to="torch")
def optimizer(site: Site) -> Any:
    """Where an update was found, it is made there, from the parameters that it updates."""
    raise Unfit("which variables this optimizer updates is not known here")


@rewrites("keras.Optimizer.variables", to="torch")
def optimizer_state(site: Site) -> Any:
    """`[v.numpy() for v in optimizer.variables]` is how a state_dict was written."""
    edits, node = site.context.edits, site.node
    loop = edits.parent.get(node)
    whole = edits.parent.get(loop) if isinstance(loop, cst.CompFor) else None
    if not isinstance(node, cst.Attribute) or not isinstance(whole, cst.ListComp):
        raise Unfit("the variables of an optimizer are its state_dict() in PyTorch")
    assert isinstance(loop, cst.CompFor)
    if loop.ifs or code(whole.elt).strip() != f"{code(loop.target).strip()}.numpy()":
        raise Unfit("the variables of an optimizer are its state_dict() in PyTorch")
    for inner in (whole.elt, loop):
        site.context.claim(inner)
    edits.replace(whole, fill("optimizer.state_dict()", optimizer=node.value))
    return site.keep()


@rewrites("to_tf.load_optimizer", to="torch")
def load_optimizer(site: Site) -> Any:
    return fill("optimizer.load_state_dict(state)", optimizer=site.arg("optimizer"),
                state=site.arg("state"))  # fmt: skip


@rewrites("to_tf.ChainedSchedule", to="torch")
def chained_schedule(site: Site) -> Any:
    """It goes on from a rate that others change."""
    raise Unfit("a schedule that goes on from the rate it finds", "use MultiplicativeLR")


@rewrites("to_tf.EpochSchedule", to="torch")
def epoch_schedule(site: Site) -> Any:
    """A function of the epoch that the first learning rate is multiplied by."""
    if "minimum" in site.args:
        raise Unfit("a schedule above a smallest learning rate", "use CosineAnnealingLR")
    return call("torch.optim.lr_scheduler.LambdaLR", site.arg("optimizer"), site.arg("factor"),
                **{n: v for n, v in site.args.items() if n == "last_epoch"})  # fmt: skip


@rewrites(
    *(f"to_tf.{n}" for n in ("CyclicLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR",
                             "ChainedScheduler")), to="torch",
)  # fmt: skip
def schedule(site: Site) -> Any:
    target = parse_expression(f"torch.optim.lr_scheduler.{site.name.partition('.')[2]}")
    assert isinstance(site.node, cst.Call)
    return cst.Call(target.deep_clone(), site.node.args)


@rewrites("to_tf.learning_rate_of", to="torch")
def learning_rate(site: Site) -> Any:
    return fill('optimizer.param_groups[0]["lr"]', optimizer=site.arg("optimizer"))
