"""The Keras classes that torch's layers become, for tests such as `isinstance(m, nn.Conv2d)`."""

from __future__ import annotations

_N = "torch.nn."
_L = "keras.layers."

CLASSES: dict[str, str] = {
    f"{_N}Module": f"{_L}Layer",
    f"{_N}Linear": f"{_L}Dense",
    **{f"{_N}Conv{n}d": f"{_L}Conv{n}D" for n in (1, 2, 3)},
    **{f"{_N}ConvTranspose{n}d": f"{_L}Conv{n}DTranspose" for n in (1, 2, 3)},
    **{f"{_N}BatchNorm{n}d": f"{_L}BatchNormalization" for n in (1, 2, 3)},
    f"{_N}modules.batchnorm._BatchNorm": f"{_L}BatchNormalization",
    **{f"{_N}Dropout{n}d": f"{_L}SpatialDropout{n}D" for n in (1, 2, 3)},
    **{f"{_N}InstanceNorm{n}d": f"{_L}GroupNormalization" for n in (1, 2, 3)},
    **{f"{_N}{name}": f"{_L}{name}" for name in (
        "Dropout", "AlphaDropout", "Embedding", "ReLU", "LeakyReLU", "PReLU", "ELU", "Flatten",
        "Softmax", "Identity")},
    f"{_N}EmbeddingBag": f"{_L}Embedding",
    f"{_N}LayerNorm": f"{_L}LayerNormalization",
    f"{_N}GroupNorm": f"{_L}GroupNormalization",
    f"{_N}RMSNorm": f"{_L}RMSNormalization",
    **{f"{_N}MaxPool{n}d": f"{_L}MaxPooling{n}D" for n in (1, 2, 3)},
    **{f"{_N}AvgPool{n}d": f"{_L}AveragePooling{n}D" for n in (1, 2, 3)},
    f"{_N}Sequential": "keras.Sequential",
    f"{_N}ModuleList": "list",
    f"{_N}ModuleDict": "dict",
    f"{_N}Parameter": "keras.Variable",
    "torch.Tensor": "tf.Tensor",
}  # fmt: skip

RECURRENT: dict[str, tuple[str, str]] = {
    f"{_N}LSTM": (f"{_L}LSTM", "TorchLSTM"),
    f"{_N}GRU": (f"{_L}GRU", "TorchGRU"),
    f"{_N}RNN": (f"{_L}SimpleRNN", "TorchRNN"),
}
"""What is found where layers are walked through: by fluent and by exact fidelity."""

DEPTHWISE: dict[str, str] = {f"{_N}Conv{n}d": f"{_L}DepthwiseConv{n}D" for n in (1, 2)}
"""What some of a class's objects become instead."""

CLASS_NAMES: dict[str, str] = {
    "Linear": "Dense",
    **{f"Conv{n}d": f"Conv{n}D" for n in (1, 2, 3)},
    "ConvTranspose": "Transpose",
    **{f"ConvTranspose{n}d": f"Conv{n}DTranspose" for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": "BatchNormalization" for n in (1, 2, 3)},
    "InstanceNorm": "GroupNormalization",
    "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization",
}
"""Texts that a program looks for in `m.__class__.__name__`."""

MODULES: dict[str, str] = {
    **{theirs: ours for ours, theirs in CLASSES.items()
       if ours.startswith(_N) and theirs.startswith(_L) and not ours.endswith((
           "Module", "EmbeddingBag", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"))},
    f"{_L}BatchNormalization": f"{_N}modules.batchnorm._BatchNorm",
    f"{_L}DepthwiseConv1D": f"{_N}Conv1d",
    f"{_L}DepthwiseConv2D": f"{_N}Conv2d",
    f"{_L}LSTM": f"{_N}LSTM",
    f"{_L}GRU": f"{_N}GRU",
    f"{_L}SimpleRNN": f"{_N}RNN",
    "to_tf.TorchBatchNorm": f"{_N}modules.batchnorm._BatchNorm",
    "to_tf.TwiceDifferentiableBatchNorm": f"{_N}modules.batchnorm._BatchNorm",
    **{f"to_tf.Torch{kind}": f"{_N}{kind}" for kind in ("LSTM", "GRU", "RNN")},
}  # fmt: skip
"""The other way: modules that a Keras program's tests of classes ask for."""

MODULE_NAMES: dict[str, str] = {
    theirs.removeprefix(_L): ours.removeprefix(_N)
    for theirs, ours in MODULES.items()
    if theirs.startswith(_L) and theirs.removeprefix(_L) != ours.removeprefix(_N)
} | {"BatchNormalization": "BatchNorm2d"}
"""Texts that a program looks for in `layer.__class__.__name__`."""
