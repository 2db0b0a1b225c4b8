"""Seeds in a twin run: Python's and numpy's streams stay those of the original.

A framework's own seed says nothing to the other framework.  But one side's call may seed Python
and numpy as well (keras.utils.set_random_seed) where the other has separate calls or none.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from transpiler.verify.side import Run


class Seeds:
    """The seeds that the script gave to Python and to numpy."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.path = Path(run.setup.exchange) / "seeds.json"
        self.given: dict[str, list[Any]] = {"random": [], "numpy": []}
        self.recorded: dict[str, list[Any]] = dict(self.given)
        if not run.record:
            self.recorded = json.loads(self.path.read_text())
        self.private = random.Random(0)
        """What Keras takes its seeds from: seeded with Python's stream, but drawn from apart."""
        self.plain: dict[str, Any] = {"random": random.seed, "numpy": np.random.seed}

    def watch(self) -> None:
        """Seed both streams and note what the script seeds them with."""
        random.seed(0)
        np.random.seed(0)
        random.seed = self._noting("random")
        np.random.seed = self._noting("numpy")

    def _noting(self, stream: str) -> Any:
        def seed(value: Any = None, *args: Any, **kwargs: Any) -> None:
            if isinstance(value, int | np.integer):
                self.given[stream].append(int(value))
            value = 0 if value is None else value
            if stream == "random":
                self.private.seed(value)
            self.plain[stream](value, *args, **kwargs)

        return seed

    def framework(self, value: Any) -> None:
        """A framework was seeded: seed the streams that the original seeded with this number."""
        for stream, values in self.recorded.items():
            if value in values and value not in self.given[stream]:
                self.given[stream].append(value)
                self.plain[stream](value)

    def close(self) -> None:
        """Write what the other side needs."""
        if self.run.record:
            self.path.write_text(json.dumps(self.given))
