"""Initial values as torch draws them."""

import keras


def torch_uniform(fan_in):
    """torch's default initial values: uniform within 1 / sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def set_initializer(layer, role, initializer):
    """Let a layer's parameters start with an initializer, whether it is built or not.

    role is "weight" or "bias" as torch names them, "matrix" or "vector" by their axes.
    """
    if isinstance(layer, keras.Sequential):  # a convolution and its padding
        for inner in layer.layers:
            set_initializer(inner, role, initializer)
        return
    if role == "weight":
        layer = getattr(layer, "embedding", layer)  # a dense layer that shares its table
    for inner in getattr(layer, "rnns", []):
        set_initializer(inner, role, initializer)
    layer = getattr(layer, "cell", layer)
    names = {
        "weight": ["kernel", "recurrent", "depthwise", "embeddings", "gamma", "alpha"],
        "bias": ["bias", "beta"],
        "matrix": ["kernel", "recurrent", "depthwise", "embeddings"],
        "vector": ["bias", "beta", "gamma", "alpha"],
    }[role]
    if role in ("bias", "vector") and hasattr(layer, "unit_forget_bias"):
        layer.unit_forget_bias = False
    for name in names:
        if hasattr(layer, f"{name}_initializer"):
            setattr(layer, f"{name}_initializer", initializer)
            variable = getattr(layer, name, None) if layer.built else None
            if isinstance(variable, keras.Variable):
                variable.assign(initializer(variable.shape, variable.dtype))
