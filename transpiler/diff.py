"""The difference that a translation makes, as a unified diff."""

from __future__ import annotations

from difflib import unified_diff

from transpiler.source import decode_source


def make_diff(old: bytes, new: bytes, old_name: str, new_name: str) -> str:
    """The unified diff of a file before and after; empty where nothing changes."""
    before = decode_source(old, old_name).text.splitlines(keepends=True)
    after = decode_source(new, new_name).text.splitlines(keepends=True)
    lines = []
    for line in unified_diff(before, after, old_name, new_name):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)
