"""Devices: TensorFlow places operations by itself, so moving things to a device goes away."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Const, Number, Value
from transpiler.modules import self_name
from transpiler.rule import Rule, Unfit, infers, infers_property, rewrites
from transpiler.rules.double_models import is_double, make_double
from transpiler.site import Site
from transpiler.syntax import code

_GPU = "bool(tf.config.list_physical_devices('GPU'))"

DEVICE_COUNT = Rule(
    "device-count",
    torch="torch.cuda.device_count()",
    keras="len(tf.config.list_physical_devices('GPU'))",
    to="tf",
)


@infers("torch.cuda.current_device")
def current_device_fact(_: Invocation) -> Value:
    return Const(0)


@rewrites("torch.cuda.current_device", to="tf")
def current_device(site: Site) -> Any:
    """TensorFlow places computations by itself: the number only goes where devices are dropped."""
    return cst.Integer("0")


@rewrites("torch.cuda.get_device_name", to="tf")
def device_name(site: Site) -> Any:
    """What TensorFlow calls the first GPU, for what is printed."""
    return site.fill("tf.config.list_physical_devices('GPU')[0].name")


@infers("torch.cuda.get_device_name")
def device_name_fact(_: Invocation) -> Value:
    return Number("str")


@infers("torch.cuda.is_available", "torch.backends.mps.is_available", "torch.backends.mps.is_built")
def is_available(_: Invocation) -> Value:
    return Number("bool")


@infers("torch.cuda.device_count")
def device_count(_: Invocation) -> Value:
    return Number("int")


@rewrites("torch.cuda.is_available", "torch.accelerator.is_available", "torch.has_cuda", to="tf")
def gpu_available(site: Site) -> Any:
    """Inside a condition the list of devices says enough."""
    parent = site.parent
    if isinstance(parent, (cst.If, cst.IfExp, cst.BooleanOperation, cst.UnaryOperation)):
        return site.fill("tf.config.list_physical_devices('GPU')")
    return site.fill(_GPU)


@rewrites(
    "torch.backends.mps.is_available",
    "torch.backends.mps.is_built",
    "torch.cuda.is_bf16_supported",
    to="tf",
)
def never(site: Site) -> Any:
    return cst.Name("False")


@rewrites("torch.device", to="tf")
def device(site: Site) -> Any:
    """A device stays as its name, which code may print or compare."""
    if not site.is_call:
        parent = site.parent
        if isinstance(parent, cst.Annotation):
            return cst.Name("str")
        return cst.Name("str")
    if len(site.positional) != 1 or site.keywords:
        raise Unfit("a device with an index of its own")
    return site.positional[0]


@infers("torch.device")
def device_fact(call: Invocation) -> Value:
    first = call.positional[0] if call.positional else None
    return first if isinstance(first, Const) else Number("str")


@rewrites(
    "torch.cuda.set_device", "torch.cuda.empty_cache", "torch.cuda.synchronize",
    "torch.cuda.reset_peak_memory_stats", "torch.set_num_threads", "torch.set_grad_enabled",
    "torch.backends.cudnn.benchmark", "torch.backends.cudnn.deterministic",
    "torch.backends.cudnn.enabled", "torch.autograd.set_detect_anomaly",
    "torch.set_float32_matmul_precision", "torch.multiprocessing.set_start_method",
    "torch.backends.cuda.matmul.allow_tf32", "torch.backends.cudnn.allow_tf32",
    "torch.set_printoptions", to="tf",
)  # fmt: skip
def dropped(site: Site) -> Any:
    """Settings of torch's own runtime that change no result: the statement goes."""
    statement = site.statement
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    if not isinstance(small, (cst.Expr, cst.Assign)):
        raise Unfit("a setting of torch's runtime inside an expression")
    return []


@rewrites("torch.use_deterministic_algorithms", to="tf")
def deterministic(site: Site) -> Any:
    if not site.alone:
        raise Unfit("a setting of torch's runtime inside an expression")
    return site.fill("tf.config.experimental.enable_op_determinism()")


@rewrites(
    "torch.nn.Module.to", "torch.nn.Module.cuda", "torch.nn.Module.cpu", "torch.nn.Module.float",
    to="tf",
)  # fmt: skip
def module_to(site: Site) -> Any:
    """`model.to(device)` is the model; as a statement of its own it goes."""
    for value in [*site.positional, *site.keywords.values()]:
        name = getattr(site.context.fact(value), "name", "")
        if is_double(site.context.fact(value)):
            make_double(site)
        elif name.startswith("torch.") and not name.endswith(("float32", "float", "channels_last")):
            raise Unfit("a model in another dtype", "set keras.config.set_floatx before it is made")
    return moved_model(site)


@rewrites("torch.nn.Module.double", to="tf")
def module_double(site: Site) -> Any:
    """Keras makes the weights in the dtype that they stay in."""
    make_double(site)
    return moved_model(site)


def moved_model(site: Site) -> Any:
    """The model, or nothing where the call only moves it."""
    if site.alone:
        return []
    assigned = site.assigned_to
    assert site.receiver is not None
    if isinstance(site.receiver, cst.Call) and code(site.receiver.func) == "super":
        method = site.context.edits.enclosing(site.node, cst.FunctionDef)
        return cst.Name(self_name(method) or "self")
    if assigned is not None and assigned.deep_equals(site.receiver):
        return []
    return site.receiver


@rewrites("torch.nn.DataParallel", "torch.compile", "torch.jit.script", to="tf")
def wrapper(site: Site) -> Any:
    """Wrappers that change speed, not results: what they wrap is used as it is."""
    if not site.is_call or not site.positional:
        raise Unfit(f"{site.short} without its model")
    inner = site.positional[0]
    assigned = site.assigned_to
    if site.name == "torch.nn.DataParallel":
        site.caution("data parallelism is left out", "use tf.distribute.MirroredStrategy")
    if assigned is not None and assigned.deep_equals(inner):
        return []
    return inner


@infers_property("torch.nn.Module.module")
def wrapped_module(value: Value) -> Value:
    """`model.module` of DataParallel: what is wrapped, which is used as it is."""
    return value


@rewrites("torch.nn.Module.module", to="tf")
def unwrapped(site: Site) -> Any:
    return site.receiver


@infers("torch.nn.DataParallel", "torch.compile", "torch.jit.script")
def wrapped(call: Invocation) -> Value:
    from transpiler.infer.values import UNKNOWN

    return call.positional[0] if call.positional else UNKNOWN
