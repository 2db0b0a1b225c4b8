"""tf.summary to torch.utils.tensorboard: the same logs for the same program to read.

`transpiler/planners/keras_settings.py` finds the writer that is the default at each call.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import NONE, Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.template import call, fill

WRITER = "tf.summary.SummaryWriter"
_TEMPLATES = {
    "scalar": "writer.add_scalar(name, data, step)",
    "histogram": "writer.add_histogram(name, data, step)",
    "text": "writer.add_text(name, data, step)",
    "image": 'writer.add_images(name, data, step, dataformats="NHWC")',
}


@infers("tf.summary.create_file_writer")
def writer(call: Invocation) -> Value:
    from transpiler.infer.values import Symbol

    return call.interpreter.allocate(Symbol(WRITER), call.node, {})


@infers(*(f"tf.summary.{name}" for name in (*_TEMPLATES, "audio", "trace_on", "trace_export")))
def nothing(_: Invocation) -> Value:
    return NONE


@rewrites("tf.summary.create_file_writer", to="torch")
def create(site: Site) -> Any:
    return call(site.context.emit("summary_writer"), site.arg("logdir"))


@rewrites(*(f"tf.summary.{name}" for name in _TEMPLATES), to="torch")
def add(site: Site) -> Any:
    """Onto the writer whose block the call stands in."""
    found = site.context.notes.get("summary writers", {}).get(site.node)
    if found is None:
        raise Unfit("the writer of this summary is not known here",
                    "put it into `with writer.as_default():`")  # fmt: skip
    step: Any = site.arg("step")
    if isinstance(step, cst.Name) and step.value == "None":
        raise Unfit("a summary without its step is not translated", "pass step=")
    template = _TEMPLATES[site.name.rpartition(".")[2]]
    return fill(template, writer=found.deep_clone(),
                name=site.arg("name"), data=site.arg("data"), step=step)  # fmt: skip


@rewrites(f"{WRITER}.flush", f"{WRITER}.close", to="torch")
def kept(site: Site) -> Any:
    return site.keep()


@rewrites("tf.summary.trace_on", "tf.summary.trace_export", "tf.summary.audio", to="torch")
def traces(site: Site) -> Any:
    if site.name.endswith("audio"):
        raise Unfit("sounds in summaries are not translated", "use writer.add_audio")
    site.context.remark(site.node, site.short, "TensorFlow's graph traces have no equal: left out")
    return [] if site.alone else fill("None")
