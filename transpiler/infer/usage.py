"""What parameters of functions that nobody calls must be, from what is done with them.

`def accuracy(output, target)` in a file of its own has no caller to tell; `output.topk(...)` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from transpiler import signatures
from transpiler.infer.values import Symbol, Tensor, Value
from transpiler.rules.naming import AMBIGUOUS_METHODS
from transpiler.syntax import find

if TYPE_CHECKING:
    from transpiler.infer.frames import Frame
    from transpiler.infer.knowledge import Knowledge

ARRAY_PARAMETERS = frozenset(
    [
        "input",
        "target",
        "other",
        "tensor",
        "mat2",
        "vec",
        "condition",
        "query",
        "logits",
        "x1",
        "x2",
    ]
)
"""Parameters of a library's functions that take its arrays and nothing else."""
OWN_KEYWORDS = frozenset(["dim", "keepdim"])
"""Keywords of array methods that no other library has."""
SHARED = AMBIGUOUS_METHODS | {"item"}
"""Methods that other objects have as well, numbers of NumPy among them."""
MODULE = "torch.nn.Module"
GUESSED = frozenset(["torch"])
"""Libraries whose arrays are told by their use; others share too many names."""


def arrays_by_usage(
    function: cst.FunctionDef, knowledge: Knowledge, frame: Frame
) -> dict[str, Value]:
    """Parameters that can only be a library's arrays, by name."""
    params = [
        *function.params.posonly_params,
        *function.params.params,
        *function.params.kwonly_params,
    ]
    names = {p.name.value for p in params}
    found: dict[str, Value] = {}
    for library in GUESSED & knowledge.arrays.keys():
        cls = knowledge.arrays[library]
        used = (
            *_by_method(function, cls),
            *_by_argument(function, frame, library),
            *_by_index(function, frame, library),
        )
        found.update({name: Tensor(library=library) for name in used if name in names})
    return found


def _by_method(function: cst.FunctionDef, cls: str) -> Iterator[str]:
    """Names with a method that only the library's arrays have."""
    for call in find(function.body, cst.Call):
        if not isinstance(call.func, cst.Attribute) or not isinstance(call.func.value, cst.Name):
            continue
        method = call.func.attr.value
        if method.startswith("__") or signatures.lookup(f"{cls}.{method}") is None:
            continue
        keywords = {a.keyword.value for a in call.args if a.keyword is not None}
        shared = method in SHARED or signatures.lookup(f"{MODULE}.{method}") is not None
        if keywords & OWN_KEYWORDS or not shared:
            yield call.func.value.value


def _by_argument(function: cst.FunctionDef, frame: Frame, library: str) -> Iterator[str]:
    """Names given to functions of the library where those take arrays."""
    for call in find(function.body, cst.Call):
        name = _library_name(call.func, frame)
        if name is None or name.partition(".")[0] != library:
            continue
        entry = signatures.lookup(name)
        if entry is None or entry.kind != "function" or not entry.signatures:
            continue
        positional = [a.value for a in call.args if a.keyword is None and not a.star]
        for parameter, value in zip(entry.signatures[0].parameters, positional, strict=False):
            if parameter.name in ARRAY_PARAMETERS and isinstance(value, cst.Name):
                yield value.value


def _by_index(function: cst.FunctionDef, frame: Frame, library: str) -> Iterator[str]:
    """Names indexed by something that a function of the library made."""
    made = set()
    for assign in find(function.body, cst.Assign):
        target = assign.targets[0].target
        if isinstance(target, cst.Name) and isinstance(assign.value, cst.Call):
            name = _library_name(assign.value.func, frame)
            entry = signatures.lookup(name) if name and name.startswith(f"{library}.") else None
            if entry is not None and entry.kind == "function":
                made.add(target.value)
    for subscript in find(function.body, cst.Subscript):
        index = subscript.slice[0].slice
        if isinstance(subscript.value, cst.Name) and isinstance(index, cst.Index):
            if isinstance(index.value, cst.Name) and index.value.value in made:
                yield subscript.value.value


def _library_name(node: cst.BaseExpression, frame: Frame) -> str | None:
    """`torch.nn.functional.relu` for `F.relu`."""
    path: list[str] = []
    while isinstance(node, cst.Attribute):
        path.append(node.attr.value)
        node = node.value
    root = frame.lookup(node.value) if isinstance(node, cst.Name) else None
    if not isinstance(root, Symbol):
        return None
    return signatures.canonical(".".join([root.name, *reversed(path)]))
