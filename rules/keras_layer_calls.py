"""Keras layers that stand alone, as attributes of a model or in a variable."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Sequence, Tensor, Value, as_dim, options
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules import keras_emitted_layers, keras_emitted_pooling, keras_layers_more
from transpiler.rules.keras_layers import LAYERS, layer_parts
from transpiler.site import Site
from transpiler.template import call, fill

WEIGHTS = {"KerasMultiHeadAttention": "projections", "Bidirectional": "directions"}
"""How the parameters of emitted classes map, where no rule names the class."""


MORE = keras_layers_more.__name__
"""Imported for the layers that it adds to the table."""
UNITS = (*keras_emitted_layers.UNITS, *keras_emitted_pooling.UNITS)


def instances_at(site: Site) -> list[Instance]:
    """The layers that a call makes, each in the surroundings that it is made in."""
    made = site.context.interpreter.instances.values()
    found = [i for i in made if i.origin is site.node and i.state.get("input") is not None]
    return found or [v for v in options(site.context.fact(site.node)) if isinstance(v, Instance)]


@rewrites(
    *(f"keras.layers.{n}" for n in LAYERS if n not in UNITS), *(f"to_tf.{n}" for n in UNITS),
    to="torch",
)  # fmt: skip
def layer(site: Site) -> Any:
    return stand_alone(site)


def stand_alone(site: Site) -> Any:
    """One module, which takes and gives the user's order of axes. Raises Unfit."""
    from transpiler.planners.keras_sequential import Chain, rank_in, rank_out

    if not site.is_call:
        raise Unfit(f"{site.short} is used without being called")
    found = instances_at(site)
    if not found:
        raise Unfit(f"what {site.short} is called on is not known")
    texts = set()
    for instance in found:
        chain = Chain(site.context)
        modules = chain.take(
            layer_parts(site, instance, peers=found), rank_in(instance), rank_out(instance)
        )
        modules += chain.finish(rank_out(instance))
        texts.add(" ".join(cst.Module([]).code_for_node(m) for m in modules))
    if len(texts) > 1:
        raise Unfit(
            f"the layers that {site.short} makes here differ in their sizes",
            "give the constructor the input's size as an argument",
        )
    return modules[0] if len(modules) == 1 else call("torch.nn.Sequential", *modules)


@rewrites("keras.layers.Embedding.__call__", to="torch")
def look_up(site: Site) -> Any:
    """Numbers to look up may be floats in Keras."""
    node = site.node
    assert isinstance(node, cst.Call)
    layers = [o for o in options(site.context.fact(node.func)) if isinstance(o, Instance)]
    if node.args and any(x.state.get("takes floats") for x in layers):
        first = node.args[0].value
        dtype = getattr(site.fact(first), "dtype", None)
        if not str(dtype).startswith(("int", "uint")):
            site.context.edits.wrap(first, lambda value: fill("x.long()", x=value))
    return site.keep()


CELLS = tuple(f"keras.layers.{n}" for n in ("LSTMCell", "GRUCell", "SimpleRNNCell"))


STARTING = tuple(f"{n}.get_initial_state" for n in (*CELLS, "keras.layers.RNN"))


@infers(*STARTING)
def initial_state(call: Invocation) -> Value:
    """Zeros, one array for each state."""
    batch = call.arg("batch_size", at=0)
    units = call.receiver.arguments.get("units") if isinstance(call.receiver, Instance) else None
    sizes = tuple(as_dim(v) if isinstance(v, Value) else None for v in (batch, units))
    kinds = call.receiver.class_names[:1] if isinstance(call.receiver, Instance) else ()
    count = 2 if "LSTM" in "".join(kinds) else 1
    return Sequence("list", (Tensor(sizes, "float32", "tf"),) * count)


@rewrites(*STARTING, to="torch")
def starting(site: Site) -> Any:
    """The emitted classes have it."""
    known = (*CELLS, *(f"keras.layers.{n}" for n in ("LSTM", "GRU", "SimpleRNN")))
    held = [v for v in options(site.receiver_fact) if isinstance(v, Instance)]
    if not held or any(v.class_names[:1] and v.class_names[0] not in known for v in held):
        raise Unfit(f"{site.short} of a layer that is not known before the program runs")
    batch = site.keywords.get("batch_size", site.positional[0] if site.positional else None)
    if batch is None or site.receiver is None:
        raise Unfit(f"{site.short} without a batch size")
    return fill("cell.get_initial_state(n)", cell=site.receiver, n=batch)
