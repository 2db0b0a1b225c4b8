"""Facts of progress bars: they give what they are put around."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Number, Sequence, Value
from transpiler.rule import infers

MODULES = ("tqdm", "tqdm.auto", "tqdm.notebook", "tqdm.std", "tqdm.autonotebook")


@infers(*(f"{module}.{name}" for module in MODULES for name in ("tqdm", "tqdm_notebook")),
        "fastprogress.progress_bar", "fastprogress.master_bar", "rich.progress.track")  # fmt: skip
def bar(call: Invocation) -> Value:
    return call.positional[0] if call.positional else call.keywords.get("iterable", UNKNOWN)


@infers(*(f"{module}.trange" for module in MODULES))
def counted(call: Invocation) -> Value:
    return Sequence("range", None, Number("int"))
