"""Generates transpiler/catalogue/*.json from the installed torch, torchvision, keras, tensorflow.

python tools/make_signatures.py            write the catalogue
python tools/make_signatures.py --check    exit 1 where the checked-in catalogue differs
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from catalogue.entries import Describer, Entry
from catalogue.names import Names
from catalogue.sources import FORMER, ROOTS

CATALOGUE = Path(__file__).resolve().parent.parent / "transpiler" / "catalogue"
SMALLEST = 8  # a module with fewer names shares the file of its parent
Lines = dict[str, Any]


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    warnings.simplefilter("ignore")
    files = build()
    present = {path.name: path.read_text("utf-8") for path in CATALOGUE.glob("*.json")}
    stale = sorted(name for name in {*files, *present} if files.get(name) != present.get(name))
    if check:
        print("\n".join(f"out of date: {name}" for name in stale) or "up to date")
        return 1 if stale else 0
    CATALOGUE.mkdir(exist_ok=True)
    for name in stale:
        if name in files:
            (CATALOGUE / name).write_text(files[name], encoding="utf-8")
        else:
            (CATALOGUE / name).unlink()
    print(f"{len(stale)} of {len(files)} files written")
    return 0


def build() -> dict[str, str]:
    """The text of every file of the catalogue, by file name."""
    versions = load_frameworks()
    names = Names()
    names.collect()
    entries, aliases = describe_all(names)
    private = {
        path: best
        for path, best in names.private_paths()
        if path not in entries and path not in aliases and path != best
        if not (path.startswith("keras.") and best in _shortened(path, aliases, names))
    }
    private.update(FORMER)
    files = split_families(entries, aliases, {*names.modules, "torch.Tensor"})
    for root in ("torch", "tf", "keras"):
        lines = {k: v for k, v in private.items() if k.split(".")[0].startswith(root)}
        files[f"private-{root}.json"] = write_lines(lines)
    index = {"versions": versions, "roots": ROOTS, "modules": sorted(names.modules)}
    files["index.json"] = json.dumps(index, indent=0, sort_keys=True) + "\n"
    return files


def _shortened(path: str, aliases: dict[str, str], names: Names) -> set[str]:
    """What the reader finds by itself: keras.layers.core.dense.Dense is keras.layers.Dense."""
    short = f"{_module_of(path, set(names.modules))}.{path.rpartition('.')[2]}"
    return {short, aliases.get(short, short)}


def load_frameworks() -> dict[str, str]:
    """Import them all and say which versions they are."""
    import torch

    try:  # A torchvision built against another torch lacks its compiled operators: declare them.
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_operators"] = library  # it undoes its definitions when it goes
    except RuntimeError:
        pass
    import keras
    import tensorflow as tf
    import torchvision

    modules = {"keras": keras, "tensorflow": tf, "torch": torch, "torchvision": torchvision}
    return {name: module.__version__.partition("+")[0] for name, module in modules.items()}


def describe_all(names: Names) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries by canonical name, and every other public name with what it stands for."""
    import torch

    describer = Describer(names, Path(torch.__file__).parent)
    entries: dict[str, Entry] = {}
    for path, value in names.objects.items():
        if path not in names.aliases:
            entries.update(describer.describe(path, value))
    aliases = dict(names.aliases)
    aliases.update(find_documented(names, entries))
    for path in aliases:
        entries.pop(path, None)
    return drop_inherited(entries), aliases


def drop_inherited(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Leave out members that a base class describes alike: the reader asks the bases too."""
    kept = {}
    for path, entry in entries.items():
        owner, _, name = path.rpartition(".")
        bases = entries[owner][2] if owner in entries else []
        inherited = next((entries[f"{b}.{name}"] for b in bases if f"{b}.{name}" in entries), None)
        if inherited != entry:
            kept[path] = entry
    return kept


def find_documented(names: Names, entries: dict[str, Entry]) -> dict[str, str]:
    """What torch's docstrings call an alias and takes the same parameters: concat for cat."""
    found: dict[str, str] = {}
    for path, value in names.objects.items():
        text = str(getattr(value, "__doc__", None) or "")
        said = re.search(r"(?i)^\s*alias (?:for|of) :\w+:`~?\.?([\w.]+)`", text, re.MULTILINE)
        if not said or not path.startswith("torch."):
            continue
        alias, target = path, said[1]
        if target.startswith("torch.special."):  # the older name is the one in use
            alias, target = target, path
        for one, other in _with_methods(alias, target):
            if _is_alias(entries, one, other):
                found[one] = other
    return found


def _with_methods(alias: str, target: str) -> list[tuple[str, str]]:
    """The pair itself, and the methods of the same names, in place or not."""
    method = f"torch.Tensor.{alias.rpartition('.')[2]}", f"torch.Tensor.{target.rpartition('.')[2]}"
    return [(alias, target), method, (f"{method[0]}_", f"{method[1]}_")]


def _is_alias(entries: dict[str, Entry], one: str, other: str) -> bool:
    known = one != other and one in entries and other in entries
    return known and _same_parameters(entries[one], entries[other])


def _same_parameters(one: Entry, other: Entry) -> bool:
    """Whether whatever one accepts means the same to the other."""
    targets = [_parse(signature) for signature in other[1]]
    return one[0] == other[0] and all(
        any(_accepts(target, _parse(signature)) for target in targets) for signature in one[1]
    )


Flat = tuple[list[str], dict[str, str]]  # positional names in order; every name with its default


def _parse(signature: str) -> Flat:
    function = ast.parse(f"def f({signature}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    a = function.args
    names = [p.arg for p in a.posonlyargs + a.args]
    tail = [ast.unparse(d) for d in a.defaults]
    defaults = dict(zip(names, [""] * (len(names) - len(tail)) + tail, strict=True))
    for keyword, default in zip(a.kwonlyargs, a.kw_defaults, strict=True):
        defaults[keyword.arg] = ast.unparse(default) if default else ""
    stars = [s + p.arg for s, p in (("*", a.vararg), ("**", a.kwarg)) if p]
    return names + stars, defaults


def _accepts(target: Flat, call: Flat) -> bool:
    more = set(target[1]) - set(call[1])
    given = {name: default for name, default in call[1].items() if name != "out"}
    return (
        target[0][: len(call[0])] == call[0]
        and all(target[1].get(name) == default for name, default in given.items())
        and all(target[1][name] for name in more)
    )


def split_families(
    entries: dict[str, Entry], aliases: dict[str, str], modules: set[str]
) -> dict[str, str]:
    """One file per module, small modules with their parents."""
    owned: dict[str, Lines] = defaultdict(dict)
    for path, (kind, signatures, bases) in entries.items():
        line: list[Any] = [kind, signatures, bases]
        while line and not line[-1]:
            line.pop()
        owned[_module_of(path, modules)][path] = line
    for path, best in aliases.items():
        owned[_module_of(path, modules)][path] = best
    for module in sorted(owned, key=lambda m: -m.count(".")):
        parent = module.rpartition(".")[0]
        if len(owned[module]) < SMALLEST and parent:
            owned[_module_of(module, modules)].update(owned.pop(module))
    return {
        f"{module}.json": write_lines({p[len(module) + 1 :]: v for p, v in lines.items()})
        for module, lines in owned.items()
    }


def _module_of(path: str, modules: set[str]) -> str:
    parent = path.rpartition(".")[0]
    while parent not in modules:
        parent = parent.rpartition(".")[0]
        assert parent, path
    return parent


def write_lines(lines: Lines) -> str:
    """JSON with one name a line, so that a new version reads well in a diff."""
    rows = [f"{json.dumps(k)}: {json.dumps(lines[k], ensure_ascii=False)}" for k in sorted(lines)]
    return "{\n" + ",\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main())
