"""Names for what a translation adds."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.syntax import find


def free_name(context: Context, name: str) -> str:
    """A variable's name that the module does not use yet (keywords and attributes do not count)."""
    used = context.notes.get("variables")
    if used is None:
        used = set()
        for node in find(context.module, cst.Name):
            parent = context.edits.parent.get(node)
            keyword = isinstance(parent, cst.Arg) and parent.keyword is node
            attribute = isinstance(parent, cst.Attribute) and parent.attr is node
            if not keyword and not attribute:
                used.add(node.value)
        context.notes["variables"] = used
    candidate, number = name, 1
    while candidate in used:
        number += 1
        candidate = f"{name}_{number}"
    used.add(candidate)
    context.names.add(candidate)
    return candidate
