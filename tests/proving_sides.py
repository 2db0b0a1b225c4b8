"""The two sides of a proof: scripts run in torch and in Keras, with gradients and state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from proving import Results, flatten, weigh
from tensorflow.python.ops import math_ops, resource_variable_ops

from transpiler.verify import tf_precision, tf_tree, torch_models
from transpiler.verify.precision import widen
from transpiler.weights.entries import find_entries
from transpiler.weights.pairing import pair_trees
from transpiler.weights.slot import Slot
from transpiler.weights.tree import Node

Arrays = dict[str, np.ndarray]


@contextmanager
def double_precision() -> Iterator[None]:
    """Both frameworks in float64, without the places where Keras falls back to float32."""
    patch = pytest.MonkeyPatch()
    for place, names in (
        (tf, ("cast", "convert_to_tensor", "constant")),
        (math_ops, ("cast",)),
        (tf.nn, ("leaky_relu",)),
        (tf.image, ("resize", "resize_with_pad")),
        (resource_variable_ops.ResourceVariable, ("__init__",)),
    ):
        for name in names:
            patch.setattr(place, name, getattr(place, name))
    for name in ("pool", "max_pool", "avg_pool"):
        patch.setattr(tf.nn, name, pool_in_any_precision(getattr(tf.nn, name)))
    for path in (*tf_precision.MAKERS, *tf_precision.READERS):
        place = {"random": tf.random, "math": tf.math}.get(path.partition(".")[0], tf)
        name = path.rpartition(".")[2]
        patch.setattr(place, name, getattr(place, name))
    for name in ("from_tensor_slices", "from_tensors"):
        patch.setattr(tf.data.Dataset, name, staticmethod(getattr(tf.data.Dataset, name)))
    before = keras.config.floatx(), torch.get_default_dtype()
    tf_precision.widen_defaults()
    torch.set_default_dtype(torch.float64)
    policy = keras.config.dtype_policy().name  # kept from the first layer on, whatever floatx is
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        patch.undo()
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(before[0])
        torch.set_default_dtype(before[1])


def pool_in_any_precision(function: Any) -> Any:
    """TensorFlow's kernels pool three axes in single precision only."""

    def pool(x: Any, *args: Any, **kwargs: Any) -> Any:
        if x.dtype != tf.float64 or len(x.shape) < 5:
            return function(x, *args, **kwargs)
        return tf.cast(function(tf.cast(x, tf.float32), *args, **kwargs), tf.float64)

    return pool


class TorchSide:
    """A torch script with its inputs."""

    def __init__(self, code: str, inputs: Arrays, training: bool) -> None:
        torch.manual_seed(0)
        self.arrays = inputs
        self.names: dict[str, Any] = dict(self.tensors())
        exec(compile(widen(code), "<torch>", "exec"), self.names)
        self.layers = {
            name: value
            for name, value in self.names.items()
            if name.startswith("layer") and isinstance(value, torch.nn.Module)
        }
        for number, layer in enumerate(self.layers.values()):
            layer.train(training)
            self.vary(layer, number)
            for key, counter in layer.named_buffers():
                if key.endswith("num_batches_tracked"):
                    counter.zero_()  # the script has called it

    def tensors(self) -> dict[str, torch.Tensor]:
        return {name: torch.tensor(array) for name, array in self.arrays.items()}

    def vary(self, layer: torch.nn.Module, number: int) -> None:
        """Numbers of its own in every parameter and statistic (ones and zeros prove little)."""
        rng = np.random.default_rng(100 + number)
        with torch.no_grad():
            for name, value in layer.state_dict(keep_vars=True).items():
                if value.dtype.is_floating_point:
                    values = rng.uniform(0.2, 0.9, tuple(value.shape))
                    if "var" not in name:
                        values *= rng.choice([-1, 1], tuple(value.shape))
                    value.copy_(torch.tensor(values))

    def tree(self, name: str) -> Node:
        return torch_models.build_tree(self.layers[name], {})

    def fill(self, name: str, values: Arrays) -> None:
        torch_models.fill(self.layers[name], values)

    def run(self) -> Results:
        """Outputs, gradients and what is left in the variables."""
        inputs = self.tensors()
        floats = [t.requires_grad_() for t in inputs.values() if t.dtype.is_floating_point]
        # A case may write in place, which a leaf of the graph does not allow.
        outputs = list(flatten(self.names["compute"](*[t.clone() for t in inputs.values()])))
        total = torch.zeros(())
        for number, output in enumerate(outputs):
            if isinstance(output, torch.Tensor) and output.requires_grad:
                total = total + (output * torch.tensor(weigh(output.shape, number))).sum()
        parameters = {
            f"{name}.{key}": parameter
            for name, layer in self.layers.items()
            for key, parameter in layer.named_parameters()
        }
        wanted = [*floats, *parameters.values()]
        gradients: Any = [torch.zeros_like(t) for t in wanted]
        if total.requires_grad and wanted:
            gradients = torch.autograd.grad(
                total, wanted, allow_unused=True, materialize_grads=True
            )
        arrays = [g.numpy() for g in gradients]
        return Results(
            [to_numpy(o) for o in outputs],
            arrays[: len(floats)],
            dict(zip(parameters, arrays[len(floats) :], strict=True)),
            {f"{n}.{k}": v for n in self.layers for k, v in self.tree(n).flat().items()},
        )


class Host(keras.layers.Layer):
    """Gives the mode to every layer that is called inside."""

    def __init__(self, compute: Any) -> None:
        super().__init__()
        self.compute = compute
        self.built = True

    def call(self, mark: Any, training: bool = False) -> Any:
        return self.compute()


class KerasSide:
    """A Keras script with its inputs."""

    def __init__(self, code: str, inputs: Arrays, training: bool) -> None:
        keras.utils.set_random_seed(0)
        self.arrays, self.training = inputs, training
        self.names: dict[str, Any] = dict(zip(inputs, self.tensors(), strict=True))
        exec(compile(widen(code), "<keras>", "exec"), self.names)
        self.layers = {
            name: value
            for name, value in self.names.items()
            if name.startswith("layer") and isinstance(value, keras.layers.Layer)
        }
        for layer in self.layers.values():
            for variable in layer.non_trainable_variables:
                if variable.name == "batches":
                    variable.assign(0)  # the script has called it

    def tensors(self) -> list[tf.Tensor]:
        return [tf.constant(array) for array in self.arrays.values()]

    def variables(self, name: str) -> dict[str, Any]:
        found = tf_tree.build_tree(self.layers[name], {}).variables
        floats = {k: v for k, v in found.items() if np.dtype(to_numpy(v).dtype).kind == "f"}
        # A single number that is not trained counts the batches seen; torch has one of its own.
        return {k: v for k, v in floats.items() if len(v.shape) or v.trainable}

    def tree(self, name: str) -> Node:
        return tf_tree.build_tree(self.layers[name], {}).tree

    def fill(self, name: str, values: Arrays) -> None:
        variables = self.variables(name)
        for key, value in values.items():
            variables[key].assign(value)

    def vary(self) -> None:
        """Numbers of its own in every variable."""
        for number, name in enumerate(self.layers):
            rng = np.random.default_rng(100 + number)
            for key, variable in self.variables(name).items():
                values = rng.uniform(0.2, 0.9, tuple(variable.shape))
                if "var" not in key:
                    values *= rng.choice([-1, 1], tuple(variable.shape))
                variable.assign(values)

    def run(self) -> Results:
        """Outputs, gradients and what is left in the variables."""
        inputs = self.tensors()
        floats = [t for t in inputs if t.dtype.is_floating]
        variables = {
            f"{name}.{key}": variable
            for name in self.layers
            for key, variable in self.variables(name).items()
        }
        trained = {k: v for k, v in variables.items() if getattr(v, "trainable", True)}
        with tf.GradientTape() as tape:
            tape.watch(floats)
            host = Host(lambda: self.names["compute"](*inputs))
            found = host(tf.zeros([1]), training=self.training)
            outputs = list(flatten(found))
            total = tf.zeros([], tf.float64)
            for number, output in enumerate(outputs):
                if isinstance(output, tf.Tensor) and output.dtype.is_floating:
                    weights = tf.constant(weigh(output.shape, number))
                    total += tf.reduce_sum(tf.cast(output, tf.float64) * weights)
        raw = [
            getattr(v, "value", v) if isinstance(v, keras.Variable) else v for v in trained.values()
        ]
        gradients = tape.gradient(
            total, [*floats, *raw], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        arrays = [tf.convert_to_tensor(g).numpy() for g in gradients]
        return Results(
            [to_numpy(o) for o in outputs],
            arrays[: len(floats)],
            dict(zip(trained, arrays[len(floats) :], strict=True)),
            {key: to_numpy(variable) for key, variable in variables.items()},
        )


def to_numpy(value: Any) -> np.ndarray:
    """A leaf of the results as an array."""
    if isinstance(value, torch.Tensor):
        return value.detach().resolve_conj().numpy().copy()
    if isinstance(value, tf.IndexedSlices | tf.Tensor | tf.Variable | keras.Variable):
        return np.array(tf.convert_to_tensor(value).numpy())
    array = np.asarray(value)
    return array if array.dtype.kind in "fib" else np.asarray(0)


Slots = dict[str, list[Slot]]


def find_slots(weights: Any, torch_side: TorchSide, keras_side: KerasSide) -> Slots:
    """How the parameters of the layers of both sides belong together."""
    found: Slots = {}
    for name in torch_side.layers:
        t = torch_side.tree(name)
        if not t.has_arrays():
            found[name] = []
            continue
        assert name in keras_side.layers, f"{name} is no layer any more, but has parameters"
        k = {key: to_numpy(v) for key, v in keras_side.variables(name).items()}
        slots = find_entries(weights, t.flat(), k) if weights is not None else None
        # Permuted views around it, or a class of the script's own with names of its own.
        among_others = any("." in key for key in (*t.flat(), *k)) or set(t.flat()) == set(k)
        assert weights is None or slots is not None or among_others, (
            f"weights {weights!r} do not fit {shapes(t.flat())} {shapes(k)}"
        )
        if slots is None:
            pairs = pair_trees(t, keras_side.tree(name))
            slots = [
                Slot(
                    tuple(pair.torch_name(n) for n in slot.torch),
                    tuple(pair.keras_name(n) for n in slot.keras),
                    slot.forward,
                    slot.backward,
                )
                for pair in pairs
                for slot in pair.slots
            ]
        left = set(t.flat()) - {n for slot in slots for n in slot.torch}
        assert not left, f"{left} not carried over"
        found[name] = slots
    return found


def shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def to_keras(values: Arrays, slots: Slots) -> Arrays:
    """Arrays by torch's full names under Keras's; incomplete slots are left out."""
    found: Arrays = {}
    for layer, entries in slots.items():
        own = {n.partition(".")[2]: v for n, v in values.items() if n.partition(".")[0] == layer}
        for slot in entries:
            if all(name in own for name in slot.torch):
                found |= {f"{layer}.{k}": v for k, v in slot.to_keras(own).items()}
    return found


def in_keras_names(results: Results, slots: Slots) -> Results:
    """What torch computed, spelled as on the other side."""
    return Results(
        results.outputs,
        results.inputs,
        to_keras(results.weights, slots),
        to_keras(results.state, slots),
    )


def run_forth(source: str, target: str, inputs: Arrays, case: Any) -> Any:
    """torch's and Keras's results of a torch script and its translation."""
    training = case.training
    torch_side = TorchSide(source, inputs, training)
    keras_side = KerasSide(target, inputs, training)
    slots = find_slots(case.rule.weights, torch_side, keras_side)
    for name in filter(slots.get, torch_side.layers):
        state = {f"{name}.{k}": v for k, v in torch_side.tree(name).flat().items()}
        filled = to_keras(state, {name: slots[name]})
        keras_side.fill(name, {k.partition(".")[2]: v for k, v in filled.items()})
    return in_keras_names(torch_side.run(), slots), keras_side.run()


def run_back(source: str, target: str, inputs: Arrays, case: Any) -> Any:
    """Keras's and torch's results of a Keras script and its translation."""
    training = case.training
    keras_side = KerasSide(source, inputs, training)
    keras_side.vary()
    torch_side = TorchSide(target, inputs, training)
    slots = find_slots(case.rule.weights, torch_side, keras_side)
    for name in filter(slots.get, torch_side.layers):
        values = {k: to_numpy(v) for k, v in keras_side.variables(name).items()}
        for slot in slots[name]:
            torch_side.fill(name, slot.to_torch(values))
    expected, found = keras_side.run(), in_keras_names(torch_side.run(), slots)
    # A layer that never reads its moving statistics has them all the same, torch's has none.
    unread = {name for name in expected.state if name not in expected.weights} - set(found.state)
    state = {name: value for name, value in expected.state.items() if name not in unread}
    return replace(expected, state=state), found
