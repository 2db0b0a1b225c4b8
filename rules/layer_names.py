"""Names of torch's layers by what they do to shapes."""

from __future__ import annotations

ACTIVATIONS = (
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish",
    "Sigmoid", "LogSigmoid", "Tanh", "Tanhshrink", "Hardtanh", "Hardsigmoid", "Hardswish",
    "Hardshrink", "Softshrink", "Softplus", "Softsign", "Softmax", "LogSoftmax", "Softmin",
    "Softmax2d", "Threshold",
)  # fmt: skip
"""Modules that apply a function without weights (PReLU apart) and keep the shape."""

ELEMENTWISE = tuple(
    name
    for name in ACTIVATIONS
    if name not in ("PReLU", "Softmax", "LogSoftmax", "Softmin", "Softmax2d")
)
"""Those that read no axis."""


def each(*stems: str) -> tuple[str, ...]:
    """`Conv1d`, `Conv2d`, `Conv3d` for the stem `Conv`."""
    return tuple(f"{stem}{count}d" for stem in stems for count in (1, 2, 3))


KEEPING = (
    "Identity", "Dropout", "AlphaDropout", "FeatureAlphaDropout", "LayerNorm", "GroupNorm",
    "RMSNorm", "LocalResponseNorm", "SyncBatchNorm",
    *each("Dropout", "BatchNorm", "LazyBatchNorm", "InstanceNorm", "LazyInstanceNorm"),
)  # fmt: skip
"""Other modules whose result has the shape of their input."""
