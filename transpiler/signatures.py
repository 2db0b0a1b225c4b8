"""What the frameworks' public names accept, read from the checked-in catalogue.

A signature is parsed when it is first looked at; no framework is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar

from transpiler.catalogue import (
    canonical,
    find_line,
    list_family,
    modules,
    read_index,
    split_module,
)
from transpiler.catalogue.entries import Entry, Parameter, Signature

__all__ = [
    "BindError",
    "Entry",
    "Parameter",
    "Signature",
    "bind",
    "canonical",
    "is_subclass",
    "lookup",
    "members",
    "versions",
]

T = TypeVar("T")


class BindError(Exception):
    """The call does not fit any signature; the message says why."""


@cache
def lookup(name: str) -> Entry | None:
    """What is known of a name; inherited members are found through their class.

    ``lookup("torch.nn.Conv2d.train").name`` is ``"torch.nn.Module.train"``.
    """
    name = canonical(name)
    line = find_line(name)
    if isinstance(line, list):
        return Entry(name, *line)
    if name in modules():
        return Entry(name, "module")
    owner, _, member = name.rpartition(".")
    parent = lookup(owner) if owner.count(".") and owner not in modules() else None
    for base in parent.bases if parent else ():
        if isinstance(find_line(f"{base}.{member}"), list):
            return lookup(f"{base}.{member}")
    return None


def is_subclass(name: str, base: str) -> bool:
    """Whether both name the same class or the first inherits from the second."""
    name, base = canonical(name), canonical(base)
    if name == base:
        return True
    entry = lookup(name)
    return entry is not None and base in entry.bases


def members(prefix: str) -> list[str]:
    """Public names directly under a module (other spellings and submodules included) or a class
    (inherited ones included), each as ``prefix.name``.
    """
    prefix = canonical(prefix)
    entry = lookup(prefix)
    names: dict[str, None] = {}
    for owner in (prefix, *(entry.bases if entry else ())):
        module, key = split_module(f"{owner}.")
        for path in list_family(module):
            if path.startswith(key) and "." not in path[len(key) :]:
                names[path[len(key) :]] = None
    for path in modules():
        if path.rpartition(".")[0] == prefix:
            names[path.rpartition(".")[2]] = None
    return [f"{prefix}.{name}" for name in sorted(names)]


def versions() -> Mapping[str, str]:
    """The versions of the libraries that the catalogue was made from."""
    found: dict[str, str] = read_index()["versions"]
    return found


def bind(
    target: str | Entry | Signature,
    positional: Sequence[T],
    keywords: Mapping[str, T],
    *,
    fits: Callable[[Parameter, T], bool] = lambda parameter, value: True,
) -> dict[str, T | list[T]]:
    """Which parameter each argument of a call goes to; raises BindError where none fits.

    Overloads are tried in order; ``fits`` may refuse one by the kinds of its arguments. What goes
    to ``*args`` is a list under that name; what goes to ``**kwargs`` keeps its own name.
    """
    if isinstance(target, str):
        entry = lookup(target)
        if entry is None:
            raise BindError(f"{target} is not in the catalogue")
        target = entry
    if isinstance(target, Entry) and _is_compiled(target.name):
        keywords = {_translate_keyword(target, k): v for k, v in keywords.items()}
    if isinstance(target, Entry) and target.name in FORMER:
        keywords = {_present_keyword(target, k): v for k, v in keywords.items()}
    forms = (target,) if isinstance(target, Signature) else target.signatures
    best: tuple[int, str] = (-1, "it can not be called")
    for form in forms:
        bound, reason = _try_bind(form, positional, keywords, fits)
        if not reason:
            return bound
        best = max(best, (len(bound), reason), key=lambda pair: pair[0])
    raise BindError(best[1])


FORMER: dict[str, Mapping[str, str]] = {}
"""Former names of parameters, by qualified name: rule files say them."""


def _present_keyword(entry: Entry, keyword: str) -> str:
    meant = FORMER[entry.name].get(keyword)
    if meant is None or any(keyword in form for form in entry.signatures):
        return keyword
    return meant


# torch's compiled functions take numpy's names for their parameters too; those of nn do not.
_NUMPY = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x2": "other"}


def _is_compiled(name: str) -> bool:
    module, _ = split_module(name)
    return module in ("torch", "torch.Tensor", "torch.linalg", "torch.fft")


def _translate_keyword(entry: Entry, keyword: str) -> str:
    meant = _NUMPY.get(keyword)
    if meant is None or any(keyword in form for form in entry.signatures):
        return keyword
    return meant if any(meant in form for form in entry.signatures) else keyword


def _try_bind(
    form: Signature,
    positional: Sequence[T],
    keywords: Mapping[str, T],
    fits: Callable[[Parameter, T], bool],
) -> tuple[dict[str, T | list[T]], str]:
    """What could be bound, and why not all of it (empty where it could)."""
    bound: dict[str, T | list[T]] = {}
    rest, named = list(positional), dict(keywords)
    open_ended = False
    for parameter in form.parameters:
        name, kind = parameter.name, parameter.kind
        if kind == "var-keyword":
            open_ended = True
        elif kind == "var-positional":
            if not all(fits(parameter, value) for value in rest):
                return bound, f"{name} does not take these values"
            bound[name], rest = rest, []
        elif rest and kind != "keyword-only":
            if name in named and kind == "positional-or-keyword":
                return bound, f"{name} is given twice"
            if not fits(parameter, rest[0]):
                return bound, f"{name} does not take this value"
            bound[name] = rest.pop(0)
        elif name in named and kind != "positional-only":
            if not fits(parameter, named[name]):
                return bound, f"{name} does not take this value"
            bound[name] = named.pop(name)
        elif parameter.required:
            return bound, f"{name} is missing"
    if rest:
        return bound, "too many positional arguments"
    if named and not open_ended:
        return bound, f"unexpected argument {next(iter(named))}"
    return {**bound, **named}, ""


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        known = lookup(asked)
        print(canonical(asked), known.kind if known else "unknown", *(known.bases if known else ()))
        for line in known.source if known else ():
            print(f"    ({line})")
