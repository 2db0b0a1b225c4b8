"""Twin runs: original and translation from equal weights, batches and draws, compared."""

from __future__ import annotations

from transpiler.verify.compared import Verdict
from transpiler.verify.twins import compare

__all__ = ["Verdict", "compare"]
