"""Keras models in a twin run: captured or filled just before their first use, their calls noted."""

from __future__ import annotations

import inspect
import random
import threading
import weakref
from collections.abc import Iterator
from functools import wraps
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src import backend
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from transpiler.verify.finals import Finals
from transpiler.verify.side import Run
from transpiler.verify.tape import Capture
from transpiler.verify.tf_host import notify
from transpiler.verify.tf_tree import Built, build_tree
from transpiler.weights.pairing import PairingError, to_keras
from transpiler.weights.tree import Array, Node


class Models:
    """All live layers of a run, and which models have been met."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.live: list[weakref.ref[Any]] = []
        self.loose: list[weakref.ref[Any]] = []
        self.filled_loose = False
        self.owned = 0
        self.state = threading.local()
        self.ranks: dict[int, int] = {}
        self.met: list[_Met] = []
        self.known: dict[int, tuple[weakref.ref[Any], _Met]] = {}
        self.names: dict[int, str] = {}
        self.call: Any = None

    @property
    def depth(self) -> int:
        """How many layer calls this thread is inside of."""
        return getattr(self.state, "depth", 0)

    @depth.setter
    def depth(self, value: int) -> None:
        self.state.depth = value

    def layers(self) -> Iterator[Any]:
        """The live layers in order of creation."""
        self.live = [ref for ref in self.live if ref() is not None]
        return (layer for ref in self.live if (layer := ref()) is not None)

    def chain(self, layer: Any) -> list[Any]:
        """The layer and what holds it, outermost first."""
        parents: dict[int, Any] = {}
        for parent in self.layers():
            for child in getattr(parent, "_layers", []):
                parents.setdefault(id(child), parent)
        found = [layer]
        while id(found[0]) in parents and all(parents[id(found[0])] is not f for f in found):
            found.insert(0, parents[id(found[0])])
        return found

    def before(self, layer: Any, args: Any, kwargs: Any) -> None:
        """Just before an outermost call: weights are recorded or put in, where it is time."""
        known = self.known.get(id(layer))
        if known is None or known[0]() is not layer:
            with tf.init_scope():
                met = self.meet(layer, args, kwargs)
            if met is not None:
                self.known[id(layer)] = (weakref.ref(layer), met)
        elif self.run.recorder.is_fresh:
            with tf.init_scope():
                if known[1].changed():
                    self.fill_or_capture(known[1])

    def meet(self, layer: Any, args: Any, kwargs: Any) -> _Met | None:
        """A model's first use, of the whole or of a part."""
        self.build(layer, args, kwargs)
        chain = self.chain(layer)
        for met in self.met:
            if any(met.root is part for part in chain) and met.covers(layer):
                return met
        known = set().union(*(met.keys for met in self.met))
        if all(variable_key(v) in known for v in layer.trainable_variables):
            for met in self.met:  # its parts were met one by one
                if any(met.root is part for part in [*chain, *layer._flatten_layers()]):
                    return met
        failure: PairingError | None = None
        for root in [part for part in chain if all(met.root is not part for met in self.met)]:
            met = _Met(root, len(self.met))
            try:
                self.fill_or_capture(met)
            except PairingError as error:
                failure = failure or error
                continue
            self.met.append(met)
            return met
        self.run.failure = str(failure)
        raise failure or AssertionError("a layer is its own root")

    def fill_or_capture(self, met: _Met) -> None:
        """Record the model's weights, or put the recorded ones in."""
        built = build_tree(met.root, self.ranks)
        if not built.tree.has_arrays():
            return
        models = self.run.captures.models
        if self.run.record:
            if met.index is None:
                met.index = len(models)
                models.append(Capture(built.tree, "keras"))
            else:
                models[met.index] = Capture(built.tree, "keras")
        number = met.number if met.index is None else met.index
        for name, variable in built.variables.items():
            self.names[variable_key(variable)] = f"{number}:{name}"
        if not self.run.record:
            if met.pairs is None:
                met.pairs = self.run.partner(built.tree, met.number)
            fill(built, to_keras(met.pairs))
        met.mark(built)

    def build(self, layer: Any, args: Any, kwargs: Any) -> None:
        """Create all variables before the first call: symbolically, else by a dry run."""
        self.depth += 1
        python, numpy = random.getstate(), np.random.get_state()
        kept = [(part, _own_state(part)) for part in layer._flatten_layers()]
        try:
            with self.run.draws.paused():
                self.build_quietly(layer, args, kwargs)
        finally:
            self.depth -= 1
            for part, state in kept:
                _restore(part, state)
            random.setstate(python)  # torch has no such call: its draws are the first
            np.random.set_state(numpy)

    def build_quietly(self, layer: Any, args: Any, kwargs: Any) -> None:
        """Call the layer on placeholders, then on zeros where that does not work."""
        marks = len(self.run.recorder.modes)
        try:
            specs, named = tf.nest.map_structure(_spec, (args, dict(kwargs)))
            backend.compute_output_spec(lambda *a, **k: self.call(layer, *a, **k), *specs, **named)
        except Exception:  # whatever a script's call() does not do on placeholders
            if any(not part.built for part in layer._flatten_layers()):
                self.dry_run(layer, args, kwargs)
        del self.run.recorder.modes[marks:]

    def dry_run(self, layer: Any, args: Any, kwargs: Any) -> None:
        """Call the layer for once, in inference, and undo what that did to its variables."""
        kept = [(v, v.numpy()) for v in layer.variables]
        zeros, named = tf.nest.map_structure(_zeros, (args, dict(kwargs)))
        if "training" in inspect.signature(layer.call).parameters:
            named["training"] = False
        self.call(layer, *zeros, **named)
        for variable, value in kept:
            variable.assign(value)

    def name_of(self, variable: Any) -> str:
        """A variable's full name, for its gradient."""
        return self.names.get(variable_key(variable), f"loose {getattr(variable, 'name', '')}")

    def fill_loose(self) -> None:
        """At the first tape: variables outside every model are recorded or put in."""
        if self.filled_loose:
            return
        self.filled_loose = True
        found = [v for ref in self.loose if (v := ref()) is not None]
        with tf.init_scope():
            self.exchange_loose([v for v in found if v.trainable and v.dtype.is_floating])

    def exchange_loose(self, variables: list[Any]) -> None:
        """Record loose variables, or give them the recorded values by shape and in order."""
        if self.run.record:
            if variables:
                arrays = {str(i): v.numpy() for i, v in enumerate(variables)}
                tree = Node("", ("variables",), arrays)
                self.run.captures.models.append(Capture(tree, "keras", loose=True))
            return
        models = self.run.captures.models
        values = [v for c in models if c.loose for v in c.tree.arrays.values()]
        for variable in variables:
            for place, value in enumerate(values):
                if value.shape == tuple(variable.shape):
                    variable.assign(values.pop(place))
                    break

    def finals(self) -> Finals:
        """All variables as they are now."""
        values = {
            met.number if met.index is None else met.index: {
                name: np.asarray(variable.numpy())
                for name, variable in build_tree(met.root, {}).variables.items()
            }
            for met in self.met
        }
        loose = [v for ref in self.loose if (v := ref()) is not None]
        kept = [v for v in loose if v.trainable and v.dtype.is_floating]
        return Finals(values, [np.asarray(v.numpy()) for v in kept])

    def seal(self) -> None:
        """Nothing is left to do at the end: ranks are known when a model is met."""


class _Met:
    """A model that has been used: its number, its recorded place, its values when last seen."""

    def __init__(self, root: Any, number: int) -> None:
        self.root = root
        self.number = number
        self.index: int | None = None
        self.pairs: Any = None
        self.variables: list[Any] = []
        self.values: list[Array] = []
        self.keys: set[int] = set()

    def covers(self, layer: Any) -> bool:
        """Whether a part's variables were there; parts called on their own are built later."""
        return all(variable_key(v) in self.keys for v in layer.trainable_variables)

    def mark(self, built: Built) -> None:
        """Remember the trainable variables as they are now."""
        self.keys = {variable_key(v) for v in built.variables.values()}
        self.variables = [v for v in built.variables.values() if v.trainable]
        self.values = [np.asarray(v.numpy()) for v in self.variables]

    def changed(self) -> bool:
        """Whether a trainable variable was written since."""
        return any(
            not np.array_equal(v.numpy(), old)
            for v, old in zip(self.variables, self.values, strict=True)
        )


def variable_key(variable: Any) -> int:
    """One number for a variable, whether Keras's or TensorFlow's own."""
    inner = variable.value if isinstance(variable, keras.Variable) else variable
    return id(inner)


def fill(built: Built, values: dict[str, Array]) -> None:
    """Put arrays into a model's variables."""
    for name, value in values.items():
        built.variables[name].assign(value)


def _own_state(layer: Any) -> dict[str, Any]:
    """What a script keeps in a layer's attributes for later calls: a dry run must not change it.

    Keras's own layers settle things when they are built, such as the groups of an instance norm.
    """
    if type(layer).__module__.startswith("keras."):
        return {}
    return {
        name: list(value) if isinstance(value, list) else value
        for name, value in vars(layer).items()
        if not name.startswith("_") and name != "built" and _is_state(value)
    }


def _is_state(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_state, value))
    if isinstance(value, (keras.Variable, tf.Variable)):
        return False
    return value is None or isinstance(value, (int, float, str)) or tf.is_tensor(value)


def _restore(layer: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        now = getattr(layer, name, value)
        if isinstance(value, list) and isinstance(now, list):
            if len(now) != len(value):
                now[:] = value
        elif now is not value and _is_state(now):
            setattr(layer, name, value)


def _spec(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = tf.convert_to_tensor(value)
    if tf.is_tensor(value):
        return keras.KerasTensor(tuple(value.shape), dtype=value.dtype.name)
    return value


def _zeros(value: Any) -> Any:
    if tf.is_tensor(value) and not isinstance(value, tf.__internal__.EagerTensor):
        return tf.zeros([2 if d is None else d for d in value.shape], value.dtype)
    return value


def watch_models(run: Run) -> None:
    """Patch Layer so that models are met before their first use and calls are recorded."""
    models = Models(run)
    run.models = models
    kind = keras.layers.Layer
    start, call = kind.__init__, kind.__call__
    models.call = call

    @wraps(start)
    def patched_init(self: Any, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        models.live.append(weakref.ref(self))

    @wraps(call)
    def patched_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        models.ranks.setdefault(id(self), len(models.ranks))
        if models.depth or run.draws.pauses or is_symbolic(args, kwargs):
            return call(self, *args, **kwargs)
        return observe(models, self, call, args, kwargs)

    # Keras reads the signatures of constructors to make configurations.
    patched_init.__signature__ = inspect.signature(start)  # type: ignore[attr-defined]
    kind.__init__ = patched_init
    kind.__call__ = patched_call
    watch_classes(run)
    watch_variables(models)


def observe(models: Models, layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
    """An outermost call: weights first, then the call itself, then its mode and outputs."""
    recorder = models.run.recorder
    if tf.executing_eagerly():
        models.run.going_on()
    models.before(layer, args, kwargs)
    models.depth += 1
    recorder.begin_call()
    try:
        result = call(layer, *args, **kwargs)
    finally:
        models.depth -= 1
        mode = recorder.end_call()
    if any(not is_seed(v) for v in layer.variables):
        record_call(models.run, mode, result)
    return result


def is_seed(variable: Any) -> bool:
    """Whether a variable is a random generator's state."""
    return "seed_generator" in variable.path


def record_call(run: Run, mode: str, result: Any) -> None:
    """Note a call's mode and sums over its floating outputs, whatever their layout."""
    outputs = [tf.stop_gradient(t) for t in tf.nest.flatten(result) if tf.is_tensor(t)]
    outputs = [tf.cast(t, tf.float64) for t in outputs if t.dtype.is_floating]
    if not outputs:
        return
    taped = tape_is_on()
    views = [outputs] if taped else [outputs, *zip(*map(as_probabilities, outputs), strict=True)]
    squares = tf.stack([tf.add_n([tf.reduce_sum(t * t) for t in view]) for view in views])
    sizes = tf.add_n([tf.size(t, tf.int64) for t in outputs])

    def note(values: Any, size: Any) -> None:
        facts = {"squares": [float(v) for v in values], "size": int(size)}
        run.recorder.add("call", mode=mode, gradient=taped, **facts)

    notify(note, [squares, sizes])


def as_probabilities(x: Any) -> list[Any]:
    """What x would be behind a sigmoid or a softmax."""
    if x.shape.rank in (0, None):
        return [tf.sigmoid(x)] * 5
    axis = 1 if x.shape.rank > 1 else 0
    soft, log = tf.nn.softmax, tf.nn.log_softmax
    return [tf.sigmoid(x), soft(x), soft(x, axis), log(x), log(x, axis)]


def tape_is_on() -> bool:
    """Whether a GradientTape is recording here."""
    from tensorflow.python.eager import record

    return bool(record.could_possibly_record())


def is_symbolic(args: Any, kwargs: Any) -> bool:
    """Whether a call only shapes a functional model, or computes shapes."""
    if in_symbolic_scope() or in_stateless_scope():
        return True
    flat = tf.nest.flatten([args, kwargs])
    return any(isinstance(value, keras.KerasTensor) for value in flat)


def watch_classes(run: Run) -> None:
    """What a script's own layers draw in their constructors stays off the tape."""
    kind = keras.layers.Layer

    def patched(cls: Any, /, **kwargs: Any) -> None:
        super(kind, cls).__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            original = vars(cls)["__init__"]

            @wraps(original)
            def paused(self: Any, *args: Any, **kw: Any) -> None:
                with run.draws.paused():
                    original(self, *args, **kw)

            paused.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
            cls.__init__ = paused

    kind.__init_subclass__ = classmethod(patched)


def watch_variables(models: Models) -> None:
    """Keep track of tf.Variables that no Keras object makes."""
    from keras.src.backend.tensorflow.core import Variable
    from tensorflow.python.ops import resource_variable_ops

    kind = resource_variable_ops.ResourceVariable
    start, initialize = kind.__init__, Variable._initialize

    @wraps(start)
    def patched_init(self: Any, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        if not models.owned:
            models.loose.append(weakref.ref(self))

    @wraps(initialize)
    def patched_initialize(self: Any, value: Any) -> None:
        models.owned += 1
        try:
            initialize(self, value)
        finally:
            models.owned -= 1

    kind.__init__ = patched_init
    Variable._initialize = patched_initialize
