"""Units that work on lists of gradients."""

from __future__ import annotations

from typing import Any


def add_gradients(total: Any, gradients: Any) -> Any:
    """Sum of gradients over backward passes, as torch accumulates them in `.grad`."""
    if total is None:
        return gradients
    return [g if t is None else t if g is None else t + g for t, g in zip(total, gradients)]
