"""torch models in a twin run: captured or filled just before their first use, their calls noted."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import nn

from transpiler.verify.finals import Finals
from transpiler.verify.side import Run
from transpiler.verify.tape import Capture
from transpiler.weights.pairing import PairingError, to_torch
from transpiler.weights.tree import KERAS_UNITS, NEVER, Array, Node, set_paths

FOLDED = {"MultiheadAttention"}
UNTRAINED = {"num_batches_tracked"}


class Models:
    """All live modules of a run, and which of them have been met."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.live: list[weakref.ref[Any]] = []
        self.depth = 0
        self.ranks: dict[int, int] = {}
        self.met: list[_Met] = []
        self.known: dict[int, tuple[weakref.ref[Any], _Met]] = {}
        self.names: dict[int, str] = {}
        self.loose: dict[int, Any] = {}
        """Parameters outside of modules, by their ids."""
        self.largest: dict[str, Any] = {}

    def modules(self) -> Iterator[Any]:
        """The live modules in order of creation."""
        self.live = [ref for ref in self.live if ref() is not None]
        return (module for ref in self.live if (module := ref()) is not None)

    def chain(self, module: Any) -> list[Any]:
        """The module and what holds it, outermost first."""
        parents: dict[int, Any] = {}
        for parent in self.modules():
            for child in parent.children():
                parents.setdefault(id(child), parent)
        found = [module]
        while id(found[0]) in parents and all(parents[id(found[0])] is not f for f in found):
            found.insert(0, parents[id(found[0])])
        return found

    def before(self, module: Any, args: Any, kwargs: Any) -> None:
        """Just before an outermost call: weights are recorded or put in, where it is time."""
        known = self.known.get(id(module))
        if known is None or known[0]() is not module:
            met = self.meet(module, args, kwargs)
            self.known[id(module)] = (weakref.ref(module), met)
        elif self.run.recorder.is_fresh and known[1].changed():
            self.fill_or_capture(known[1])

    def meet(self, module: Any, args: Any, kwargs: Any) -> _Met:
        """A model's first use, of the whole or of a part."""
        if any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
            self.dry_run(module, args, kwargs)
        chain = self.chain(module)
        for met in self.met:
            if any(met.root is part for part in chain):
                return met
        failure: PairingError | None = None
        for root in chain:
            met = _Met(root, len(self.met))
            try:
                self.fill_or_capture(met)
            except PairingError as error:
                failure = failure or error
                continue
            self.met.append(met)
            number = met.number if met.index is None else met.index
            for name, parameter in root.named_parameters():
                self.names[id(parameter)] = f"{number}:{name}"
            return met
        self.run.failure = str(failure)
        raise failure or AssertionError("a module is its own root")

    def fill_or_capture(self, met: _Met) -> None:
        """Record the model's weights, or put the recorded ones in."""
        tree = build_tree(met.root, self.ranks)
        if not tree.has_arrays():
            return
        models = self.run.captures.models
        if self.run.record:
            capture = Capture(tree, "torch")
            if met.index is None:
                met.index = len(models)
                models.append(capture)
            else:
                models[met.index] = capture
        else:
            if met.pairs is None:
                try:
                    met.pairs = self.run.partner(tree, met.number)
                except PairingError:
                    if not self.fill_from_loose(met.root):
                        raise
                    met.pairs = []
            fill(met.root, to_torch(met.pairs))
        met.mark()

    def fill_from_loose(self, module: Any) -> bool:
        """Give a module the values of variables that no model held, in order, if all are there."""
        parameters = list(module.parameters())
        found = self.run.captures.take_loose([tuple(p.shape) for p in parameters])
        if found is None:
            return False
        with torch.no_grad():
            for parameter, value in zip(parameters, found, strict=True):
                parameter.copy_(torch.from_numpy(np.asarray(value)))
        return True

    def dry_run(self, module: Any, args: Any, kwargs: Any) -> None:
        """Run lazy modules once so that their parameters exist; nothing is kept of it."""
        modes = [(part, part.training) for part in module.modules()]
        module.eval()
        with torch.no_grad(), self.run.draws.paused():
            module(*args, **kwargs)
        for part, mode in modes:
            part.training = mode

    def finals(self) -> Finals:
        """All variables as they are now."""
        owned = {id(p) for met in self.met for p in met.root.parameters()}
        values = {
            met.number if met.index is None else met.index: build_tree(met.root, {}).flat()
            for met in self.met
        }
        loose = [to_array(p) for p in self.loose.values() if id(p) not in owned]
        return Finals(values, loose, {n: to_array(a) for n, a in self.largest.items()})

    def seal(self) -> None:
        """Fill in the call order, known once the run is over."""
        for met in self.met:
            if met.index is not None:
                rank_tree(self.run.captures.models[met.index].tree, met.root, self.ranks)


class _Met:
    """A model that has been used: its number, its recorded place, its parameters' versions."""

    def __init__(self, root: Any, number: int) -> None:
        self.root = root
        self.number = number
        self.index: int | None = None
        self.pairs: Any = None
        self.marks: list[tuple[int, int]] = []

    def _versions(self) -> list[tuple[int, int]]:
        return [(p.data_ptr(), p._version) for p in self.root.parameters()]

    def mark(self) -> None:
        """Remember the parameters as they are now."""
        self.marks = self._versions()

    def changed(self) -> bool:
        """Whether a parameter was written since."""
        return self._versions() != self.marks


def build_tree(module: Any, ranks: dict[int, int]) -> Node:
    """A module and all below it as plain data."""
    return set_paths(_node("", module, ranks, set()))


def _node(name: str, module: Any, ranks: dict[int, int], seen: set[int]) -> Node:
    kinds = tuple(kind_of(k) for k in type(module).__mro__ if k not in (object, nn.Module))
    node = Node(name, kinds or ("Module",), rank=ranks.get(id(module), NEVER))
    optional = set()
    for key, parameter in module._parameters.items():
        if parameter is not None:
            node.arrays[key] = to_array(parameter)
            if id(parameter) in seen:
                optional.add(key)
            seen.add(id(parameter))
    for key, buffer in module._buffers.items():
        if buffer is not None and key not in UNTRAINED:
            node.arrays[key] = to_array(buffer)
            if not hasattr(module, "running_mean"):
                optional.add(key)
    node.optional = frozenset(optional)
    node.children = [
        _node(key, child, ranks, seen)
        for key, child in module._modules.items()
        if child is not None
    ]
    return node


def kind_of(cls: Any) -> str:
    """A class's name; one that a script gives to a class of its own is no stock layer's."""
    stock = hasattr(nn, cls.__name__) or cls.__name__ in KERAS_UNITS
    own = stock and not cls.__module__.startswith("torch.")
    return f"{cls.__module__}.{cls.__name__}" if own else str(cls.__name__)


def rank_tree(node: Node, module: Any, ranks: dict[int, int]) -> None:
    """Set the call order of a recorded tree from the modules as they were called."""
    node.rank = ranks.get(id(module), NEVER)
    for child in node.children:
        below = module._modules.get(child.name)
        if below is not None:
            rank_tree(child, below, ranks)


def to_array(tensor: Any) -> Array:
    """A copy as numpy."""
    array: Array = tensor.detach().cpu().clone().numpy()
    return array


def fill(root: Any, values: dict[str, Array]) -> None:
    """Put arrays into a model's parameters and buffers."""
    with torch.no_grad():
        for name, value in values.items():
            owner, _, key = name.rpartition(".")
            module = root.get_submodule(owner) if owner else root
            target = module._parameters.get(key)
            target = module._buffers[key] if target is None else target
            target.data.copy_(torch.from_numpy(np.array(value)))


def watch_models(run: Run) -> Models:
    """Patch nn.Module so that models are met before their first use and calls are recorded."""
    models = Models(run)
    run.models = models
    start, call = nn.Module.__init__, nn.Module.__call__
    recorder = run.recorder

    def define(cls: Any, /, **kwargs: Any) -> None:
        super(nn.Module, cls).__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = without_draws(cls.__init__, run)

    def patched_init(self: Any, *args: Any, **kwargs: Any) -> None:
        models.live.append(weakref.ref(self))
        start(self, *args, **kwargs)

    def patched_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        models.ranks.setdefault(id(self), len(models.ranks))
        if models.depth or run.draws.pauses or not any(True for _ in self.parameters()):
            return call(self, *args, **kwargs)
        run.going_on()
        models.before(self, args, kwargs)
        models.depth += 1
        recorder.begin_call()
        try:
            result = call(self, *args, **kwargs)
        finally:
            models.depth -= 1
            mode = recorder.end_call()
        recorder.add("call", mode=mode, gradient=torch.is_grad_enabled(), **digest(result))
        return result

    nn.Module.__init_subclass__ = classmethod(define)
    nn.Module.__init__ = patched_init
    nn.Module.__call__ = patched_call
    return models


def without_draws(function: Any, run: Run) -> Any:
    """A constructor whose random initial values stay out of the tape."""

    @wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        with run.draws.paused():
            function(self, *args, **kwargs)

    return call


def digest(result: Any) -> dict[str, Any]:
    """Sums of squares over all floating outputs of a call, whatever their layout.

    Of the outputs as they are and, outside of training, as probabilities: one side may end in the
    softmax or sigmoid that the other has in its loss.
    """
    tensors = [t.detach().double() for t in flatten(result) if torch.is_floating_point(t)]
    evaluated = not torch.is_grad_enabled()
    with torch.no_grad():
        squares = [sum(float(t.square().sum()) for t in tensors)]
        if evaluated:
            squares += [
                sum(float(v.square().sum()) for v in views)
                for views in zip(*map(as_probabilities, tensors), strict=True)
            ]
    return {"squares": squares, "size": sum(t.numel() for t in tensors)}


def as_probabilities(x: Any) -> list[Any]:
    """What x would be behind a sigmoid or a softmax."""
    if not x.ndim:
        return [x.sigmoid()] * 5
    axis = 1 if x.ndim > 1 else 0
    return [
        x.sigmoid(), x.softmax(-1), x.softmax(axis), x.log_softmax(-1), x.log_softmax(axis)
    ]  # fmt: skip


def flatten(value: Any) -> Iterator[Any]:
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from flatten(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flatten(item)
