"""LBFGS, step by step, against torch.optim's: float64, bounded and unbounded evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from emitted_results import double_precision

from transpiler.rules.emitted.to_tf import lbfgs

__all__ = ["double_precision"]

START = [np.array([-1.5, 2.0, 0.7]), np.array([[0.3], [-1.1]])]


def valley(x: Any, y: Any, library: Any) -> Any:
    """Curved (Rosenbrock's), with a second part that is far from quadratic."""
    curved = 10 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + x[2] ** 4
    return curved + library.cosh(y[0, 0]) + (y[1, 0] - x[2]) ** 2


def bumps(x: Any, y: Any, library: Any) -> Any:
    """Slopes that change their sign within a step."""
    waves = library.sin(3 * x[0]) + library.cos(2 * x[1]) + x[0] ** 2 + x[1] ** 2 + x[2] ** 2
    return waves + library.sin(4 * y[0, 0]) + y[0, 0] ** 2 + y[1, 0] ** 2 / 2


def run_torch(function: Any, options: dict[str, Any]) -> list[np.ndarray]:
    parts = [torch.nn.Parameter(torch.tensor(value)) for value in START]
    optimizer = torch.optim.LBFGS(parts, **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = function(*parts, torch)
        loss.backward()
        return loss

    return run(optimizer, closure, lambda: [p.detach().numpy() for p in parts])


def run_tf(function: Any, options: dict[str, Any]) -> list[np.ndarray]:
    parts = [tf.Variable(value) for value in START]
    options = dict(options)
    if options.pop("line_search_fn", None):
        options["line_search"] = lbfgs.strong_wolfe
    if "lr" in options:
        options["learning_rate"] = options.pop("lr")
    optimizer = lbfgs.LBFGS(**options)

    def closure() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = function(*parts, tf)
        optimizer.apply_gradients(zip(tape.gradient(loss, parts), parts, strict=True))
        return loss

    return run(optimizer, closure, lambda: [p.numpy() for p in parts])


def run(optimizer: Any, closure: Any, values: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    calls = 0

    def counted() -> Any:
        nonlocal calls
        calls += 1
        return closure()

    found = []
    for _ in range(5):
        loss = float(optimizer.step(counted))
        found.append(np.concatenate([[loss, calls], *(v.ravel() for v in values())]))
    return found


@pytest.mark.parametrize("function", [valley, bumps])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.05, "max_iter": 4, "history_size": 2},
        {"lr": 0.1, "max_iter": 30, "max_eval": 3},
        {"lr": 0.1, "tolerance_grad": 1.0},
        {"lr": 0.1, "tolerance_change": 0.05},
        {"line_search_fn": "strong_wolfe"},
        {"lr": 3.0, "max_iter": 5, "history_size": 2, "line_search_fn": "strong_wolfe"},
        {"lr": 0.01, "max_iter": 3, "max_eval": 40, "line_search_fn": "strong_wolfe"},
        {"max_iter": 6, "max_eval": 4, "line_search_fn": "strong_wolfe"},
    ],
)
def test_steps_and_evaluations_are_those_of_torch(function: Any, options: dict[str, Any]) -> None:
    for ours, theirs in zip(run_tf(function, options), run_torch(function, options), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
