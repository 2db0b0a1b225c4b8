"""torch.utils.tensorboard to tf.summary: the same log files, read by the same program.

Sources: torch.utils.tensorboard.SummaryWriter and tf.summary, as documented.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import NONE, Instance, Symbol, Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.template import fill, fill_statements

WRITER = "torch.utils.tensorboard.SummaryWriter"
_ALIASES = (WRITER, "torch.utils.tensorboard.writer.SummaryWriter")
_ADDS = {
    "add_scalar": ("tag", "scalar_value", "global_step"),
    "add_histogram": ("tag", "values", "global_step"),
    "add_text": ("tag", "text_string", "global_step"),
    "add_image": ("tag", "img_tensor", "global_step"),
    "add_images": ("tag", "img_tensor", "global_step"),
    "add_scalars": ("main_tag", "tag_scalar_dict", "global_step"),
}
_TEMPLATES = {
    "add_scalar": "tf.summary.scalar(tag, value, step=step)",
    "add_histogram": "tf.summary.histogram(tag, value, step=step)",
    "add_text": "tf.summary.text(tag, value, step=step)",
    "add_image": "tf.summary.image(tag, tf.transpose(value, [1, 2, 0])[None], step=step)",
    "add_images": "tf.summary.image(tag, tf.transpose(value, [0, 2, 3, 1]), step=step)",
}


@infers(*_ALIASES)
def writer(call: Invocation) -> Value:
    return Instance(Symbol(WRITER), {}, {}, call.node)


@infers(*(f"{WRITER}.{name}" for name in (*_ADDS, "add_graph", "add_hparams", "close", "flush")))
def nothing(_: Invocation) -> Value:
    return NONE


@rewrites(*_ALIASES, to="tf")
def create(site: Site) -> Any:
    """A file writer for the folder; torch's own default folder has the date in its name."""
    if not site.is_call:
        raise Unfit("SummaryWriter is used without being called")
    given = [v for n, v in site.keywords.items() if n in ("log_dir", "logdir")]
    folder = next(iter([*site.positional, *given]), None)
    if folder is None or (isinstance(folder, cst.Name) and folder.value == "None"):
        comment = site.keywords.get("comment")
        if comment is None:
            return fill('tf.summary.create_file_writer("runs")')
        return fill('tf.summary.create_file_writer("runs/" + comment)', comment=comment)
    return fill("tf.summary.create_file_writer(folder)", folder=folder)


@rewrites(*(f"{WRITER}.{name}" for name in _ADDS), to="tf")
def add(site: Site) -> Any:
    """`tf.summary` writes to the writer that is the default where it is called."""
    if not site.alone or site.starred:
        raise Unfit(f"{site.short} inside an expression")
    name = site.name.rpartition(".")[2]
    names = _ADDS[name]
    given = dict(zip(names, site.positional, strict=False)) | site.keywords
    tag, value, step = (given.get(n) for n in names)
    if tag is None or value is None:
        raise Unfit(f"{site.short} without its arguments")
    if site.keywords.get("dataformats") is not None:
        raise Unfit("images in an order of their own", "transpose them to (N, H, W, C)")
    if step is None:
        step = cst.Integer("0")
    if name == "add_scalars":
        curve, number = site.context.fresh("curve"), site.context.fresh("number")
        return fill_statements(
            f"with writer.as_default():\n    for {curve}, {number} in values.items():\n"
            f"        tf.summary.scalar(tag + '/' + {curve}, {number}, step=step)",
            writer=site.receiver, tag=tag, values=value, step=step,
        )  # fmt: skip
    return fill_statements(
        f"with writer.as_default():\n    {_TEMPLATES[name]}",
        writer=site.receiver, tag=tag, value=value, step=step,
    )  # fmt: skip


@rewrites(f"{WRITER}.close", f"{WRITER}.flush", to="tf")
def kept(site: Site) -> Any:
    return site.keep()


@rewrites(f"{WRITER}.add_graph", f"{WRITER}.add_hparams", to="tf")
def graph(site: Site) -> Any:
    raise Unfit(f"{site.short} has no equal", "tf.summary.trace_on and trace_export write graphs")
