"""Keras' learning-rate schedules: the learning rate as a function of the step.

Stepped per batch by ``LambdaLR(optimizer, schedule)`` of an optimizer whose lr is 1.0.
"""

import math

import torch


def exponential_decay(initial_learning_rate, decay_steps, decay_rate, staircase=False):
    """keras ExponentialDecay."""

    def schedule(step):
        periods = step // decay_steps if staircase else step / decay_steps
        return initial_learning_rate * decay_rate**periods

    return schedule


def inverse_time_decay(initial_learning_rate, decay_steps, decay_rate, staircase=False):
    """keras InverseTimeDecay."""

    def schedule(step):
        periods = step // decay_steps if staircase else step / decay_steps
        return initial_learning_rate / (1 + decay_rate * periods)

    return schedule


def piecewise_constant_decay(boundaries, values):
    """keras PiecewiseConstantDecay: a boundary itself still has the value before it."""
    return lambda step: values[sum(step > boundary for boundary in boundaries)]


def polynomial_decay(
    initial_learning_rate, decay_steps, end_learning_rate=1e-4, power=1.0, cycle=False
):
    """keras PolynomialDecay."""

    def schedule(step):
        length = decay_steps
        if cycle:
            length *= max(math.ceil(step / decay_steps), 1)
        left = 1 - min(step, length) / length
        return (initial_learning_rate - end_learning_rate) * left**power + end_learning_rate

    return schedule


def cosine_decay(initial_learning_rate, decay_steps, alpha=0.0, warmup_target=None, warmup_steps=0):
    """keras CosineDecay: a linear warmup to the target, if given, then half a cosine."""

    def schedule(step):
        peak, start = initial_learning_rate, 0
        if warmup_target is not None:
            peak, start = warmup_target, warmup_steps
            if step < warmup_steps:
                climb = warmup_target - initial_learning_rate
                return initial_learning_rate + climb * step / warmup_steps
        part = min(step - start, decay_steps) / decay_steps
        return peak * ((1 - alpha) * (1 + math.cos(math.pi * part)) / 2 + alpha)

    return schedule


def cosine_decay_restarts(
    initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0
):
    """keras CosineDecayRestarts: each period t_mul times as long, m_mul times as high."""

    def schedule(step):
        length, height = first_decay_steps, 1.0
        while step >= length:
            step -= length
            length *= t_mul
            height *= m_mul
        wave = height * (1 + math.cos(math.pi * step / length)) / 2
        return initial_learning_rate * ((1 - alpha) * wave + alpha)

    return schedule


def scheduled(schedule, optimizer_class, parameters, **options):
    """An optimizer whose learning rate follows a schedule, moved on after each of its steps."""
    optimizer = optimizer_class(parameters, lr=1.0, **options)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    optimizer.register_step_post_hook(lambda *_: scheduler.step())
    return optimizer
