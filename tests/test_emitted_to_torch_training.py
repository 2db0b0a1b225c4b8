"""Emitted losses, metrics, schedules and callbacks against Keras in float64."""

import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from emitted_results import agree, double_precision, draw, keras_results, torch_results

from transpiler.rules.emitted.to_torch import (
    callbacks,
    gradients,
    loss_objects,
    losses,
    metrics,
    schedules,
    weights,
)

__all__ = ["double_precision"]

f = np.float64  # Keras takes a Python float through single precision
N, C = 6, 4
X, Y = draw(N, C), draw(N, C)
BITS = (draw(N, C) > 0).astype(float)
LABELS = np.array([0, 3, 1, 2, 2, 1])
ONE_HOT = np.eye(C)[LABELS]
CHANCES = np.exp(X) / np.exp(X).sum(1, keepdims=True)
SATURATED = np.array([[1 - 1e-9, 1e-9, 0, 0], [0, 1, 0, 0.0]])
SCORES = 1 / (1 + np.exp(-draw(N, C)))

LOSSES: list[tuple[str, np.ndarray, np.ndarray, dict]] = [
    ("mean_squared_error", Y, X, {}),
    ("mean_squared_error", draw(2, 3, C), draw(2, 3, C), {}),
    ("mean_absolute_error", Y, X, {}),
    ("mean_absolute_percentage_error", Y, X, {}),
    ("mean_squared_logarithmic_error", np.abs(Y), np.abs(X), {}),
    ("huber", Y, X, {"delta": 0.5}),
    ("log_cosh", Y, X, {}),
    ("poisson", np.round(np.abs(Y)), np.abs(X), {}),
    ("kl_divergence", CHANCES[::-1] * BITS, CHANCES, {}),
    ("cosine_similarity", Y, X, {}),
    ("hinge", BITS, X, {}),
    ("hinge", 2 * BITS - 1, X, {}),
    ("squared_hinge", BITS, X, {}),
    ("categorical_hinge", ONE_HOT, X, {}),
    ("categorical_crossentropy", ONE_HOT, CHANCES, {}),
    ("categorical_crossentropy", ONE_HOT, CHANCES, {"label_smoothing": 0.1}),
    ("categorical_crossentropy", np.eye(4)[[1, 2]], SATURATED, {}),
    ("sparse_categorical_crossentropy", LABELS, CHANCES, {}),
    ("sparse_categorical_crossentropy", LABELS[:, None], CHANCES, {}),
    ("sparse_categorical_crossentropy", np.array([1, 2]), SATURATED, {}),
    ("sparse_categorical_crossentropy", LABELS.reshape(2, 3), CHANCES.reshape(2, 3, C), {}),
    ("binary_crossentropy", BITS, SCORES, {}),
    ("binary_crossentropy", BITS, SCORES, {"label_smoothing": 0.2}),
    ("binary_crossentropy", BITS[:2], SATURATED, {}),
    ("binary_focal_crossentropy", BITS, SCORES, {"gamma": 3.0}),
    ("binary_focal_crossentropy", BITS, SCORES, {"apply_class_balancing": True}),
    ("categorical_focal_crossentropy", ONE_HOT, CHANCES, {"alpha": 0.5}),
]


@pytest.mark.parametrize(("name", "targets", "predictions", "options"), LOSSES)
def test_loss(name: str, targets: np.ndarray, predictions: np.ndarray, options: dict) -> None:
    targets = np.ascontiguousarray(targets)
    theirs, ours = getattr(keras.losses, name), getattr(losses, name)
    agree(
        keras_results(lambda p: theirs(targets, p, **options), predictions),
        torch_results(lambda p: ours(torch.tensor(targets), p, **options), predictions),
        1e-8 if name == "log_cosh" else 1e-13,  # Keras rounds log(2) to single precision
    )


def test_sample_weights() -> None:
    weights = np.abs(draw(N))
    expected = keras.losses.MeanSquaredError()(Y, X, sample_weight=weights)
    each = losses.mean_squared_error(torch.tensor(Y), torch.tensor(X))
    agree([expected.numpy()], [losses.weighted_mean(each, torch.tensor(weights)).numpy()])


def test_targets_of_another_rank() -> None:
    expected = keras.losses.MeanSquaredError()(Y[:, 0], X[:, :1])
    ours = losses.mean_squared_error(torch.tensor(Y[:, 0]), torch.tensor(X[:, :1])).mean()
    agree([expected.numpy()], [ours.numpy()])


# ------------------------------------------------------------------ metrics

t = torch.tensor
METRICS: list[tuple[Callable, Callable, np.ndarray, np.ndarray]] = [
    (
        keras.metrics.SparseCategoricalAccuracy,
        metrics.sparse_categorical_accuracy,
        LABELS,
        X,
    ),
    (keras.metrics.CategoricalAccuracy, metrics.categorical_accuracy, ONE_HOT, X),
    (keras.metrics.BinaryAccuracy, metrics.binary_accuracy, BITS, SCORES),
    (
        lambda: keras.metrics.SparseTopKCategoricalAccuracy(2),
        lambda y, p: metrics.top_k_accuracy(y, p, 2),
        LABELS,
        X.astype(np.float32),
    ),
    (keras.metrics.MeanSquaredError, losses.mean_squared_error, Y, X),
]


@pytest.mark.parametrize(("make", "function", "targets", "predictions"), METRICS)
def test_mean_metric(
    make: Callable, function: Callable, targets: np.ndarray, predictions: np.ndarray
) -> None:
    expected, mean = make(), metrics.Mean()
    for part in (slice(0, 4), slice(4, 6)):
        expected.update_state(targets[part], predictions[part])
        mean.update_state(function(t(targets[part]), t(predictions[part])))
    assert float(mean.result()) == pytest.approx(float(expected.result()), rel=1e-6)
    mean.reset_state()
    assert mean.result() == 0


@pytest.mark.parametrize("name", ["Precision", "Recall", "AUC"])
def test_confusion_metric(name: str) -> None:
    expected, ours = getattr(keras.metrics, name)(), getattr(metrics, name)()
    for _ in range(3):
        targets, scores = (draw(20) > 0).astype(float), 1 / (1 + np.exp(-draw(20)))
        expected.update_state(targets, scores)
        ours.update_state(t(targets), t(scores))
    assert float(ours.result()) == pytest.approx(float(expected.result()), rel=1e-5)


def test_counts() -> None:
    other = np.array([0, 1, 1, 2, 3, 1])
    expected = tf.math.confusion_matrix(LABELS, other).numpy()
    assert np.array_equal(metrics.confusion_matrix(t(LABELS), t(other)).numpy(), expected)
    assert np.array_equal(metrics.to_categorical(LABELS), keras.utils.to_categorical(LABELS))


# ------------------------------------------------------------------ schedules

SCHEDULES = [
    ("ExponentialDecay", schedules.exponential_decay, (0.1, 7, 0.5), {}),
    ("ExponentialDecay", schedules.exponential_decay, (0.1, 7, 0.5), {"staircase": True}),
    ("InverseTimeDecay", schedules.inverse_time_decay, (0.1, 7, 0.5), {}),
    ("PolynomialDecay", schedules.polynomial_decay, (0.1, 15, 0.01, 2.0), {}),
    ("PolynomialDecay", schedules.polynomial_decay, (0.1, 15, 0.01), {"cycle": True}),
    ("CosineDecay", schedules.cosine_decay, (0.1, 20), {"alpha": 0.1}),
    (
        "CosineDecay",
        schedules.cosine_decay,
        (0.0, 20, 0.1),
        {"warmup_target": 0.2, "warmup_steps": 5},
    ),
    ("CosineDecayRestarts", schedules.cosine_decay_restarts, (0.1, 5, 2.0, 0.5, 0.1), {}),
]


@pytest.mark.parametrize(("name", "function", "arguments", "options"), SCHEDULES)
def test_schedule(name: str, function: Callable, arguments: tuple, options: dict) -> None:
    wrap = lambda value: f(value) if isinstance(value, float) else value
    given = {key: wrap(value) for key, value in options.items()}
    expected = getattr(keras.optimizers.schedules, name)(*map(wrap, arguments), **given)
    schedule = function(*arguments, **options)
    for step in range(40):
        assert schedule(step) == pytest.approx(float(expected(step)), rel=1e-7, abs=1e-9)


def test_piecewise_constant_decay_of_an_optimizer() -> None:
    boundaries, values = [5, 12], [0.1, 0.01, 0.001]
    expected = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = schedules.piecewise_constant_decay(boundaries, values)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    for step in range(20):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(float(expected(step)), rel=1e-7)
        optimizer.step()
        scheduler.step()


# ------------------------------------------------------------------ callbacks

VALUES = np.concatenate([np.linspace(1, 0.5, 6), np.full(4, 0.5), np.linspace(0.48, 0.6, 9)])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 3, "min_delta": 0.01},
        {"patience": 2, "mode": "max"},
        {"patience": 2, "baseline": 0.3, "start_from_epoch": 2},
    ],
)
def test_early_stopping(options: dict) -> None:
    inner = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    inner.compile("sgd", "mse")
    inner.stop_training = False
    expected = keras.callbacks.EarlyStopping(
        monitor="v", restore_best_weights=True, **({"mode": "min"} | options)
    )
    expected.set_model(inner)
    expected.on_train_begin()
    module = torch.nn.Linear(1, 1)
    stopping = callbacks.EarlyStopping(restore_best_weights=True, **options)
    for epoch, value in enumerate(VALUES):
        inner.layers[0].bias.assign([epoch])
        module.bias.data.fill_(epoch)
        expected.on_epoch_end(epoch, {"v": value})
        assert stopping.step(value, epoch, module) == inner.stop_training
        if inner.stop_training:
            break
    expected.on_train_end()
    stopping.restore(module)
    assert module.bias.item() == float(inner.layers[0].bias[0])


@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (1, 1), (2, 2), (3, 4)])
def test_plateau_is_that_of_torch_with_other_counts(patience: int, cooldown: int) -> None:
    inner = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    inner.compile(keras.optimizers.SGD(0.1), "mse")
    options = {"factor": 0.5, "min_lr": 1e-3}
    expected = keras.callbacks.ReduceLROnPlateau(
        monitor="v", mode="min", patience=patience, cooldown=cooldown, min_delta=1e-3, **options
    )
    expected.set_model(inner)
    expected.on_train_begin()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        patience=max(patience, 1) - 1,
        cooldown=max(cooldown - 1, 0),
        threshold=1e-3,
        threshold_mode="abs",
        eps=0,
        **options,
    )
    for epoch, value in enumerate(VALUES):
        expected.on_epoch_end(epoch, {"v": value})
        scheduler.step(value)
        rate = float(inner.optimizer.learning_rate)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, rel=1e-6)


def test_model_checkpoint(tmp_path) -> None:
    module = torch.nn.Linear(1, 1)
    best = callbacks.ModelCheckpoint(tmp_path / "best.pt")
    named = callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.2f}.pt", whole=True)
    for epoch, value in enumerate([0.5, 0.3, 0.4]):
        module.bias.data.fill_(epoch)
        best.step(value, epoch, module)
        named.step(value, epoch, module, val_loss=value)
    assert torch.load(tmp_path / "best.pt")["bias"].item() == 1
    assert torch.load(tmp_path / "02-0.30.pt", weights_only=False).bias.item() == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["01-0.50.pt", "02-0.30.pt", "best.pt"]
    assert math.isclose(best.best, 0.3)


def test_csv_logger(tmp_path) -> None:
    logger = callbacks.CSVLogger(tmp_path / "log.csv")
    logger.write(0, {"loss": 2.0, "accuracy": 0.5})
    logger.write(1, {"loss": 1.0})
    logger.close()
    assert (tmp_path / "log.csv").read_text().split() == [
        "epoch,accuracy,loss",
        "0,0.5,2.0",
        "1,NA,1.0",
    ]


def test_metrics_of_objects() -> None:
    ours, theirs = metrics.MeanIoU(4), keras.metrics.MeanIoU(4)
    other = np.array([0, 3, 2, 2, 1, 1])
    theirs.update_state(LABELS, other)
    agree([theirs.result().numpy()], [ours(t(LABELS), t(other)).numpy()], 1e-6)
    root, expected = metrics.RootMeanSquaredError(), keras.metrics.RootMeanSquaredError()
    total, sums = metrics.Sum(), keras.metrics.Sum()
    for _ in range(2):
        agree([expected(Y, X).numpy()], [root(t(Y), t(X)).numpy()])
        agree([sums(X).numpy()], [total(t(X)).numpy()])
    counted = [(getattr(metrics, n)(), getattr(keras.metrics, n)())
               for n in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives",
                         "Precision", "Recall")]  # fmt: skip
    for mine, kerass in counted:
        kerass.update_state(BITS, SCORES)
        agree([kerass.result().numpy()], [mine(t(BITS), t(SCORES)).double().numpy()], 1e-6)


def test_loss_objects() -> None:
    logits = {
        "SparseCategoricalCrossentropy": (loss_objects.sparse_cross_entropy, LABELS),
        "CategoricalCrossentropy": (loss_objects.soft_cross_entropy, ONE_HOT),
        "BinaryCrossentropy": (loss_objects.binary_cross_entropy, BITS),
    }
    weights = np.abs(draw(N))
    for name, (function, targets) in logits.items():
        for reduction in ("sum_over_batch_size", "sum", None):
            theirs = getattr(keras.losses, name)(from_logits=True, reduction=reduction)
            kind = {"sum": "sum", None: "none"}.get(reduction, "mean")
            mine = loss_objects.MeanLoss(function, kind)
            agree(
                keras_results(lambda p, f=theirs, y=targets: f(y, p, sample_weight=weights), X),
                torch_results(lambda p, f=mine, y=targets: f(y, p, weights), X),
            )


def test_loss_objects_that_ignore_a_class_count_the_others() -> None:
    softmax = keras.activations.softmax
    weights = np.abs(draw(N))
    for reduction in ("sum_over_batch_size", "sum", None):
        kind = {"sum": "sum", None: "none"}.get(reduction, "mean")
        for function, end in ((loss_objects.sparse_cross_entropy, False),
                              (loss_objects.sparse_log_loss, True)):  # fmt: skip
            theirs = keras.losses.SparseCategoricalCrossentropy(
                from_logits=not end, ignore_class=2, reduction=reduction
            )
            mine = loss_objects.MeanLoss(function, kind, ignore_class=2)
            for given in ((), (weights,)):
                agree(
                    keras_results(
                        lambda p, f=theirs, e=end, w=given: f(LABELS, softmax(p) if e else p, *w), X
                    ),
                    torch_results(
                        lambda p, f=mine, e=end, w=given: f(LABELS, p.softmax(-1) if e else p, *w),
                        X,
                    ),
                )


def test_losses_of_probabilities_whose_logits_keras_finds() -> None:
    softmax, sigmoid = keras.activations.softmax, keras.activations.sigmoid
    cases = [
        ("sparse_categorical_crossentropy", softmax, loss_objects.sparse_log_loss, LABELS),
        ("categorical_crossentropy", softmax, loss_objects.soft_log_loss, ONE_HOT),
        ("binary_crossentropy", sigmoid, loss_objects.binary_log_loss, BITS),
    ]
    for name, end, ours, targets in cases:
        theirs = getattr(keras.losses, name)
        last = torch.sigmoid if end is sigmoid else lambda p: p.softmax(-1)
        agree(
            keras_results(lambda p, f=theirs, e=end, y=targets: f(y, e(p)), X),
            torch_results(lambda p, f=ours, e=last, y=targets: f(torch.tensor(y), e(p)), X),
        )


def test_gradients_as_tensorflow_clips_them() -> None:
    arrays = [draw(3, 2), draw(4)]
    for bound in (0.5, 100.0):
        expected, norm = tf.clip_by_global_norm([tf.constant(a) for a in arrays], bound)
        parameters = [torch.nn.Parameter(t(a)) for a in arrays]
        for parameter, array in zip(parameters, arrays, strict=True):
            parameter.grad = t(array)
        found = gradients.clip_by_global_norm(parameters, bound)
        agree([norm.numpy(), *(e.numpy() for e in expected)],
              [found.numpy(), *(p.grad.numpy() for p in parameters)])  # fmt: skip
        clipped, same = gradients.clip_all_by_global_norm([t(a) for a in arrays], bound)
        agree([norm.numpy(), *(e.numpy() for e in expected)],
              [same.numpy(), *(c.numpy() for c in clipped)])  # fmt: skip


def test_jacobians() -> None:
    start = draw(3, 2)
    variable = tf.Variable(start)
    with tf.GradientTape(persistent=True) as tape:
        result = tf.sin(variable) * variable[:, :1]
    x = torch.tensor(start, requires_grad=True)
    y = torch.sin(x) * x[:, :1]
    agree([tape.jacobian(result, variable).numpy(), tape.batch_jacobian(result, variable).numpy()],
          [gradients.jacobian(y, x).numpy(), gradients.batch_jacobian(y, x).numpy()])  # fmt: skip


def test_weights_as_lists() -> None:
    one, two = (torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)) for _ in "ab")
    weights.set_weights(two, weights.get_weights(one))
    same = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_nested_gradients_come_in_the_lists_of_the_sources() -> None:
    a, b, c = (torch.full((2,), float(i), requires_grad=True) for i in range(3))
    found = gradients.nested_gradients((a * b).sum(), [[a, c], [b]], allow_unused=True)
    assert found[0][1] is None
    assert [len(part) for part in found] == [2, 1]
    assert torch.equal(found[0][0], b)
    assert torch.equal(found[1][0], a)
