"""A Keras model as plain data, with the variables behind each name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from transpiler.weights.tree import NEVER, Node, set_paths

STOPS = {"Layer", "TFLayer", "KerasAutoTrackable", "Operation", "KerasSaveable", "AutoTrackable",
         "Trackable", "object", "Trainer", "Model"}  # fmt: skip
INTERNAL = {"_layers", "_metrics", "_tracker", "_functional", "_operations", "_loss_tracker",
            "_compile_metrics", "_compile_loss", "_trainable_variables", "_seed_generators",
            "_non_trainable_variables", "_losses", "optimizer", "_optimizer", "_nodes",
            "_inbound_nodes", "_outbound_nodes", "_operations_by_depth"}  # fmt: skip


@dataclass
class Built:
    """A tree and its variables by full name."""

    tree: Node
    variables: dict[str, Any]


def build_tree(layer: Any, ranks: dict[int, int]) -> Built:
    """A layer and all below it as plain data."""
    builder = _Builder(ranks)
    tree = builder.node("", "", layer)
    return Built(set_paths(tree), builder.variables)


class _Builder:
    def __init__(self, ranks: dict[int, int]) -> None:
        self.ranks = ranks
        self.seen: set[int] = set()
        self.variables: dict[str, Any] = {}

    def node(self, name: str, path: str, layer: Any) -> Node:
        """One layer."""
        self.seen.add(id(layer))
        kinds = tuple(kind_of(k) for k in type(layer).__mro__ if k.__name__ not in STOPS)
        node = Node(name, kinds or ("Model",), rank=self.ranks.get(id(layer), NEVER))
        optional = set()
        for key, variable in own_variables(layer).items():
            if id(variable) in self.seen:
                continue
            self.seen.add(id(variable))
            node.arrays[key] = variable.numpy()
            self.variables[f"{path}.{key}" if path else key] = variable
            if not variable.trainable or not isinstance(variable, keras.Variable):
                optional.add(key)  # Keras does not train variables that it did not make
        node.optional = frozenset(optional)
        node.children = [
            child
            for key, part in parts(layer)
            if (child := self.part(key, f"{path}.{key}" if path else key, part)) is not None
        ]
        return node

    def part(self, name: str, path: str, part: Any) -> Node | None:
        """A sub-layer, or a list or dict of some."""
        if isinstance(part, keras.layers.Layer):
            return None if id(part) in self.seen else self.node(name, path, part)
        items = part.items() if isinstance(part, dict) else enumerate(part)
        children = [self.part(str(k), f"{path}.{k}", p) for k, p in items if holds_layers(p)]
        return Node(name, ("list",), children=[c for c in children if c is not None])


def kind_of(cls: Any) -> str:
    """A class's name; one that a script gives to a class of its own is no stock layer's."""
    own = hasattr(keras.layers, cls.__name__) and not cls.__module__.startswith("keras.")
    return f"{cls.__module__}.{cls.__name__}" if own else str(cls.__name__)


def attributes(layer: Any) -> list[tuple[str, Any]]:
    """What a layer's class has put on it, without the frameworks' own bookkeeping."""
    return [
        (key, value)
        for key, value in vars(layer).items()
        if key not in INTERNAL and not key.startswith("_self_")
    ]


def parts(layer: Any) -> list[tuple[str, Any]]:
    """Sub-layers by attribute name, in order; by number for Sequential and functional models."""
    if isinstance(layer, keras.Sequential):
        return [(str(i), part) for i, part in enumerate(layer._layers)]
    if type(layer).__name__ in ("Functional", "Model") or hasattr(layer, "_operations_by_depth"):
        return [(given_name(part) or str(i), part) for i, part in enumerate(layer.layers)]
    named = [(k, v) for k, v in attributes(layer) if holds_layers(v)]
    held = {id(part) for _, value in named for part in flat_layers(value)}
    rest = [part for part in layer._layers if id(part) not in held]
    return named + [(f"layers_{i}", part) for i, part in enumerate(rest)]


def given_name(layer: Any) -> str:
    """The name that the program gave a layer; Keras numbers the others by their class."""
    kind = _snake(type(layer).__name__)
    text = str(layer.name)
    numbered = re.fullmatch(rf"{re.escape(kind)}(_\d+)?", text)
    return text if text.isidentifier() and not numbered else ""


def _snake(name: str) -> str:
    text = re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def holds_layers(value: Any) -> bool:
    """Whether a value is a layer or a list or dict with layers in it."""
    if isinstance(value, keras.layers.Layer):
        return not isinstance(value, keras.metrics.Metric)
    if isinstance(value, dict):
        return any(holds_layers(v) for v in value.values())
    return isinstance(value, list | tuple) and any(holds_layers(v) for v in value)


def flat_layers(value: Any) -> list[Any]:
    """All layers in nested lists and dicts."""
    if isinstance(value, keras.layers.Layer):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [layer for item in value for layer in flat_layers(item)] if isinstance(
        value, list | tuple
    ) else []  # fmt: skip


def own_variables(layer: Any) -> dict[str, Any]:
    """A layer's variables by attribute name, else by their own name."""
    tracked = [*layer._trainable_variables, *layer._non_trainable_variables]
    names = attribute_names(layer)
    found: dict[str, Any] = {}
    for variable in tracked:
        name = names.get(id(variable), variable.name)
        while name in found:
            name += "_"
        found[name] = variable
    for key, value in attributes(layer):
        items = value if isinstance(value, list | tuple) else [value]
        for i, item in enumerate(items):
            if isinstance(item, tf.Variable) and item.dtype.is_floating:
                found[key if item is value else f"{key}.{i}"] = item
    return found


def attribute_names(layer: Any) -> dict[int, str]:
    """The attribute under which each variable is kept, without leading underscores."""
    names: dict[int, str] = {}
    for key, value in attributes(layer):
        if isinstance(value, keras.Variable):
            names.setdefault(id(value), key.lstrip("_"))
        elif isinstance(value, list | tuple | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for i, item in items:
                if isinstance(item, keras.Variable):
                    names.setdefault(id(item), f"{key}.{i}")
    return names
