"""numpy's random functions in a twin run, where the script itself calls them.

numpy is seeded alike on both sides, so its streams survive by themselves; they pass through the
tape because a translation may draw with numpy what the original drew with its framework.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from transpiler.verify.side import Run

FUNCTIONS = {
    "permutation": "permutation",
    "choice": "choice",
    "rand": "uniform",
    "random": "uniform",
    "random_sample": "uniform",
    "randn": "normal",
    "standard_normal": "normal",
    "normal": "normal",
    "uniform": "uniform",
    "randint": "integer",
    "integers": "integer",
    **{
        name: name
        for name in (
            "beta",
            "binomial",
            "dirichlet",
            "exponential",
            "gamma",
            "geometric",
            "gumbel",
            "laplace",
            "logistic",
            "lognormal",
            "multinomial",
            "poisson",
            "triangular",
        )
    },
}


def place_of(depth: int = 1) -> str:
    """The file of a caller."""
    return sys._getframe(depth + 1).f_code.co_filename


def watch_numpy(run: Run) -> None:
    """Patch numpy's functions for the script's own calls."""
    for name, kind in FUNCTIONS.items():
        if hasattr(np.random, name):
            setattr(np.random, name, _wrap(getattr(np.random, name), name, kind, run))
    np.random.shuffle = _shuffle(np.random.permutation, np.random.shuffle, run)
    make = np.random.default_rng

    def default_rng(seed: Any = None) -> Any:
        if not run.is_users(place_of()):
            return make(seed)
        return _subclass(run)(make(0 if seed is None else seed).bit_generator)

    np.random.default_rng = default_rng


def _subclass(run: Run) -> Any:
    class Generator(np.random.Generator):
        """numpy's Generator with its draws on the tape."""

    for name, kind in FUNCTIONS.items():
        if hasattr(np.random.Generator, name):
            setattr(Generator, name, _method(getattr(np.random.Generator, name), name, kind, run))
    return Generator


def _pass(kind: str, name: str, result: Any, args: Any, kwargs: Any, run: Run) -> Any:
    """A result by way of the tape, standard numbers where they are scaled."""
    if kind == "choice":  # of indices, as torch's weighted samplers draw them
        many = isinstance(result, np.ndarray) and _is_count(args)
        return run.draws.through(kind, result, ask=False) if many else result
    if kind == "permutation":
        return run.draws.through(kind, result, ask=False) if _is_count(args) else result
    if name in ("normal", "uniform") and (args or kwargs):
        shift, scale = _scale(name, args, kwargs)
        if shift is None or not np.all(scale):
            return result
        plain = (np.asarray(result) - shift) / scale
        served = run.draws.through(kind, plain, ask=False)
        if served is plain or np.allclose(served, plain, rtol=1e-12, atol=1e-12):
            return result  # the same stream: not even rounded
        return served * scale + shift
    if kind == "integer":
        low, high = _bounds(args, kwargs)
        if np.ndim(low) or np.ndim(high):
            return result
        kind = f"integer below {high - low}"
        served = run.draws.through(kind, np.asarray(result) - low, ask=False) + low
    else:
        served = run.draws.through(kind, np.asarray(result), ask=False)
    return served.item() if np.isscalar(result) and np.ndim(served) == 0 else served


def _bounds(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The range of whole numbers that numpy was asked for, its end left out."""
    low = args[0] if args else kwargs.get("low", 0)
    high = args[1] if len(args) > 1 else kwargs.get("high")
    if high is None:
        low, high = 0, low
    return low, high + (1 if kwargs.get("endpoint") else 0)


def _scale(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    names = ("loc", "scale") if name == "normal" else ("low", "high")
    defaults = (0.0, 1.0)
    found = [
        args[i] if i < len(args) else kwargs.get(key, defaults[i]) for i, key in enumerate(names)
    ]
    first, second = np.asarray(found[0]), np.asarray(found[1])
    if first.ndim or second.ndim:
        return None, None
    return first, (second if name == "normal" else second - first)


def _is_count(args: Any) -> bool:
    return bool(args) and isinstance(args[0], int | np.integer)


def _wrap(function: Any, name: str, kind: str, run: Run) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if not run.is_users(place_of()):
            return function(*args, **kwargs)
        if kind == "permutation" and not _is_count(args):
            order = run.draws.through(kind, function(len(args[0])), ask=False)
            return np.asarray(args[0])[order]
        return _pass(kind, name, function(*args, **kwargs), args, kwargs, run)

    return call


def _method(function: Any, name: str, kind: str, run: Run) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _pass(kind, name, function(self, *args, **kwargs), args, kwargs, run)

    return call


def _shuffle(permutation: Any, shuffle: Any, run: Run) -> Any:
    def call(x: Any) -> None:
        if run.is_users(place_of()) and isinstance(x, np.ndarray):
            order = run.draws.through(
                "permutation", np.random.mtrand.permutation(len(x)), ask=False
            )
            x[:] = x[order]
        else:
            shuffle(x)

    return call
