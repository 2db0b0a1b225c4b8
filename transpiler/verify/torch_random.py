"""torch's random functions in a twin run: their results pass through the tape."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional

from transpiler.verify.side import Run


def watch_draws(run: Run) -> None:
    """Patch the functions and methods that draw."""
    draws = _Draws(run)
    for name in ("randn", "rand", "randn_like", "rand_like"):
        kind = "normal" if "randn" in name else "uniform"
        setattr(torch, name, draws.wrap(kind, getattr(torch, name)))
    torch.randint = draws.integers(torch.randint, 0)
    torch.randint_like = draws.integers(torch.randint_like, 1)
    torch.randperm = draws.wrap("permutation", torch.randperm)
    torch.normal = draws.normal(torch.normal)
    torch.bernoulli = draws.bernoulli(torch.bernoulli)
    torch.multinomial = draws.multinomial(torch.multinomial)
    for name in ("poisson", "_standard_gamma"):
        setattr(torch, name, draws.wrap(name.strip("_"), getattr(torch, name)))
    watch_methods(draws)
    watch_truncated(draws)
    watch_dropouts(draws)
    watch_samplers(draws)


class _Draws:
    """Wrappers around one run's tape."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def through(self, kind: str, tensor: Any, like: Any = None) -> Any:
        """A tensor's values by way of the tape."""
        if self.run.draws.pauses:
            return tensor
        values = tensor.detach().cpu().numpy()
        mark = None if like is None else like.detach().cpu().numpy()
        served = self.run.draws.through(kind, values, mark)
        return torch.from_numpy(np.array(served)).to(tensor.dtype)

    def wrap(self, kind: str, function: Any) -> Any:
        """A function whose whole result is random."""

        def call(*args: Any, **kwargs: Any) -> Any:
            out = kwargs.pop("out", None)
            tracked = kwargs.pop("requires_grad", False)
            result = self.through(kind, function(*args, **kwargs))
            if out is not None:
                return out.copy_(result)
            return result.requires_grad_() if tracked else result

        return call

    def integers(self, function: Any, first: int) -> Any:
        """Whole numbers, kept as their distance from the lower bound in a range of that length."""

        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            bounds = [a for a in args[first:] if isinstance(a, int)]
            high = kwargs.get("high", bounds[-1] if bounds else 0)
            low = kwargs.get("low", bounds[0] if len(bounds) > 1 or "high" in kwargs else 0)
            return self.through(f"integer below {high - low}", result - low) + low

        return call

    def normal(self, function: Any) -> Any:
        """torch.normal: means and deviations around standard normal numbers."""

        def call(mean: Any = 0.0, std: Any = 1.0, size: Any = None, **kwargs: Any) -> Any:
            generator = kwargs.get("generator")
            if size is None:
                parts = [torch.as_tensor(x) for x in (mean, std)]
                size = torch.broadcast_shapes(*(p.shape for p in parts))
                dtype = next(x for x in (mean, std) if isinstance(x, torch.Tensor)).dtype
            else:
                dtype = kwargs.get("dtype")
            noise = torch.empty(size, dtype=dtype)
            noise = self.through("normal", NORMAL(noise, generator=generator))
            with torch.no_grad():
                result = noise * std + mean
            return result.requires_grad_() if kwargs.get("requires_grad") else result

        return call

    def bernoulli(self, function: Any) -> Any:
        """Coins, kept as uniform numbers that fall on the same side."""

        def call(p: Any, *args: Any, **kwargs: Any) -> Any:
            chance = torch.full_like(p, args[0]) if args else p
            result = function(chance, **kwargs)
            spread = torch.frac(torch.arange(result.numel()) * 0.618033988749895 + 0.5)
            spread = spread.reshape(result.shape).to(chance.dtype)
            uniform = torch.where(result > 0, chance * spread, chance + (1 - chance) * spread)
            return (self.through("uniform", uniform) < chance).to(result.dtype)

        return call

    def multinomial(self, function: Any) -> Any:
        """Categories, kept as places on the cumulative scale of their probabilities."""

        def call(p: Any, count: int, replacement: bool = False, **kwargs: Any) -> Any:
            result = function(p, count, replacement, **kwargs)
            if count > 1 and not replacement:
                return self.through("choice", result)
            scale = p.detach().double().cumsum(-1)
            scale = scale / scale[..., -1:]
            low = torch.nn.functional.pad(scale, (1, 0))
            middle = (low.gather(-1, result) + scale.gather(-1, result)) / 2
            served = self.through("category", middle)
            found = torch.searchsorted(scale.contiguous(), served.contiguous(), right=True)
            return found.clamp(max=p.shape[-1] - 1)

        return call


def watch_samplers(draws: _Draws) -> None:
    """The order of one pass through a loader, as one draw.

    RandomSampler draws once more than it needs at the end of each pass, and seeds a generator.
    """
    from torch.utils.data import dataset, sampler

    dataset.randperm = torch.randperm  # random_split has a name of its own for it
    for name, kind in (("RandomSampler", "permutation"), ("WeightedRandomSampler", "choice")):
        cls = getattr(sampler, name)
        cls.__iter__ = _one_draw(cls.__iter__, kind, draws.run)


def _one_draw(function: Any, kind: str, run: Run) -> Any:
    def call(self: Any) -> Any:
        with run.draws.paused():
            order = np.array(list(function(self)), dtype=np.int64)
        whole = len(set(order.tolist())) == len(order)
        served = run.draws.through(kind if whole else "choice", order)
        return iter(served.tolist())

    return call


NORMAL = torch.Tensor.normal_
UNIFORM = torch.Tensor.uniform_


def from_init() -> bool:
    """Whether a method was called by torch.nn.init, or from inside the data loader."""
    filename = sys._getframe(2).f_code.co_filename.replace("\\", "/")
    return filename.endswith(("torch/nn/init.py", "torch/utils/data/dataloader.py"))


def watch_truncated(draws: _Draws) -> None:
    """What stands for tf.random.truncated_normal draws by way of an initializer."""
    fill = torch.nn.init.trunc_normal_

    def call(tensor: Any, mean: float = 0.0, std: float = 1.0, *bounds: Any, **more: Any) -> Any:
        if sys._getframe(1).f_code.co_name != "truncated_normal":
            return fill(tensor, mean, std, *bounds, **more)
        noise = draws.through("truncated", fill(torch.empty_like(tensor)))
        return tensor.copy_(noise * std + mean)

    torch.nn.init.trunc_normal_ = call


def watch_methods(draws: _Draws) -> None:
    """The in-place methods: x.normal_(), x.uniform_(), x.bernoulli_(), ..."""

    def normal_(self: Any, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
        if from_init():
            return NORMAL(self, mean, std, generator=generator)
        noise = NORMAL(torch.empty_like(self, requires_grad=False), generator=generator)
        with torch.no_grad():
            return self.copy_(draws.through("normal", noise) * std + mean)

    def uniform_(self: Any, low: float = 0, high: float = 1, *, generator: Any = None) -> Any:
        if from_init():
            return UNIFORM(self, low, high, generator=generator)
        noise = UNIFORM(torch.empty_like(self, requires_grad=False), generator=generator)
        with torch.no_grad():
            return self.copy_(draws.through("uniform", noise) * (high - low) + low)

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
        chance = p if isinstance(p, torch.Tensor) else torch.full_like(self, p)
        with torch.no_grad():
            return self.copy_(torch.bernoulli(chance.expand_as(self), generator=generator))

    def multinomial(self: Any, count: int, replacement: bool = False, **kwargs: Any) -> Any:
        return torch.multinomial(self, count, replacement, **kwargs)

    def bernoulli(self: Any, *args: Any, **kwargs: Any) -> Any:
        return torch.bernoulli(self, *args, **kwargs)

    methods: list[Callable[..., Any]] = [normal_, uniform_, bernoulli_, multinomial, bernoulli]
    for method in methods:
        setattr(torch.Tensor, method.__name__, method)
    for name in ("exponential_", "geometric_", "cauchy_", "log_normal_"):
        setattr(torch.Tensor, name, _raw_method(draws, name))


def _raw_method(draws: _Draws, name: str) -> Any:
    method = getattr(torch.Tensor, name)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        noise = method(torch.empty_like(self, requires_grad=False), *args, **kwargs)
        with torch.no_grad():
            return self.copy_(draws.through(name.strip("_"), noise))

    return call


def watch_dropouts(draws: _Draws) -> None:
    """Dropout in all its places: which elements were kept passes through the tape."""
    recorder = draws.run.recorder

    def mask(function: Any, x: Any, p: float, shape: Any) -> Any:
        kept = function(torch.ones_like(x, requires_grad=False), p, True) != 0
        like = x if tuple(shape) == tuple(x.shape) else None
        kept = kept[tuple(slice(0, n) for n in shape)]
        return draws.through("kept", kept, like)

    def patch(name: str, shape_of: Callable[[Any], Any]) -> None:
        function = getattr(functional, name)

        def call(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
            if p > 0:
                recorder.saw_mode(training)
            if not training or p == 0 or p >= 1:
                return function(input, p, training, inplace)
            kept = mask(function, input, p, shape_of(input))
            result = input * (kept.to(input.dtype) / (1 - p))
            return input.copy_(result) if inplace and not input.requires_grad else result

        setattr(functional, name, call)

    patch("dropout", lambda x: x.shape)
    for name in ("dropout1d", "dropout2d", "dropout3d"):
        patch(name, lambda x: (*x.shape[:2], *(1 for _ in x.shape[2:])))
    watch_attention(draws)
    watch_recurrent(draws)
    for name, place in (("batch_norm", 5), ("instance_norm", 5)):
        setattr(functional, name, _norm(getattr(functional, name), place, draws))


def _norm(function: Any, place: int, draws: _Draws) -> Any:
    def call(x: Any, mean: Any = None, *args: Any, **kwargs: Any) -> Any:
        given = args[place - 2] if len(args) > place - 2 else None
        training = kwargs.get("training", kwargs.get("use_input_stats", given))
        if kwargs.get("running_mean", mean) is not None and training is not None:
            draws.run.recorder.saw_mode(training)
        return function(x, mean, *args, **kwargs)

    return call


def watch_attention(draws: _Draws) -> None:
    """scaled_dot_product_attention with dropout, spelled out so that its mask can be shared."""
    function = functional.scaled_dot_product_attention

    def call(
        q: Any, k: Any, v: Any, mask: Any = None, p: float = 0.0, *args: Any, **kw: Any
    ) -> Any:
        mask, p = kw.pop("attn_mask", mask), kw.pop("dropout_p", p)
        if p == 0:
            return function(q, k, v, mask, p, *args, **kw)
        causal = args[0] if args else kw.get("is_causal", False)
        scale = kw.get("scale") or q.shape[-1] ** -0.5
        scores = q @ k.transpose(-2, -1) * scale
        if causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, float("-inf"))
        elif mask is not None:
            scores = scores + mask
        return functional.dropout(scores.softmax(-1), p) @ v

    functional.scaled_dot_product_attention = call


def watch_recurrent(draws: _Draws) -> None:
    """The dropout between the layers of nn.LSTM and friends: one layer at a time."""
    from torch.nn.modules import rnn

    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        setattr(rnn._VF, name, _by_layers(getattr(rnn._VF, name), name == "lstm", draws))


def _by_layers(function: Any, has_cell: bool, draws: _Draws) -> Any:
    def call(x: Any, *args: Any) -> Any:
        if isinstance(args[2], bool):  # (x, hx, weights, biases, layers, p, train, both, first)
            hx, weights, biases, layers, p, train, both, first = args
            if layers > 1 and p > 0:
                draws.run.recorder.saw_mode(train)
            if layers > 1 and p > 0 and train:
                return stack(x, hx, weights, biases, layers, p, both, first)
        return function(x, *args)

    def stack(
        x: Any, hx: Any, weights: Any, biases: bool, layers: int, p: float, both: bool, first: bool
    ) -> Any:
        states = hx if has_cell else (hx,)
        width, size = 2 if both else 1, len(weights) // layers
        finals = []
        for i in range(layers):
            start = [s[i * width : (i + 1) * width].contiguous() for s in states]
            own = weights[i * size : (i + 1) * size]
            now = start if has_cell else start[0]
            x, *final = function(x, now, own, biases, 1, 0.0, True, both, first)
            finals.append(final)
            if i + 1 < layers:
                x = functional.dropout(x, p)
        return (x, *(torch.cat(parts) for parts in zip(*finals, strict=True)))

    return call
