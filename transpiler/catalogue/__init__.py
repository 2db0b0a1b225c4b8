"""The public names of the frameworks: the files beside this one, and how to find a name in them.

There is one JSON file per public module, made by ``tools/make_signatures.py``, with one name a
line: a list ``[kind, signatures, bases]`` for a name, a string for another spelling of one. Files
are read when first needed and searched as text, which costs far less than to parse them.

Names are rooted at ``torch.``, ``torchvision.``, ``keras.`` and ``tf.``. Each thing has one
canonical name; the others (``tensorflow.keras.layers.Convolution2D``, ``torch.concat``,
``torch.nn.modules.linear.Linear``) lead to it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import cache
from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))
UNITS = ("to_tf.", "to_torch.")
"""How the names of emitted units begin."""
ROOTS = frozenset({"torch", "torchvision", "keras", "tf", "tensorflow", "tf_keras"})


@cache
def canonical(name: str) -> str:
    """The one name of whatever ``name`` means; unknown names come back with their root normalised.

    A prefix is enough to be recognised: ``tensorflow.keras.layers`` is ``keras.layers``, and
    attributes of a known name stay attached to its canonical name.
    """
    if name.partition(".")[0] not in ROOTS:
        return name
    name = _normalise_root(name)
    public = _follow(name, find_line)
    if public is not None:
        return public
    stem = "private-torch" if name.startswith("torch") else f"private-{name.partition('.')[0]}"
    return _follow(name, lambda prefix: _find(stem, prefix)) or _shorten(name) or name


def _normalise_root(name: str) -> str:
    roots = read_index()["roots"]
    prefix = name
    while prefix:
        if prefix in roots:
            return _normalise_root(roots[prefix] + name[len(prefix) :])
        prefix = prefix.rpartition(".")[0]
    return name


def _follow(name: str, line_of: Callable[[str], Any]) -> str | None:
    """The canonical name by the longest known prefix; None where only modules are known of it."""
    prefix, rest = name, ""
    while "." in prefix and prefix not in modules():
        line = line_of(prefix)
        if line is not None:
            return canonical(line + rest) if isinstance(line, str) else name
        prefix, _, last = prefix.rpartition(".")
        rest = f".{last}{rest}"
    return name if prefix == name else None


def _shorten(name: str) -> str | None:
    """Keras has moved its modules about, not its names: keras.layers.core.Dense."""
    module, key = split_module(name)
    short = f"{module}.{key.rpartition('.')[2]}"
    if module.startswith("keras") and short != name and find_line(short) is not None:
        return canonical(short)
    return None


def split_module(name: str) -> tuple[str, str]:
    """The module (or class with a file of its own) that holds a name, and the rest of it."""
    places = read_index()["places"]
    module = name.rpartition(".")[0]
    while "." in module and module not in places:
        module = module.rpartition(".")[0]
    return module, name[len(module) + 1 :]


def find_line(name: str) -> Any:
    """A name's line of the catalogue: a list for an entry, a string for an alias, else None."""
    if name.startswith(UNITS):
        from transpiler.units import describe

        return describe(name)
    module, _ = split_module(name)
    home = _home(module)
    return _find(home, name[len(home) + 1 :])


@cache
def _home(module: str) -> str:
    """The file that has a module's names: small modules share the file of their parent."""
    while module and module not in read_index()["files"]:
        module = module.rpartition(".")[0]
    return module


def list_family(module: str) -> list[str]:
    """The names of a module, its classes' members included."""
    home = _home(module)
    prefix = f"{module}."[len(home) + 1 :]
    keys = re.findall(r'(?m)^"([^"]+)": ', _read(home)) if home else []
    return [key[len(prefix) :] for key in keys if key.startswith(prefix)]


def _find(stem: str, key: str) -> Any:
    """One line of a file, which has one name a line: far cheaper than to parse all of them."""
    text = _read(stem) if stem else ""
    head = f'\n"{key}": '
    start = text.find(head)
    if start < 0:
        return None
    return json.loads(text[start + len(head) : text.index("\n", start + 1)].rstrip(","))


def modules() -> frozenset[str]:
    """Every public module."""
    found: frozenset[str] = read_index()["modules"]
    return found


@cache
def read_index() -> dict[str, Any]:
    """The versions, the roots' other spellings, the modules, and which files there are."""
    index: dict[str, Any] = json.loads(_read("index"))
    index["modules"] = frozenset(index["modules"])
    index["files"] = frozenset(n[:-5] for n in os.listdir(FOLDER) if n.endswith(".json"))
    index["places"] = index["modules"] | index["files"]
    return index


@cache
def _read(stem: str) -> str:
    with open(os.path.join(FOLDER, f"{stem}.json"), encoding="utf-8") as file:
        return file.read()
