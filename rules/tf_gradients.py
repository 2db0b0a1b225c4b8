"""Gradients in a program's own hands: norms, clipping, Jacobians."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Unfit, rewrites
from transpiler.site import Site
from transpiler.template import OMIT, call


@rewrites("tf.clip_by_global_norm", to="torch")
def clip_by_global_norm(site: Site) -> Any:
    """A list of tensors and their norm."""
    if site.has("use_norm"):
        raise Unfit("`use_norm` of tf.clip_by_global_norm has no equal here")
    unit = site.context.emit("clip_all_by_global_norm")
    return call(unit, site.arg("t_list"), site.arg("clip_norm"))


@rewrites("tf.linalg.global_norm", to="torch")
def global_norm(site: Site) -> Any:
    return call(site.context.emit("global_norm"), site.arg("t_list"))


@rewrites("tf.GradientTape.jacobian", "tf.GradientTape.batch_jacobian", to="torch")
def jacobian(site: Site) -> Any:
    """One gradient for each element of the target."""
    name = site.name.rpartition(".")[2]
    source = site.args.get("sources", site.args.get("source"))
    if source is None:
        raise Unfit(f"{site.short} is called without its source")
    from transpiler.infer.values import Tensor

    if not isinstance(site.context.fact(source), Tensor):
        raise Unfit("a Jacobian with respect to several tensors is not translated",
                    "differentiate with respect to one at a time")  # fmt: skip
    return call(
        site.context.emit(name), site.arg("target"), source,
        create_graph=True if site.node in site.context.notes.get("nested jacobians", ()) else OMIT,
    )  # fmt: skip


@rewrites("tf.GradientTape.stop_recording", to="torch")
def stop_recording(site: Site) -> Any:
    return call("torch.no_grad")
