"""Statements that only set TensorFlow up go, and so do blocks around them, names for modules."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.values import Symbol
from transpiler.planners.expressions import qualified_name
from transpiler.rules.tf_settings import DEVICES, DROPPED
from transpiler.syntax import code, find

_WRITER = ("tf.summary.create_file_writer", "tf.summary.experimental.create_file_writer")
_ENVIRONMENT = ("TF_", "KERAS_", "XLA_", "AUTOGRAPH_")


def plan(context: Context) -> None:
    """Drop set-up, unwrap devices and scopes, and write summaries."""
    for node in find(context.module, cst.If, cst.Try, cst.For):
        if not _inside_dropped(context, node) and _only_sets_up(context, node) and _sets_up(
            context, node
        ):  # fmt: skip
            context.edits.replace(node, [])
            _drop_lists(context, node)
    for assign in find(context.module, cst.Assign):
        _drop_environment(context, assign)
        _drop_alias(context, assign)
    for block in find(context.module, cst.With):
        _unwrap(context, block)


def _inside_dropped(context: Context, node: cst.CSTNode) -> bool:
    around: Any = context.edits.parent.get(node)
    while around is not None:
        if context.edits.edited(around):
            return True
        around = context.edits.parent.get(around)
    return False


def _sets_up(context: Context, node: cst.CSTNode) -> bool:
    return any(qualified_name(context, c.func) in DROPPED for c in find(node, cst.Call))


def _only_sets_up(context: Context, node: Any) -> bool:
    """Whether a statement does nothing but set up TensorFlow and print about it."""
    match node:
        case cst.SimpleStatementLine():
            return all(_is_set_up(context, small) for small in node.body)
        case cst.If():
            rest = node.orelse
            return _only_sets_up(context, node.body) and (
                rest is None or _only_sets_up(context, rest)
            )
        case cst.Else() | cst.For() | cst.ExceptHandler() | cst.Finally():
            return _only_sets_up(context, node.body)
        case cst.Try():
            parts = [node.body, *node.handlers, node.orelse, node.finalbody]
            return all(_only_sets_up(context, p) for p in parts if p is not None)
        case cst.IndentedBlock():
            return all(_only_sets_up(context, s) for s in node.body)
    return False


def _is_set_up(context: Context, small: cst.BaseSmallStatement) -> bool:
    if isinstance(small, (cst.Pass, cst.Assert)):
        return isinstance(small, cst.Pass) or _sets_up(context, small)
    if isinstance(small, cst.Assign) and isinstance(small.value, cst.Call):
        return qualified_name(context, small.value.func) in DEVICES
    if not isinstance(small, cst.Expr) or not isinstance(small.value, cst.Call):
        return False
    func = small.value.func
    return qualified_name(context, func) in DROPPED or code(func) == "print"


def _drop_lists(context: Context, node: cst.CSTNode) -> None:
    """`gpus = list_physical_devices("GPU")` that only the dropped block read."""
    inside = set(find(node, cst.Name))
    for assign in find(context.module, cst.Assign):
        target = assign.targets[0].target
        if not isinstance(target, cst.Name) or not isinstance(assign.value, cst.Call):
            continue
        if qualified_name(context, assign.value.func) not in DEVICES:
            continue
        reads = [n for n in find(context.module, cst.Name) if n.value == target.value]
        if all(n in inside or n is target for n in reads) and target not in inside:
            context.claim(assign.value)
            context.edits.replace(context.edits.statement(assign), [])


def _drop_environment(context: Context, node: cst.Assign) -> None:
    """`os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"`."""
    target = node.targets[0].target
    if not isinstance(target, cst.Subscript) or not code(target.value).endswith("environ"):
        return
    key = code(target.slice[0]).strip("\"'")
    if key.startswith(_ENVIRONMENT):
        context.edits.replace(context.edits.statement(node), [])


def _drop_alias(context: Context, node: cst.Assign) -> None:
    """`keras = tf.keras`: names of the framework's modules, which nothing reads any more."""
    value, target = context.fact(node.value), node.targets[0].target
    if not isinstance(value, Symbol) or not isinstance(target, cst.Name):
        return
    if value.name.partition(".")[0] not in ("tf", "keras", "tensorflow"):
        return
    if not isinstance(node.value, (cst.Attribute, cst.Name)) or not _is_module(value.name):
        return
    for name in find(node.value, cst.Name, cst.Attribute):
        context.claim(name)
    context.claim(node.value)
    context.edits.replace(context.edits.statement(node), [])


def _is_module(name: str) -> bool:
    """Whether a canonical name is a module."""
    entry = signatures.lookup(name)
    return entry is not None and entry.kind == "module"


def _unwrap(context: Context, block: cst.With) -> None:
    """`with tf.device(...)`, `with strategy.scope()`, `with writer.as_default()`."""
    if len(block.items) != 1:
        return
    item = block.items[0].item
    if not isinstance(item, cst.Call):
        return
    name = qualified_name(context, item.func)
    if name == "tf.device":
        context.remark(block, "tf.device", "the model and its data stay on the CPU",
                       "move both with .to(device)")  # fmt: skip
    elif name not in ("tf.distribute.Strategy.scope", "tf.summary.SummaryWriter.as_default",
                      "keras.backend.name_scope", "tf.name_scope"):  # fmt: skip
        return
    if name == "tf.summary.SummaryWriter.as_default":
        assert isinstance(item.func, cst.Attribute)
        _write_summaries(context, block, item.func.value)
    context.claim(item)
    context.claim(item.func)
    context.edits.unwrap(block)


def _write_summaries(context: Context, block: cst.With, writer: cst.BaseExpression) -> None:
    for node in find(block, cst.Call):
        name = qualified_name(context, node.func) or ""
        if name.startswith("tf.summary."):
            context.notes.setdefault("summary writers", {})[node] = writer
