"""What tf.Module and Keras' models say of their variables, of PyTorch's modules."""

from __future__ import annotations

from typing import Any

from transpiler.rule import rewrites
from transpiler.site import Site
from transpiler.template import fill


@rewrites("tf.Module.trainable_variables", "tf.Module.variables", to="torch")
def module_variables(site: Site) -> Any:
    return fill("list(model.parameters())", model=site.receiver)
