"""torch's training steps in a twin run: losses, gradients, learning rates, loose parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from transpiler.verify.side import Run
from transpiler.verify.tape import Capture
from transpiler.verify.torch_models import flatten, to_array
from transpiler.weights.tree import Node


def watch_steps(run: Run) -> None:
    """Patch backward and the optimizers."""
    recorder = run.recorder
    backward, grad = torch.Tensor.backward, torch.autograd.grad
    functional_backward = torch.autograd.backward

    def patched_backward(self: Any, *args: Any, **kwargs: Any) -> Any:
        note_loss(self, args[0] if args else kwargs.get("gradient"))
        with quiet():
            return backward(self, *args, **kwargs)

    def patched_functional(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if not quiet.depth:
            given = args[0] if args else kwargs.get("grad_tensors")
            weights = list(flatten([given])) or [None] * 99
            for tensor, weight in zip(flatten([tensors]), weights, strict=False):
                note_loss(tensor, weight)
        return functional_backward(tensors, *args, **kwargs)

    def note_loss(tensor: Any, weight: Any) -> None:
        run.going_on()
        value = tensor.detach().double()
        if run.by_hand:
            note_by_hand(run, leaves_of(tensor))
        recorder.loss(float((value if weight is None else value * weight).sum()))
        recorder.check_stop()

    def patched_grad(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        weights = list(flatten([args[0] if args else kwargs.get("grad_outputs")]))
        for tensor, weight in zip(flatten([outputs]), weights or [None] * 99, strict=False):
            note_loss(tensor, weight)
        return grad(outputs, inputs, *args, **kwargs)

    quiet = _Quiet()
    torch.Tensor.backward = patched_backward
    torch.autograd.backward = patched_functional
    torch.autograd.grad = patched_grad
    register_optimizer_step_pre_hook(lambda optimizer, *_: note_step(run, optimizer))
    watch_clipping(run)
    watch_loose(run)


def leaves_of(loss: Any) -> list[Any]:
    """The variables that a loss depends on."""
    found: dict[int, Any] = {}
    seen, stack = set(), [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[id(node.variable)] = node.variable
        stack += [below for below, _ in node.next_functions]
    return list(found.values())


def note_by_hand(run: Run, leaves: list[Any]) -> None:
    """Without an optimizer, variables that changed since the last loss tell of a step."""
    sums = {id(v): float(v.detach().double().sum()) for v in leaves}
    run.models.loose.update((id(v), v) for v in leaves if id(v) not in run.models.names)
    run.note_sums(sums)


class _Quiet:
    """Tensor.backward calls torch.autograd.backward: the loss is noted once."""

    depth = 0

    def __call__(self) -> _Quiet:
        return self

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


def note_step(run: Run, optimizer: Any) -> None:
    """Record the learning rates and the gradients that an optimizer is about to use."""
    if isinstance(optimizer, torch.optim.LBFGS):  # it evaluates its closure as it goes
        return
    norms: dict[str, float] = {}
    places = {key: place for place, key in enumerate(run.models.loose)}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                place = places.get(id(parameter), len(places))
                name = run.models.names.get(id(parameter), f"loose {place}")
                norms[name] = norm(parameter.grad)
                keep_largest(run, name, parameter.grad)
    rates = [float(group["lr"]) for group in optimizer.param_groups if group["params"]]
    run.recorder.step(rates, norms)


def keep_largest(run: Run, name: str, gradient: Any) -> None:
    """Keep the largest gradient of each element."""
    dense = gradient.to_dense() if gradient.is_sparse else gradient
    size, known = dense.detach().abs(), run.models.largest.get(name)
    run.models.largest[name] = size if known is None else torch.maximum(size, known)


def norm(gradient: Any) -> float:
    """The Euclidean norm in double precision."""
    dense = gradient.to_dense() if gradient.is_sparse else gradient
    return float(dense.detach().double().norm())


def watch_clipping(run: Run) -> None:
    """Note the gradients' norm before they are clipped."""
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        function = getattr(torch.nn.utils, name)

        def call(parameters: Any, *args: Any, _function: Any = function, **kwargs: Any) -> Any:
            given = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
            total = sum(norm(p.grad) ** 2 for p in given if p.grad is not None) ** 0.5
            run.recorder.add("raw", value=total)
            return _function(given, *args, **kwargs)

        setattr(torch.nn.utils, name, call)
        setattr(torch.nn.utils.clip_grad, name, call)


def watch_loose(run: Run) -> None:
    """Parameters outside every module: recorded, or put in, when an optimizer takes them."""
    start = torch.optim.Optimizer.__init__
    seen: set[int] = set()

    def patched_init(self: Any, params: Any, defaults: Any) -> None:
        start(self, params, defaults)
        owned = {id(p) for m in run.models.modules() for p in m._parameters.values()}
        given = [p for group in self.param_groups for p in group["params"]]
        loose = [p for p in given if id(p) not in owned and id(p) not in seen]
        seen.update(id(p) for p in loose)
        run.models.loose.update((id(p), p) for p in loose)
        run.by_hand = run.by_hand and isinstance(self, torch.optim.LBFGS)
        if loose and run.record:
            arrays = {str(i): to_array(p) for i, p in enumerate(loose)}
            tree = Node("", ("parameters",), arrays)
            run.captures.models.append(Capture(tree, "torch", loose=True))
        elif loose:
            fill_loose(run, loose)

    torch.optim.Optimizer.__init__ = patched_init


def fill_loose(run: Run, loose: list[Any]) -> None:
    """Give loose parameters the recorded values, by shape and in order."""
    for parameter in loose:
        found = run.captures.take_loose([tuple(parameter.shape)])
        if found is not None:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(found[0]))
