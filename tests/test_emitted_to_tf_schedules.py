"""Emitted schedules against torch.optim.lr_scheduler: the learning rate of every step."""

import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
import torch
from emitted_results import double_precision
from torch.optim import lr_scheduler

from transpiler.rules.emitted.to_tf import optimizers, schedules

__all__ = ["double_precision"]

STEPS = 40
LAMBDA = lambda epoch: 1 / (1 + epoch)

FACTORS: list[tuple[str, Callable, Callable]] = [
    (
        "step",
        lambda o: lr_scheduler.StepLR(o, 10, 0.5),
        lambda o: schedules.EpochSchedule(o, lambda epoch: 0.5 ** (epoch // 10)),
    ),
    (
        "multistep",
        lambda o: lr_scheduler.MultiStepLR(o, [5, 12], 0.1),
        lambda o: schedules.EpochSchedule(
            o, lambda epoch: 0.1 ** sum(epoch >= milestone for milestone in [5, 12])
        ),
    ),
    (
        "exponential",
        lambda o: lr_scheduler.ExponentialLR(o, 0.9),
        lambda o: schedules.EpochSchedule(o, lambda epoch: 0.9**epoch),
    ),
    (
        "cosine",
        lambda o: lr_scheduler.CosineAnnealingLR(o, 15, 0.01),
        lambda o: schedules.EpochSchedule(
            o, lambda epoch: (1 + math.cos(math.pi * epoch / 15)) / 2, minimum=0.01
        ),
    ),
    (
        "restarts",
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
        lambda o: schedules.EpochSchedule(o, schedules.warm_restarts(5, 2), minimum=0.001),
    ),
    (
        "lambda",
        lambda o: lr_scheduler.LambdaLR(o, LAMBDA),
        lambda o: schedules.EpochSchedule(o, LAMBDA),
    ),
    (
        "multiplicative",
        lambda o: lr_scheduler.MultiplicativeLR(o, LAMBDA),
        lambda o: schedules.EpochSchedule(
            o, lambda epoch: math.prod(LAMBDA(k) for k in range(1, epoch + 1))
        ),
    ),
    (
        "linear",
        lambda o: lr_scheduler.LinearLR(o, 0.25, 0.75, 8),
        lambda o: schedules.EpochSchedule(o, lambda epoch: 0.25 + 0.5 * min(epoch, 8) / 8),
    ),
    (
        "constant",
        lambda o: lr_scheduler.ConstantLR(o, 0.5, 4),
        lambda o: schedules.EpochSchedule(o, lambda epoch: 0.5 if epoch < 4 else 1.0),
    ),
    (
        "polynomial",
        lambda o: lr_scheduler.PolynomialLR(o, 20, 2.0),
        lambda o: schedules.EpochSchedule(o, lambda epoch: (1 - min(epoch, 20) / 20) ** 2),
    ),
    (
        "sequential",
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 5), lr_scheduler.CosineAnnealingLR(o, 30)], [5]
        ),
        lambda o: schedules.SequentialLR(
            o,
            [
                schedules.EpochSchedule(o, lambda epoch: 0.1 + 0.9 * min(epoch, 5) / 5),
                schedules.EpochSchedule(o, lambda epoch: (1 + math.cos(math.pi * epoch / 30)) / 2),
            ],
            [5],
        ),
    ),
    (
        "chained",
        lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ConstantLR(o, 0.1, 3), lr_scheduler.ExponentialLR(o, 0.9)]
        ),
        lambda o: schedules.ChainedScheduler(
            [
                schedules.EpochSchedule(o, lambda epoch: 0.1 if epoch < 3 else 1.0),
                schedules.EpochSchedule(o, lambda epoch: 0.9**epoch),
            ]
        ),
    ),
]

CYCLES = [
    ("CyclicLR", (0.01, 0.1), {"step_size_up": 4, "step_size_down": 7}),
    ("CyclicLR", (0.01, 0.1), {"step_size_up": 5, "mode": "triangular2"}),
    ("CyclicLR", (0.01, 0.1), {"step_size_up": 5, "mode": "exp_range", "gamma": 0.9}),
    ("OneCycleLR", (0.5,), {"total_steps": STEPS + 1}),
    ("OneCycleLR", (0.5,), {"epochs": 5, "steps_per_epoch": 9, "anneal_strategy": "linear"}),
    ("OneCycleLR", (0.5,), {"total_steps": STEPS + 1, "three_phase": True, "pct_start": 0.25}),
]


def torch_sgd() -> torch.optim.Optimizer:
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    return torch.optim.SGD([parameter], 0.1, momentum=0.9)


@pytest.mark.parametrize(("name", "theirs", "ours"), FACTORS, ids=[case[0] for case in FACTORS])
def test_learning_rates_follow_torch(name: str, theirs: Callable, ours: Callable) -> None:
    expected, optimizer = torch_sgd(), keras.optimizers.SGD(0.1)
    reference, scheduler = theirs(expected), ours(optimizer)
    for _ in range(STEPS):
        rate = expected.param_groups[0]["lr"]
        assert math.isclose(float(optimizer.learning_rate), rate, rel_tol=1e-13, abs_tol=1e-16)
        assert scheduler.get_last_lr() == [float(optimizer.learning_rate)]
        expected.step()
        reference.step()
        scheduler.step()
    state = scheduler.state_dict()
    again = ours(keras.optimizers.SGD(0.1))
    again.load_state_dict(state)
    assert again.get_last_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize(("name", "arguments", "options"), CYCLES)
def test_cycles_follow_torch(name: str, arguments: tuple, options: dict, adam: bool) -> None:
    expected, optimizer = torch_sgd(), optimizers.TorchSGD(0.1, momentum=0.9)
    if adam:
        expected = torch.optim.Adam(expected.param_groups[0]["params"], 0.1)
        optimizer = optimizers.TorchAdam(0.1)
    reference = getattr(lr_scheduler, name)(expected, *arguments, **options)
    scheduler = getattr(schedules, name)(optimizer, *arguments, **options)
    for _ in range(STEPS):
        group = expected.param_groups[0]
        momentum = group["betas"][0] if adam else group["momentum"]
        ours = float((optimizer.beta_1 if adam else optimizer.momentum).numpy())
        assert math.isclose(float(optimizer.learning_rate), group["lr"], rel_tol=1e-12)
        assert math.isclose(ours, momentum, rel_tol=1e-13)
        expected.step()
        reference.step()
        scheduler.step()


def test_warm_restarts_take_parts_of_epochs() -> None:
    expected, optimizer = torch_sgd(), keras.optimizers.SGD(0.1)
    reference = lr_scheduler.CosineAnnealingWarmRestarts(expected, 3, 2)
    scheduler = schedules.EpochSchedule(optimizer, schedules.warm_restarts(3, 2))
    for step in range(60):
        reference.step(step / 4)
        scheduler.step(step / 4)
        assert math.isclose(scheduler.get_last_lr()[0], reference.get_last_lr()[0], rel_tol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"factor": 0.5, "patience": 2, "cooldown": 1},
        {"patience": 1, "threshold_mode": "abs", "threshold": 0.01, "min_lr": 0.002},
        {"mode": "max", "patience": 3, "factor": 0.2},
    ],
)
@pytest.mark.parametrize("floatx", ["float64", "float32"])
def test_plateau_follows_torch(options: dict, floatx: str) -> None:
    keras.config.set_floatx(floatx)
    values = np.concatenate([np.linspace(1, 0.5, 8), np.full(12, 0.5), np.linspace(0.5, 0.9, 9)])
    expected, optimizer = torch_sgd(), keras.optimizers.SGD(0.1)
    reference = lr_scheduler.ReduceLROnPlateau(expected, **options)
    scheduler = schedules.ReduceLROnPlateau(optimizer, **options)
    for value in values:
        reference.step(value)
        scheduler.step(value)
        assert math.isclose(scheduler.get_last_lr()[0], reference.get_last_lr()[0], rel_tol=1e-12)
    assert scheduler.num_bad_epochs == reference.num_bad_epochs
    assert scheduler.best == reference.best
