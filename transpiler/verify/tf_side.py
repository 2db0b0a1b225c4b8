"""The TensorFlow/Keras side of a twin run: everything that is patched before the script starts."""

from __future__ import annotations

import os
from functools import wraps
from typing import Any

import keras
import tensorflow as tf

from transpiler.verify.side import Run
from transpiler.verify.tf_data import watch_data
from transpiler.verify.tf_models import watch_models
from transpiler.verify.tf_precision import widen_defaults
from transpiler.verify.tf_random import watch_draws
from transpiler.verify.tf_steps import watch_steps


def install(run: Run) -> None:
    """Patch TensorFlow and Keras for one run."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if run.setup.float64:
        widen_defaults()
    stop_between_calls(run)
    watch_draws(run)
    watch_data(run)
    watch_models(run)
    watch_steps(run)
    tf.random.set_seed(0)
    watch_seeds(run)
    watch_epochs(run)
    watch_files(run)


def watch_files(run: Run) -> None:
    """HDF5 opens its files itself: cut a link before it writes through it."""
    import h5py

    start = h5py.File.__init__

    @wraps(start)
    def patched(self: Any, name: Any, mode: str = "r", *args: Any, **kwargs: Any) -> None:
        if mode != "r" and isinstance(name, str | bytes | os.PathLike):
            run.cut_link(name)
        start(self, name, mode, *args, **kwargs)

    h5py.File.__init__ = patched


def watch_epochs(run: Run) -> None:
    """What `fit` says of an epoch is drawn over and timed: one line of it is recorded instead."""
    kind = keras.callbacks.ProgbarLogger
    end = kind.on_epoch_end

    @wraps(end)
    def patched(self: Any, epoch: int, logs: Any = None) -> None:
        end(self, epoch, logs)
        head = f"Epoch {epoch + 1}/{self.epochs}"
        parts = [f"{name}: {float(value):.4f}" for name, value in (logs or {}).items()]
        run.recorder.add("print", text=" - ".join([head, *parts]))

    kind.on_epoch_end = patched


def watch_seeds(run: Run) -> None:
    """Keras takes its own seeds from Python's stream, and seeds it: keep both apart from it."""
    from keras.src.random import seed_generator

    seed_generator.python_random = run.seeds.private
    if run.record:
        return
    set_seed = tf.random.set_seed

    @wraps(set_seed)
    def patched(value: Any) -> None:
        run.seeds.framework(value)
        set_seed(value)

    tf.random.set_seed = patched
    keras.utils.set_random_seed = patched


def stop_between_calls(run: Run) -> None:
    """Leave a script after the graph call in which it reached the wanted step; never compile."""
    from tensorflow.python.eager.polymorphic_function import polymorphic_function

    kind = polymorphic_function.Function
    call, start = kind.__call__, kind.__init__

    @wraps(call)
    def patched_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not tf.inside_function():
            run.going_on()
        result = call(self, *args, **kwargs)
        if not tf.inside_function():
            run.recorder.check_stop()
        return result

    @wraps(start)
    def patched_init(self: Any, *args: Any, **kwargs: Any) -> None:
        function = args[0] if args else kwargs.get("python_function")
        if getattr(function, "__module__", "") != "keras.src.backend.tensorflow.nn":
            kwargs["jit_compile"] = None  # what is recorded can not be compiled
        start(self, *args, **kwargs)

    kind.__call__ = patched_call
    kind.__init__ = patched_init
