"""``transpile explain NAME``: how a name is translated, by which rule, and examples of it."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from transpiler import signatures
from transpiler.config import Config, find_config, load_config
from transpiler.examples import make_examples
from transpiler.rule import Direction, Rewriter, Rule
from transpiler.rulebook import RuleBook, load
from transpiler.source import SourceError

if TYPE_CHECKING:
    from transpiler.rule import Proof

PREFIXES = (
    "",
    "torch.",
    "torch.nn.",
    "torch.nn.functional.",
    "torch.optim.",
    "torch.optim.lr_scheduler.",
    "torch.utils.data.",
    "torch.Tensor.",
    "tf.",
    "keras.",
    "keras.layers.",
)
"""What a short name may be short for, likeliest first."""

ALIASES = {"F": "torch.nn.functional", "nn": "torch.nn", "np": "numpy"}


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="transpile explain", description="Tell how a name is translated, and why."
    )
    parser.add_argument("name", help="such as torch.nn.Conv2d, F.relu, Adam or layers.Dense")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        path = find_config(".")
        config = load_config(path) if path else Config()
        text = explain_name(options.name, load(config.rules))
    except SourceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if text is None:
        sys.stderr.write(describe_unknown(options.name, load(config.rules)))
        return 2
    sys.stdout.write(text)
    return 0


def explain_name(name: str, book: RuleBook) -> str | None:
    """All that is to be said about a name, or nothing where it is not known at all."""
    full = find_name(name, book)
    if full is None:
        return None
    to: Direction = "tf" if full.startswith("torch") else "torch"
    rules = book.candidates(to, full)
    lines = [full, ""]
    if reason := book.unsupported.get(full):
        lines += [f"not translated: {reason}", ""]
    elif not rules:
        lines += ["known, and not translated yet: a use of it is left, with a manual finding", ""]
    for rule in rules:
        lines += [*_describe(rule), *_list_examples(full, rule.proof, to), ""]
    return "\n".join(lines)


def find_name(name: str, book: RuleBook) -> str | None:
    """The canonical name that is meant."""
    root, _, rest = name.partition(".")
    if root in ALIASES:
        name = f"{ALIASES[root]}.{rest}" if rest else ALIASES[root]
    candidates = [signatures.canonical(prefix + name) for prefix in PREFIXES]
    known = [c for c in candidates if _has_rule(c, book) or c in book.unsupported]
    listed = [c for c in candidates if signatures.lookup(c) is not None]
    return next(iter([*known, *listed]), None)


def describe_unknown(name: str, book: RuleBook) -> str:
    """What to tell about a name that is not known, with names that are close."""
    names = {n for rules in book.rules.values() for n in rules}
    by_last = {n.rpartition(".")[2]: n for n in sorted(names)}
    close = get_close_matches(name.rpartition(".")[2], by_last, n=3, cutoff=0.75)
    advice = f"; did you mean {' or '.join(by_last[c] for c in close)}?" if close else ""
    return f"{name}: unknown{advice}\n"


def _has_rule(name: str, book: RuleBook) -> bool:
    return bool(book.candidates("tf", name) or book.candidates("torch", name))


def _describe(rule: Rule | Rewriter) -> Iterator[str]:
    if isinstance(rule, Rewriter):
        function = rule.function
        place = f"{function.__module__}.{function.__name__}"
        yield f"rewritten by {place}"
        if text := inspect.getdoc(function):
            yield from (f"    {line}".rstrip() for line in text.splitlines())
    else:
        yield f"rule {rule.name}"
        yield from _describe_spellings(rule)
    if rule.layout:
        yield f"    order of axes: {rule.layout}"
    if isinstance(rule.weights, Mapping):
        yield from (f"    weight {old}: {new}" for old, new in rule.weights.items())
    elif isinstance(rule.weights, str):
        yield f"    weights: as {rule.weights}"


def _describe_spellings(rule: Rule) -> Iterator[str]:
    for title, spelling in (
        ("torch", rule.torch),
        ("keras", rule.keras),
        ("exact keras", rule.exact),
        ("exact torch", rule.exact_torch),
    ):
        for text in (spelling,) if isinstance(spelling, str) else spelling or ():
            yield f"    {title + ':':13}{text}"
    if rule.caution:
        yield f"    caution: {rule.caution}"


def _list_examples(name: str, proof: Proof | None, to: Direction) -> Iterator[str]:
    examples = make_examples(name, proof, to) if proof else []
    if examples:
        yield "    for example"
    for old, new in examples:
        yield f"        {old}"
        yield from (f"          -> {line}" for line in new.splitlines())
