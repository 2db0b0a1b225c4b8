"""A model that only computes its loss by itself gets the steps that Keras runs around it."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.syntax import code, find

_STEPS = """
def train_step(self, data):
    x, y = data
    with tf.GradientTape() as tape:
        y_pred = self(x{training})
        loss = self.compute_loss({given})
    gradients = tape.gradient(loss, self.trainable_variables)
    self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
    {results}

def test_step(self, data):
    x, y = data
    y_pred = self(x{testing})
    loss = self.compute_loss({given})
    {results}
"""
_RESULTS = """for metric in self.metrics:
        if metric.name == "loss":
            metric.update_state(loss, sample_weight=tf.shape(y)[0])
        else:
            metric.update_state(y, y_pred)
    return {metric.name: metric.result() for metric in self.metrics}"""
_OTHERS = ("train_step", "test_step", "metrics", "compute_metrics", "make_train_function")
Changes = dict[cst.CSTNode, Any]


def write_steps(module: cst.Module, changes: Changes) -> None:
    """`train_step` and `test_step` for classes with a `compute_loss` and no step of their own."""
    for node in find(module, cst.ClassDef):
        methods = {f.name.value: f for f in node.body.body if isinstance(f, cst.FunctionDef)}
        loss = methods.get("compute_loss")
        if loss is None or any(name in methods for name in _OTHERS):
            continue
        if not any(code(b.value).rpartition(".")[2] == "Model" for b in node.bases):
            continue
        given = _given(loss)
        if given is not None:
            lines = _steps(methods.get("call"), given)
            changes[loss] = lambda new, lines=lines: [new, *lines]
    if changes and not _has_tf(module):
        first = next(s for s in module.body if find_import(s))
        line = cst.parse_statement("import tensorflow as tf")
        changes[first] = lambda new: [new, line]


def find_import(statement: cst.CSTNode) -> bool:
    """Whether a statement imports something that is no part of Python's grammar to come."""
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    return isinstance(small, cst.Import)


def _has_tf(module: cst.Module) -> bool:
    lines = [code(s).strip() for s in find(module, cst.Import)]
    return "import tensorflow as tf" in lines


def _given(loss: cst.FunctionDef) -> str | None:
    """The arguments of a `compute_loss` that reads targets."""
    params = [p.name.value for p in loss.params.params[1:]]
    read = {n.value for n in find(loss.body, cst.Name)}
    if not {"y", "y_pred"} <= set(params) or "y" not in read:
        return None
    known = {"x": "x", "y": "y", "y_pred": "y_pred"}
    if params[0] != "x":
        return None
    return ", ".join(f"{n}={known[n]}" for n in params if n in known)


def _steps(entry: cst.FunctionDef | None, given: str) -> list[cst.BaseStatement]:
    takes = entry is not None and "training" in {p.name.value for p in find(entry, cst.Param)}
    text = _STEPS.replace("{results}", _RESULTS).replace("{given}", given)
    text = text.replace("{training}", ", training=True" if takes else "")
    text = text.replace("{testing}", ", training=False" if takes else "")
    return list(cst.parse_module(text).body)
