"""tf.data in a twin run: recorded orders, one element after the other in one thread."""

from __future__ import annotations

import random
import weakref
from functools import wraps
from typing import Any

import numpy as np
import tensorflow as tf

from transpiler.verify.side import Run

WHOLE = 1 << 40


def watch_data(run: Run) -> None:
    """Patch Dataset's shuffle, and take the parallelism out of its other methods.

    What is repeated before it is shuffled is shuffled pass by pass, as a sampler does it.
    """
    kind = tf.data.Dataset
    plain, again = kind.shuffle, kind.repeat
    repeated: weakref.WeakKeyDictionary[Any, tuple[Any, Any]] = weakref.WeakKeyDictionary()

    @wraps(again)
    def repeat(self: Any, count: Any = None, name: Any = None) -> Any:
        result = again(self, count, name)
        repeated[result] = (self, count)
        return result

    @wraps(plain)
    def shuffle(
        self: Any, buffer_size: Any, seed: Any = None, reshuffle_each_iteration: Any = None,
        name: Any = None,
    ) -> Any:  # fmt: skip
        if self in repeated:
            source, count = repeated[self]
            return again(source.shuffle(buffer_size, seed, reshuffle_each_iteration), count)
        if self.cardinality() == tf.data.INFINITE_CARDINALITY:
            run.note("a shuffle of an endless dataset keeps its own order")
            return plain(self, buffer_size, seed, reshuffle_each_iteration, name)
        is_tuple = isinstance(self.element_spec, tuple)
        orders = _Orders(run, reshuffle_each_iteration is False, is_tuple)
        if _is_stackable(self.element_spec):
            result = self.batch(WHOLE).map(orders.permute).unbatch()
        else:
            result = _by_generator(self, orders)
        if self.cardinality() == tf.data.UNKNOWN_CARDINALITY:
            return result
        return result.apply(tf.data.experimental.assert_cardinality(self.cardinality()))

    kind.shuffle, kind.repeat = shuffle, repeat
    for name in ("map", "interleave"):
        setattr(kind, name, _in_order(getattr(kind, name)))
    kind.prefetch = lambda self, *args, **kwargs: self
    watch_sequences(run)


def watch_sequences(run: Run) -> None:
    """The order of the batches of a keras.utils.PyDataset comes from the tape as well.

    Keras looks at batches beforehand, to see their shapes and to build metrics: that draws nothing.
    """
    from keras.src.backend.tensorflow.trainer import TensorFlowTrainer
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    def finite(self: Any) -> Any:
        count = self.py_dataset.num_batches
        order: Any = range(count)
        if self.shuffle:
            order = _Orders(run, False).draw(count)
        for i in order:
            yield self._standardize_batch(self.py_dataset[int(i)])

    PyDatasetAdapter._finite_generator = finite
    for owner, name in (
        (PyDatasetAdapter, "get_tf_dataset"),
        (TensorFlowTrainer, "_maybe_symbolic_build"),
    ):
        setattr(owner, name, _without_draws(getattr(owner, name), run))


def _without_draws(function: Any, run: Run) -> Any:
    """A look at batches that leaves no trace: no draws, nor those of numpy's own stream."""

    @wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        data = getattr(self, "py_dataset", None)
        before = dict(vars(data)) if data is not None else {}
        plain, numpy = random.getstate(), np.random.get_state()
        try:
            with run.draws.paused():
                return function(self, *args, **kwargs)
        finally:
            random.setstate(plain)
            np.random.set_state(numpy)
            for name in ("index_array", "total_batches_seen"):
                if name in before:
                    setattr(data, name, before[name])

    return call


class _Orders:
    """The permutations of one shuffled dataset, a new one for each pass."""

    def __init__(self, run: Run, frozen: bool, is_tuple: bool = False) -> None:
        self.run = run
        self.frozen = frozen
        self.is_tuple = is_tuple
        self.last: Any = None

    def draw(self, count: Any) -> Any:
        """The order of the pass that begins."""
        if self.last is None or not self.frozen:
            own = np.random.mtrand.RandomState(len(self.run.draws.kept)).permutation(int(count))
            self.last = np.asarray(self.run.draws.through("permutation", own.astype(np.int64)))
        return self.last

    def permute(self, *elements: Any) -> Any:
        """All elements of a pass, stacked, in their order."""
        first = tf.nest.flatten(elements)[0]
        order = tf.numpy_function(self.draw, [tf.shape(first, tf.int64)[0]], tf.int64)
        order.set_shape([None])
        moved = tf.nest.map_structure(lambda x: tf.gather(x, order), elements)
        return moved if self.is_tuple else moved[0]


def _is_stackable(spec: Any) -> bool:
    """Whether all elements have one fully known shape."""
    parts = tf.nest.flatten(spec)
    return all(isinstance(p, tf.TensorSpec) and p.shape.is_fully_defined() for p in parts)


def _by_generator(dataset: Any, orders: _Orders) -> Any:
    """Ragged elements: kept in a list, given out in order."""

    def generate() -> Any:
        elements = list(dataset)
        for place in orders.draw(len(elements)):
            yield elements[place]

    return tf.data.Dataset.from_generator(generate, output_signature=dataset.element_spec)


def _in_order(function: Any) -> Any:
    @wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name in ("num_parallel_calls", "deterministic"):
            kwargs.pop(name, None)
        result = function(self, args[0] if args else kwargs.pop("map_func"), **kwargs)
        return result.with_options(one_thread())

    return call


def one_thread() -> Any:
    """No prefetching of its own: what is drawn for a batch is drawn when the script asks for it.

    A thread that runs ahead would draw while a model is built, when draws are not recorded.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    return options
