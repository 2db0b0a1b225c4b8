"""Functions of torch.special that TensorFlow has under a name of its own."""

from __future__ import annotations

from transpiler.rule import Proof, Rule

XLOG1PY = Rule(
    "xlog1py",
    torch="torch.special.xlog1py(x, y)",
    keras="tf.math.xlog1py(x, y)",
    layout="elementwise",
    proof=Proof(
        inputs=["positive(4, 5)", "positive(4, 5)"],
        cases=["torch.special.xlog1py(x, y)", "torch.special.xlog1py(x - 1, other=y)"],
    ),
)
BESSEL = [
    Rule(
        f"bessel-{name}",
        torch=f"torch.special.{name}(x)",
        keras=f"tf.math.bessel_{name}(x)",
        layout="elementwise",
        proof=Proof(inputs=[(4, 5)], cases=[f"torch.special.{name}(x)"]),
    )
    for name in ("i0e", "i1e")
]
