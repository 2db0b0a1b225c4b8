"""Rule files of the user's own: a fault in one is told with its place before any translation."""

from __future__ import annotations

import traceback

from transpiler.config import Config, ConfigError
from transpiler.origin import parse_tree
from transpiler.rulebook import load
from transpiler.source import read_source


def check_rules(config: Config) -> None:
    """Load the rule files; what is wrong with them is raised with its place."""
    for path in config.rules:
        parse_tree(read_source(path).text, path)
    try:
        load(config.rules)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename in config.rules]
        path, line = (own[-1].filename, own[-1].lineno or 1) if own else (config.rules[0], 1)
        message = f"the rule file cannot be used: {type(error).__name__}: {error}"
        raise ConfigError(path, line, 1, message) from None
