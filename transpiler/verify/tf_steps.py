"""Keras's training steps in a twin run: losses, gradients, learning rates, eager or in graphs."""

from __future__ import annotations

import inspect
import math
from functools import wraps
from typing import Any

import keras
import tensorflow as tf

from transpiler.verify.side import Run
from transpiler.verify.tf_host import notify


def watch_steps(run: Run) -> None:
    """Patch GradientTape and Keras's optimizers."""
    gradient = tf.GradientTape.gradient
    enter = tf.GradientTape.__enter__

    @wraps(gradient)
    def patched_gradient(
        self: Any,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        result = gradient(self, target, sources, output_gradients, *args, **kwargs)
        if tf.executing_eagerly():
            run.going_on()
        if run.by_hand:
            note_by_hand(run, tf.nest.flatten(sources))
        note_loss(run, target, output_gradients, tf.nest.flatten(result))
        return result

    @wraps(enter)
    def patched_enter(self: Any) -> Any:
        run.models.fill_loose()
        return enter(self)

    tf.GradientTape.gradient = patched_gradient
    tf.GradientTape.__enter__ = patched_enter
    watch_optimizers(run)


def note_by_hand(run: Run, sources: list[Any]) -> None:
    """Without an optimizer, variables that changed since the last loss tell of a step."""
    variables = [v for v in sources if isinstance(v, tf.Variable | keras.Variable)]
    sums = [tf.reduce_sum(tf.cast(tf.convert_to_tensor(v), tf.float64)) for v in variables]
    keys = [id(v) for v in variables]
    if not variables:
        return

    def note(values: Any) -> None:
        run.note_sums(dict(zip(keys, map(float, values), strict=True)))

    notify(note, [tf.stack(sums)])


def note_loss(run: Run, target: Any, weights: Any, gradients: list[Any]) -> None:
    """Record what was differentiated and the norm of its gradients."""
    targets = [tf.cast(t, tf.float64) for t in tf.nest.flatten(target)]
    if weights is not None:
        given = [tf.cast(w, tf.float64) for w in tf.nest.flatten(weights)]
        targets = [t * w for t, w in zip(targets, given, strict=True)]
    loss = tf.add_n([tf.reduce_sum(tf.stop_gradient(t)) for t in targets])
    raw = tf.norm(tf.stack([norm(g) for g in gradients if g is not None] or [loss * 0]))

    def note(value: Any, size: Any) -> None:
        run.recorder.loss(float(value))
        run.recorder.add("raw", value=float(size))

    notify(note, [loss, raw])
    if tf.executing_eagerly():
        run.recorder.check_stop()


def norm(gradient: Any) -> Any:
    """The Euclidean norm in double precision; repeated rows are added up first."""
    dense = tf.stop_gradient(tf.cast(tf.convert_to_tensor(gradient), tf.float64))
    return tf.sqrt(tf.reduce_sum(dense * dense))


def watch_optimizers(run: Run) -> None:
    """Record what an optimizer is about to apply, after Keras's own clipping."""
    from keras.src.backend.tensorflow.optimizer import TFOptimizer

    update, start = TFOptimizer._backend_update_step, TFOptimizer.__init__

    @wraps(start)
    def patched_init(self: Any, *args: Any, **kwargs: Any) -> None:
        run.by_hand = False
        start(self, *args, **kwargs)

    patched_init.__signature__ = inspect.signature(start)  # type: ignore[attr-defined]
    TFOptimizer.__init__ = patched_init

    @wraps(update)
    def patched(self: Any, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        pairs = [(g, v) for g, v in zip(grads, trainable_variables, strict=True) if g is not None]
        names = [run.models.name_of(v) for _, v in pairs]
        rate = tf.cast(tf.convert_to_tensor(learning_rate), tf.float64)

        def note(value: Any, norms: Any) -> None:
            found: dict[str, float] = {}  # variables outside of models may share a name
            for name, size in zip(names, map(float, norms), strict=True):
                found[name] = math.hypot(found.get(name, 0.0), size)
            run.recorder.step([float(value)], found)

        if pairs:
            notify(note, [rate, tf.stack([norm(g) for g, _ in pairs])])
        update(self, grads, trainable_variables, learning_rate)

    TFOptimizer._backend_update_step = patched
