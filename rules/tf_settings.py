"""Settings of TensorFlow's and Keras' own running: devices, seeds, precision, versions.

What changes no result goes; what PyTorch has an equal for is written so.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    ListObject,
    Number,
    Symbol,
    Value,
    items_of,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.site import Site
from transpiler.syntax import code
from transpiler.template import fill, fill_statements

DROPPED = (
    "tf.config.experimental.set_memory_growth", "tf.config.set_soft_device_placement",
    "tf.config.set_logical_device_configuration", "tf.config.set_visible_devices",
    "tf.config.experimental.set_virtual_device_configuration",
    "tf.config.experimental.set_visible_devices", "tf.config.run_functions_eagerly",
    "tf.config.experimental_run_functions_eagerly", "tf.config.optimizer.set_jit",
    "tf.config.optimizer.set_experimental_options",
    "tf.config.threading.set_inter_op_parallelism_threads",
    "tf.config.experimental.enable_tensor_float_32_execution",
    "tf.config.experimental.reset_memory_stats", "tf.debugging.set_log_device_placement",
    "tf.debugging.enable_check_numerics", "tf.data.experimental.enable_debug_mode",
    "tf.autograph.set_verbosity", "tf.enable_eager_execution",
    "tf.compat.v1.enable_eager_execution",
    "tf.compat.v1.enable_v2_behavior", "tf.compat.v1.logging.set_verbosity",
    "tf.logging.set_verbosity", "keras.utils.clear_session", "keras.backend.clear_session",
    "keras.config.enable_interactive_logging", "keras.config.disable_interactive_logging",
    "keras.config.disable_traceback_filtering", "keras.config.enable_traceback_filtering",
    "tf.debugging.disable_traceback_filtering", "keras.config.set_epsilon",
    "tf.keras.backend.clear_session", "keras.config.enable_unsafe_deserialization",
    "tf.test.main",
)  # fmt: skip
DEVICES = (
    "tf.config.list_physical_devices", "tf.config.experimental.list_physical_devices",
    "tf.config.list_logical_devices", "tf.config.experimental.list_logical_devices",
    "tf.config.get_visible_devices", "tf.config.experimental.get_visible_devices",
)  # fmt: skip
_STRATEGIES = ("MirroredStrategy", "TPUStrategy", "MultiWorkerMirroredStrategy",
               "OneDeviceStrategy", "CentralStorageStrategy", "get_strategy")  # fmt: skip


@infers(*DROPPED)
def nothing(_: Invocation) -> Value:
    return NONE


@rewrites(*DROPPED, to="torch")
def dropped(site: Site) -> Any:
    """Settings that change no result: the statement goes."""
    if site.name.endswith("set_epsilon"):
        raise Unfit("Keras' epsilon is set for all losses and layers", "set eps where it is used")
    if not site.alone:
        raise Unfit("a setting of TensorFlow's runtime inside of an expression")
    return []


@infers(*DEVICES)
def devices(_: Invocation) -> Value:
    return ListObject(None, Number("str"))


@rewrites(*DEVICES, to="torch")
def list_devices(site: Site) -> Any:
    """The names of the GPUs; there is one CPU."""
    kind = site.const("device_type", "unknown")
    gpus = fill('[f"cuda:{i}" for i in range(torch.cuda.device_count())]')
    if kind == "GPU":
        return gpus
    if kind == "CPU":
        return fill('["cpu"]')
    if kind is None:
        return fill('["cpu"] + gpus', gpus=gpus)
    if kind == "TPU":
        return fill("[]")
    raise Unfit("the kind of the devices that are listed is not known")


@infers(
    "tf.test.is_gpu_available", "tf.test.is_built_with_cuda", "tf.test.is_built_with_gpu_support"
)
def availability(_: Invocation) -> Value:
    return Number("bool")


@rewrites("tf.test.is_gpu_available", to="torch")
def gpu_available(_: Site) -> Any:
    return fill("torch.cuda.is_available()")


@rewrites("tf.test.is_built_with_cuda", "tf.test.is_built_with_gpu_support", to="torch")
def built_with_cuda(_: Site) -> Any:
    return fill("torch.backends.cuda.is_built()")


@infers("tf.test.gpu_device_name")
def text(_: Invocation) -> Value:
    return Number("str")


@rewrites("tf.test.gpu_device_name", to="torch")
def gpu_name(_: Site) -> Any:
    return fill('"cuda:0" if torch.cuda.is_available() else ""')


@infers("tf.executing_eagerly", "tf.compat.v1.executing_eagerly")
def eager_fact(_: Invocation) -> Value:
    return Const(True)


@rewrites("tf.executing_eagerly", "tf.compat.v1.executing_eagerly", to="torch")
def executing_eagerly(_: Site) -> Any:
    """PyTorch always does."""
    return cst.Name("True")


@infers_property("tf.__version__")
def version_fact(_: Value) -> Value:
    return Number("str")


@rewrites("tf.__version__", "keras.__version__", "tf.version.VERSION", "tf.VERSION",
          "keras.version", to="torch")  # fmt: skip
def version(_: Site) -> Any:
    return fill("torch.__version__")


@rewrites("tf.config.experimental.enable_op_determinism", to="torch")
def deterministic(_: Site) -> Any:
    return fill("torch.use_deterministic_algorithms(True)")


@rewrites("keras.config.set_floatx", "keras.backend.set_floatx", to="torch")
def set_floatx(site: Site) -> Any:
    name = site.const("value", None)
    if name not in ("float16", "float32", "float64"):
        raise Unfit("the default precision is not known before the program runs")
    return fill(f"torch.set_default_dtype(torch.{name})")


@infers("keras.config.floatx", "keras.backend.floatx")
def floatx_fact(_: Invocation) -> Value:
    return Number("str")


@rewrites("keras.config.floatx", "keras.backend.floatx", to="torch")
def floatx(_: Site) -> Any:
    return fill('str(torch.get_default_dtype()).removeprefix("torch.")')


@infers("keras.config.epsilon", "keras.backend.epsilon")
def epsilon_fact(_: Invocation) -> Value:
    return Const(1e-7)


@rewrites("keras.config.epsilon", "keras.backend.epsilon", to="torch")
def epsilon(_: Site) -> Any:
    return cst.Float("1e-7")


@infers("keras.config.image_data_format", "keras.backend.image_data_format")
def format_fact(_: Invocation) -> Value:
    return Const("channels_last")


@rewrites("keras.config.image_data_format", "keras.backend.image_data_format", to="torch")
def image_data_format(_: Site) -> Any:
    """The data stays in the order that the program has it in."""
    return fill('"channels_last"')


@rewrites("keras.config.set_image_data_format", "keras.backend.set_image_data_format", to="torch")
def set_image_data_format(site: Site) -> Any:
    if site.const("data_format", None) != "channels_last":
        raise Unfit("images with their channels first for the whole program are not translated",
                    "give the layers data_format instead")  # fmt: skip
    return [] if site.alone else fill("None")


@rewrites(
    "keras.mixed_precision.set_global_policy", "keras.mixed_precision.set_dtype_policy",
    "keras.config.set_dtype_policy", "keras.mixed_precision.experimental.set_policy", to="torch",
)  # fmt: skip
def precision_policy(site: Site) -> Any:
    """Only the plain precisions; mixed ones need autocast around each forward pass."""
    given = site.positional[0] if site.positional else next(iter(site.keywords.values()), None)
    policy = getattr(site.context.fact(given), "value", None)
    if policy in ("float32", "float64", "float16"):
        return fill(f"torch.set_default_dtype(torch.{policy})")
    raise Unfit("mixed precision for the whole program is not translated: it trains in float32",
                "put torch.autocast around the forward pass, and scale the loss")  # fmt: skip


@infers(*(f"tf.distribute.{name}" for name in _STRATEGIES))
def strategy_fact(call: Invocation) -> Value:
    return call.interpreter.allocate(Symbol("tf.distribute.Strategy"), call.node, {})


@rewrites(*(f"tf.distribute.{name}" for name in _STRATEGIES), to="torch")
def strategy(site: Site) -> Any:
    """One device: what the strategy's methods do is written as if there were one replica."""
    if site.assigned_to is None:
        raise Unfit("training on several devices is not translated",
                    "train on one, or wrap the model in DistributedDataParallel")  # fmt: skip
    site.caution("the translation trains on one device",
                 "wrap the model in DistributedDataParallel for more")  # fmt: skip
    return []


@rewrites("tf.distribute.Strategy.num_replicas_in_sync", to="torch")
def replicas(_: Site) -> Any:
    return cst.Integer("1")


@infers_property("tf.distribute.Strategy.num_replicas_in_sync")
def replicas_fact(_: Value) -> Value:
    return Const(1)


@infers("tf.distribute.Strategy.experimental_distribute_dataset")
def whole_fact(call: Invocation) -> Value:
    return call.arg("dataset", at=0) or UNKNOWN


@infers("tf.distribute.Strategy.reduce")
def reduced_fact(call: Invocation) -> Value:
    return call.arg("value", at=1) or UNKNOWN


@rewrites("tf.distribute.Strategy.experimental_distribute_dataset", to="torch")
def whole_dataset(site: Site) -> Any:
    return site.arg("dataset")


@infers("tf.distribute.Strategy.run", "tf.distribute.Strategy.experimental_run_v2")
def run_fact(call: Invocation) -> Value:
    function, given = call.arg("fn", at=0), call.arg("args", at=1)
    if function is None:
        return UNKNOWN
    return call.call(function, *(items_of(given) or () if given is not None else ()))


@rewrites("tf.distribute.Strategy.run", "tf.distribute.Strategy.experimental_run_v2", to="torch")
def run(site: Site) -> Any:
    """`strategy.run(f, args=(x, y))` is `f(x, y)` on one device."""
    function = site.positional[0] if site.positional else site.keywords.get("fn")
    given = site.positional[1] if len(site.positional) > 1 else site.keywords.get("args")
    if function is None or "kwargs" in site.keywords:
        raise Unfit("what the strategy runs is not understood")
    if given is None:
        return cst.Call(function)
    if isinstance(given, (cst.Tuple, cst.List)):
        return cst.Call(function, [cst.Arg(e.value) for e in given.elements])
    return cst.Call(function, [cst.Arg(given, star="*")])


@rewrites("tf.distribute.Strategy.reduce", to="torch")
def reduce(site: Site) -> Any:
    """One replica's value; along an axis it is summed or averaged there."""
    kind, value = site.positional[0], site.arg("value")
    axis = site.keywords.get("axis")
    if axis is None or (isinstance(axis, cst.Name) and axis.value == "None"):
        return value
    text = code(kind).strip("\"'").rpartition(".")[2].lower()
    return fill(f"value.{'mean' if text == 'mean' else 'sum'}(axis)", value=value, axis=axis)


@rewrites("tf.compat.v1.set_random_seed", "tf.set_random_seed", "tf.random.set_random_seed",
          to="torch")  # fmt: skip
def seed(site: Site) -> Any:
    """Other numbers come from an equal seed."""
    if not site.alone:
        raise Unfit("the seed is set inside of an expression")
    site.context.remark(site.node, site.short, "equal seeds give other numbers in PyTorch")
    given = site.positional[0] if site.positional else site.keywords.get("seed")
    if given is None:
        raise Unfit("the seed is not given")
    return fill_statements("torch.manual_seed(seed)", seed=given)


@rewrites("tf.get_logger", "tf.compat.v1.get_logger", "tf.autograph.experimental.do_not_convert",
          to="torch")  # fmt: skip
def logger(site: Site) -> Any:
    """`tf.get_logger().setLevel(...)` goes."""
    statement = site.statement
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    if isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
        func = small.value.func
        if isinstance(func, cst.Attribute) and func.value is site.node:
            return []
    raise Unfit("TensorFlow's logger is used", "use logging.getLogger()")
