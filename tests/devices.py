"""A device that is not there: tells where a translation would mix it with the CPU.

Tensors that were moved to its place are marked, as is what is computed of them; an operation on
marked and unmarked ones fails, as it would between a GPU and the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

DEFINITION = 'torch.device("cuda" if torch.cuda.is_available() else "cpu")'
"""How translations choose their device."""


ACROSS = ("copy_", "_pack_padded_sequence")
"""What takes tensors of both: copies, and lengths, which stay on the CPU."""
PLACE = torch.device("meta")
"""A device that any torch knows; what is moved there stays where it is, marked."""


def is_there(value: Any) -> bool:
    return getattr(value, "_elsewhere", False)


def put_there(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value._elsewhere = True  # type: ignore[attr-defined]
    return value


class Elsewhere(TorchFunctionMode):
    """Follows which tensors are on the device."""

    def __init__(self) -> None:
        super().__init__()
        self.moves = 0
        self.former = torch.nn.Module.to

    def __enter__(self) -> Any:
        super().__enter__()
        mode, former = self, self.former

        def move(module: Any, *args: Any, **kwargs: Any) -> Any:
            if args != (PLACE,):
                return former(module, *args, **kwargs)
            mode.moves += 1
            for value in (*module.parameters(), *module.buffers()):
                put_there(value)
            return module

        torch.nn.Module.to = move  # type: ignore[assignment]
        return self

    def __exit__(self, *error: Any) -> None:
        torch.nn.Module.to = self.former  # type: ignore[method-assign]
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        held = [v for v in tree_leaves((args, kwargs)) if isinstance(v, torch.Tensor)]
        there = [v for v in held if is_there(v)]
        if func == torch.Tensor.device.__get__ and there:
            return PLACE
        target = args[1] if func is torch.Tensor.to and len(args) > 1 else None
        if isinstance(target, torch.device) and target == PLACE:
            return put_there(args[0].clone())
        if is_there(target):
            return put_there(func(*args, **kwargs))
        if func is torch.Tensor.cpu:
            return args[0].clone()
        wanted = kwargs.get("device") == PLACE
        if wanted:
            del kwargs["device"]
        if there and name in ("numpy", "__array__"):
            raise AssertionError("a tensor on the device becomes an array")
        mixed = [v for v in held if not (is_there(v) or hasattr(v, "_sizes")) and v.dim() > 0]
        picked = name == "__getitem__" and is_there(args[0])  # by places that may be on the CPU
        if there and mixed and not wanted and not picked and name not in ACROSS:
            raise AssertionError(f"{name} of tensors on the device and on the CPU")
        result = func(*args, **kwargs)
        if there and name == "_pack_padded_sequence":
            result[1]._sizes = True  # stay on the CPU, whatever is computed with them
            return put_there(result[0]), result[1]
        moved = wanted or (there and not isinstance(result, (bool, int, float)))
        return tree_map(put_there, result) if moved else result


def elsewhere(code: str) -> str:
    """The code with the missing device in place of the one it chooses."""
    return code.replace(DEFINITION, 'torch.device("meta")')
