"""Emitted losses against torch.nn.functional: values and gradients in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from emitted_results import agree, double_precision, draw, keras_results, torch_results

from transpiler.rules.emitted.to_tf import losses

__all__ = ["double_precision"]

N, C = 6, 4
LOGITS, LABELS = draw(N, C), np.array([0, 3, 1, 2, 2, 1])
SOME = np.where(np.arange(N) % 3 == 1, -100, LABELS)
WEIGHT = np.array([1.0, 2.0, 0.5, 3.0])
CHANCES = np.exp(draw(N, C)) / np.exp(draw(N, C)).sum()
CHANCES = CHANCES / CHANCES.sum(1, keepdims=True)
MAP, MAP_LABELS = draw(2, 3, 5, C), np.arange(30).reshape(2, 3, 5) % C
BITS = (draw(N, C) > 0).astype(float)
SIGNS = np.array([1.0, -1, 1, -1, 1, 1])
SATURATED = np.array([[0.0, 1.0, 1e-9], [1.0, 0.0, 1 - 1e-6]])
X, Y, Z = draw(N, C), draw(N, C), draw(N, C)
COUNTS = np.random.default_rng(3).poisson(2, (N, C)).astype(float)

# name, arguments after the differentiable ones, options
INDEXED = [
    (LABELS, {}),
    (SOME, {}),
    (SOME, {"weight": WEIGHT}),
    (LABELS, {"ignore_index": 2, "weight": WEIGHT}),
]
CASES: list[tuple[str, tuple, tuple, dict]] = [
    *[("nll_loss", (LOGITS,), (target,), options) for target, options in INDEXED],
    *[
        ("cross_entropy", (LOGITS,), (target,), options | {"label_smoothing": smoothing})
        for target, options in INDEXED
        for smoothing in (0.0, 0.1)
    ],
    ("cross_entropy", (1e3 * LOGITS,), (LABELS,), {}),
    ("binary_cross_entropy", (CHANCES,), (BITS,), {}),
    ("binary_cross_entropy", (CHANCES,), (BITS,), {"weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", (X,), (BITS,), {}),
    ("binary_cross_entropy_with_logits", (X,), (BITS,), {"weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", (X,), (BITS,), {"pos_weight": WEIGHT}),
    ("mse_loss", (X, Y), (), {}),
    ("l1_loss", (X, Y), (), {}),
    ("smooth_l1_loss", (X, Y), (), {"beta": 0.3}),
    ("smooth_l1_loss", (X, Y), (), {"beta": 0.0}),
    ("huber_loss", (X, Y), (), {"delta": 0.3}),
    ("kl_div", (np.log(CHANCES),), (CHANCES[::-1] * (BITS[::-1]),), {}),
    ("kl_div", (np.log(CHANCES),), (np.log(CHANCES[::-1]),), {"log_target": True}),
    ("cosine_embedding_loss", (X, Y), (SIGNS,), {"margin": 0.2}),
    ("triplet_margin_loss", (X, Y, Z), (), {"margin": 0.7}),
    ("triplet_margin_loss", (X, Y, Z), (), {"swap": True, "p": 1}),
    ("margin_ranking_loss", (X[:, 0], Y[:, 0]), (SIGNS,), {"margin": 0.1}),
    ("margin_ranking_loss", (X[:, 0], X[:, 0]), (SIGNS,), {}),
    ("hinge_embedding_loss", (X[:, 0],), (SIGNS,), {"margin": 0.9}),
    ("multi_margin_loss", (X,), (LABELS,), {}),
    ("multi_margin_loss", (X,), (LABELS,), {"p": 2, "margin": 0.8, "weight": WEIGHT}),
    ("multilabel_soft_margin_loss", (X,), (BITS,), {}),
    ("multilabel_soft_margin_loss", (X,), (BITS,), {"weight": WEIGHT}),
    ("soft_margin_loss", (X[:, 0],), (SIGNS,), {}),
    ("poisson_nll_loss", (X,), (COUNTS,), {}),
    ("poisson_nll_loss", (np.exp(X),), (COUNTS,), {"log_input": False, "full": True}),
    ("gaussian_nll_loss", (X, np.where(Y > 0, np.exp(Y), 1e-8)), (Z,), {"full": True}),
    ("gaussian_nll_loss", (X, np.exp(Y)), (Z,), {}),
]


def arguments(convert: Callable, values: tuple) -> list:
    return [convert(np.ascontiguousarray(value)) for value in values]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize(("name", "inputs", "targets", "options"), CASES)
def test_loss(name: str, inputs: tuple, targets: tuple, options: dict, reduction: str) -> None:
    if reduction == "batchmean" and name != "kl_div":
        return
    theirs = {k: torch.tensor(v) if k.endswith("weight") else v for k, v in options.items()}
    theirs["reduction"], ours = reduction, options | {"reduction": reduction}
    split = 1 if name == "gaussian_nll_loss" else len(inputs)

    def order(function: Callable, convert: Callable, options: dict) -> Callable:
        rest = arguments(convert, targets)
        return lambda *x: function(*x[:split], *rest, *x[split:], **options)

    with np.errstate(all="ignore"):
        expected = torch_results(order(getattr(F, name), torch.tensor, theirs), *inputs)
    results = keras_results(
        order(getattr(losses, name), tf.constant, ours), *inputs, traced=reduction == "mean"
    )
    agree(expected, results, 1e-12 if np.abs(inputs[0]).max() > 100 else 1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT}, {"label_smoothing": 0.2}])
def test_soft_cross_entropy(options: dict, reduction: str) -> None:
    theirs = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    agree(
        torch_results(
            lambda x, p: F.cross_entropy(x, p, reduction=reduction, **theirs), LOGITS, CHANCES
        ),
        keras_results(
            lambda x, p: losses.soft_cross_entropy(x, p, reduction=reduction, **options),
            LOGITS,
            CHANCES,
        ),
        1e-14,
    )


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT, "label_smoothing": 0.1}])
def test_cross_entropy_of_pixels(options: dict, reduction: str) -> None:
    theirs = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    labels = torch.tensor(MAP_LABELS)
    expected = torch_results(
        lambda x: F.cross_entropy(x.movedim(-1, 1), labels, reduction=reduction, **theirs), MAP
    )
    last = lambda x: losses.cross_entropy(x, MAP_LABELS, reduction=reduction, **options)
    agree(expected, keras_results(last, MAP), 1e-14)
    first = lambda x: losses.cross_entropy(
        tf.transpose(x, [0, 3, 1, 2]), MAP_LABELS, reduction=reduction, axis=1, **options
    )
    agree(expected, keras_results(first, MAP), 1e-14)


def test_binary_cross_entropy_of_saturated_probabilities() -> None:
    targets = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    expected = torch_results(lambda p: F.binary_cross_entropy(p, torch.tensor(targets)), SATURATED)
    results = keras_results(lambda p: losses.binary_cross_entropy(p, targets), SATURATED)
    for one, other in zip(expected, results, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc_loss(reduction: str) -> None:
    log_probs = draw(8, 2, 5)
    targets, lengths = np.array([[1, 2, 3], [2, 2, 0]]), (np.array([8, 7]), np.array([3, 2]))
    expected = torch_results(
        lambda x: F.ctc_loss(
            F.log_softmax(x, 2),
            torch.tensor(targets),
            *map(torch.tensor, lengths),
            reduction=reduction,
        ),
        log_probs,
    )
    results = keras_results(
        lambda x: losses.ctc_loss(tf.nn.log_softmax(x), targets, *lengths, reduction=reduction),
        log_probs,
    )
    agree(expected, results, 1e-5)
