"""Dense layers."""

from __future__ import annotations

from transpiler.rule import Proof, Rule

LINEAR = Rule(
    "linear",
    torch="torch.nn.Linear(inputs, units, bias=bias)",
    keras="keras.layers.Dense(units, use_bias=bias)",
    proof=Proof(inputs=[(5, 3)], args=["3, 4", "3, 4, bias=False"]),
)
RELU = Rule("relu", torch=("torch.nn.functional.relu(x)", "torch.relu(x)", "torch.Tensor.relu(x)"), keras="tf.nn.relu(x)")
