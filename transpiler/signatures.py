"""What the frameworks' public names accept, read from the checked-in catalogue.

The catalogue (``catalogue/*.json``, made by ``tools/make_signatures.py``) has one file per public
module; a file is read when a name of it is first asked for, a signature parsed when it is first
looked at. No framework is imported.

Names are rooted at ``torch.``, ``torchvision.``, ``keras.`` and ``tf.``. Each thing has one
canonical name; the others (``tensorflow.keras.layers.Convolution2D``, ``torch.concat``,
``torch.nn.modules.linear.Linear``) lead to it.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, TypeVar

T = TypeVar("T")

CATALOGUE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "catalogue")
ROOTS = frozenset({"torch", "torchvision", "keras", "tf", "tensorflow", "tf_keras"})

EntryKind = Literal["class", "function", "method", "property", "module", "constant"]
ParameterKind = Literal[
    "positional-only", "positional-or-keyword", "var-positional", "keyword-only", "var-keyword"
]


class BindError(Exception):
    """The call does not fit any signature; the message says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. ``default`` is Python source, ``...`` where the library does not tell it.

    ``annotation`` is there where overloads differ by type: alternatives joined by ``|``, of
    Tensor, int, ints, float, bool, Number, dtype, device, str.
    """

    name: str
    kind: ParameterKind
    default: str | None = None
    annotation: str | None = None

    @property
    def required(self) -> bool:
        """Whether a call has to pass it."""
        return self.default is None and not self.kind.startswith("var")


@dataclass(frozen=True, slots=True)
class Signature:
    """One form of a call; ``self`` is never among its parameters."""

    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name; KeyError where there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)


@dataclass(frozen=True)
class Entry:
    """A public name: its signatures (overloads in order), and all base classes of a class."""

    name: str
    kind: EntryKind
    source: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """The forms of the call, in the order in which to try them."""
        return tuple(_parse(text) for text in self.source)


@cache
def canonical(name: str) -> str:
    """The one name of whatever ``name`` means; unknown names come back with their root normalised.

    A prefix is enough to be recognised: ``tensorflow.keras.layers`` is ``keras.layers``, and
    attributes of a known name stay attached to its canonical name.
    """
    if name.partition(".")[0] not in ROOTS:
        return name
    name = _normalise_root(name)
    public = _follow(name, _line)
    if public is not None:
        return public
    private = _private("torch" if name.startswith("torch") else name.partition(".")[0])
    return _follow(name, private.get) or _shorten(name) or name


@cache
def lookup(name: str) -> Entry | None:
    """What is known of a name; inherited members are found through their class.

    ``lookup("torch.nn.Conv2d.train").name`` is ``"torch.nn.Module.train"``.
    """
    name = canonical(name)
    line = _line(name)
    if isinstance(line, list):
        kind, signatures, bases = [*line, [], []][:3]
        return Entry(name, kind, tuple(signatures), tuple(bases))
    if name in _index()["modules"]:
        return Entry(name, "module")
    owner, _, member = name.rpartition(".")
    parent = lookup(owner) if owner.count(".") and owner not in _index()["modules"] else None
    for base in parent.bases if parent else ():
        if isinstance(_line(f"{base}.{member}"), list):
            return lookup(f"{base}.{member}")
    return None


def is_subclass(name: str, base: str) -> bool:
    """Whether both name the same class or the first inherits from the second."""
    name, base = canonical(name), canonical(base)
    if name == base:
        return True
    entry = lookup(name)
    return entry is not None and base in entry.bases


def members(prefix: str) -> Iterator[str]:
    """Public names directly under a module (other spellings and submodules included) or a class
    (inherited ones included), each as ``prefix.name``.
    """
    prefix = canonical(prefix)
    entry = lookup(prefix)
    seen = set()
    for owner in (prefix, *(entry.bases if entry else ())):
        module, key = _split(f"{owner}.")
        for path in (*_family(module), *(m[len(module) + 1 :] for m in _index()["modules"])):
            name = path[len(key) :]
            if path.startswith(key) and name and "." not in name and name not in seen:
                if f"{module}.{path}" in _index()["modules"] or path in _family(module):
                    seen.add(name)
                    yield f"{prefix}.{name}"


def versions() -> Mapping[str, str]:
    """The versions of the libraries that the catalogue was made from."""
    found: dict[str, str] = _index()["versions"]
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
    forms = (target,) if isinstance(target, Signature) else target.signatures
    best: tuple[int, str] = (-1, "it can not be called")
    for form in forms:
        bound, reason = _try_bind(form, positional, keywords, fits)
        if not reason:
            return bound
        best = max(best, (len(bound), reason), key=lambda pair: pair[0])
    raise BindError(best[1])


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


@cache
def _parse(text: str) -> Signature:
    line = f"def f({text}): ..."
    function = ast.parse(line).body[0]
    assert isinstance(function, ast.FunctionDef)
    source = line.encode()

    def read(node: ast.expr | None) -> str | None:
        return None if node is None else source[node.col_offset : node.end_col_offset].decode()

    def make(arg: ast.arg, kind: ParameterKind, default: ast.expr | None) -> Parameter:
        return Parameter(arg.arg, kind, read(default), read(arg.annotation))

    a = function.args
    first = len(a.posonlyargs) + len(a.args) - len(a.defaults)
    defaults = [*[None] * first, *a.defaults]
    found = [
        make(arg, "positional-only" if i < len(a.posonlyargs) else "positional-or-keyword", default)
        for i, (arg, default) in enumerate(zip([*a.posonlyargs, *a.args], defaults, strict=True))
    ]
    if a.vararg:
        found.append(make(a.vararg, "var-positional", None))
    found += [make(g, "keyword-only", d) for g, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    if a.kwarg:
        found.append(make(a.kwarg, "var-keyword", None))
    return Signature(tuple(found))


def _normalise_root(name: str) -> str:
    roots = _index()["roots"]
    prefix = name
    while prefix:
        if prefix in roots:
            return _normalise_root(roots[prefix] + name[len(prefix) :])
        prefix = prefix.rpartition(".")[0]
    return name


def _follow(name: str, line_of: Callable[[str], Any]) -> str | None:
    """The canonical name by the longest known prefix; None where only modules are known of it."""
    modules = _index()["modules"]
    prefix, rest = name, ""
    while "." in prefix and prefix not in modules:
        line = line_of(prefix)
        if line is not None:
            return canonical(line + rest) if isinstance(line, str) else name
        prefix, _, last = prefix.rpartition(".")
        rest = f".{last}{rest}"
    return name if prefix == name else None


def _shorten(name: str) -> str | None:
    """Keras has moved its modules about, not its names: keras.layers.core.Dense."""
    module, key = _split(name)
    short = f"{module}.{key.rpartition('.')[2]}"
    if module.startswith("keras") and short != name and _line(short) is not None:
        return canonical(short)
    return None


def _split(name: str) -> tuple[str, str]:
    """The module (or class with a file of its own) that holds a name, and the rest of it."""
    places = _index()["places"]
    module = name.rpartition(".")[0]
    while "." in module and module not in places:
        module = module.rpartition(".")[0]
    return module, name[len(module) + 1 :]


def _line(name: str) -> Any:
    """A name's line of the catalogue: a list for an entry, a string for an alias, else None."""
    module, key = _split(name)
    return _family(module).get(key)


@cache
def _family(module: str) -> Mapping[str, Any]:
    """The names of a module: from its own file, or its part of the file of its parent."""
    if module in _index()["files"]:
        return _read(module)
    parent, _, name = module.rpartition(".")
    if not parent:
        return {}
    lines = _family(parent)
    return {k[len(name) + 1 :]: line for k, line in lines.items() if k.startswith(f"{name}.")}


def _private(root: str) -> Mapping[str, str]:
    return _read(f"private-{root}")


@cache
def _index() -> dict[str, Any]:
    index = dict(_read("index"))
    index["modules"] = frozenset(index["modules"])
    index["files"] = frozenset(name[:-5] for name in os.listdir(CATALOGUE))
    index["places"] = index["modules"] | index["files"]
    return index


@cache
def _read(stem: str) -> Mapping[str, Any]:
    with open(os.path.join(CATALOGUE, f"{stem}.json"), encoding="utf-8") as file:
        found: Mapping[str, Any] = json.load(file)
    return found


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        known = lookup(asked)
        print(canonical(asked), known.kind if known else "unknown", *(known.bases if known else ()))
        for line in known.source if known else ():
            print(f"    ({line})")
