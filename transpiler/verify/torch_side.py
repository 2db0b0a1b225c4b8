"""The torch side of a twin run: everything that is patched before the script starts."""

from __future__ import annotations

import os
from typing import Any

import torch

from transpiler.verify.side import Run
from transpiler.verify.torch_models import watch_models
from transpiler.verify.torch_random import watch_draws
from transpiler.verify.torch_steps import watch_steps


def install(run: Run) -> None:
    """Patch torch for one run."""
    torch.set_num_threads(1)
    if run.setup.float64:
        widen_defaults()
    plain_execution()
    watch_files(run)
    watch_draws(run)
    watch_steps(run)
    watch_models(run)
    torch.manual_seed(0)
    if not run.record:
        watch_seed(run)


def watch_files(run: Run) -> None:
    """torch.save opens its files itself: cut a link before it writes through it."""
    save = torch.save

    def patched(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(f, str | os.PathLike):
            run.cut_link(f)
        save(obj, f, *args, **kwargs)

    torch.save = patched


def watch_seed(run: Run) -> None:
    """Where the original's one call seeded Python and numpy too, torch's does so here."""
    seed = torch.manual_seed

    def manual_seed(value: Any) -> Any:
        run.seeds.framework(value)
        return seed(value)

    torch.manual_seed = manual_seed


def widen_defaults() -> None:
    """Double precision for what is made without a dtype and for float32 arrays that come in."""
    torch.set_default_dtype(torch.float64)
    for name in ("from_numpy", "tensor", "as_tensor"):
        setattr(torch, name, _widened(getattr(torch, name)))
    autocast = torch.autocast.__init__

    def without_autocast(self: Any, *args: Any, **kwargs: Any) -> None:
        kwargs["enabled"] = False
        autocast(self, *args[:2], **kwargs)

    torch.autocast.__init__ = without_autocast


def _widened(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if result.dtype == torch.float32 and not result.requires_grad:
            result = result.double()
        elif result.dtype == torch.float32:
            result = result.detach().double().requires_grad_()
        return result

    return call


def plain_execution() -> None:
    """No compilation and no worker processes: the same program, in one place."""
    torch.compile = lambda model=None, **_: model if model is not None else (lambda f: f)
    loader = torch.utils.data.DataLoader.__init__

    def in_process(self: Any, *args: Any, **kwargs: Any) -> None:
        args = (*args[:5], 0, *args[6:]) if len(args) > 5 else args
        kwargs.pop("num_workers", None)
        for name in ("prefetch_factor", "persistent_workers", "multiprocessing_context"):
            kwargs.pop(name, None)
        kwargs.pop("timeout", None)
        loader(self, *args, **kwargs)

    torch.utils.data.DataLoader.__init__ = in_process
