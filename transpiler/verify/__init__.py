"""Twin runs: original and translation from equal weights, batches and draws, compared."""

from __future__ import annotations

from transpiler.verify.compared import Verdict
from transpiler.verify.twins import Workshop, compare

__all__ = ["Verdict", "Workshop", "compare"]
