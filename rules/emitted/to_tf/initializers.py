"""Initial values as torch draws them."""

import keras


def torch_uniform(fan_in):
    """torch's default initial values: uniform within 1 / sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def set_initializer(layer, role, initializer):
    """Let a layer's "weight" or "bias" start with an initializer, whether it is built or not."""
    if isinstance(layer, keras.Sequential):  # a convolution and its padding
        for inner in layer.layers:
            set_initializer(inner, role, initializer)
        return
    names = {"weight": ["kernel", "depthwise", "gamma", "embeddings", "alpha"]}
    for name in names.get(role, ["bias", "beta"]):
        if not hasattr(layer, f"{name}_initializer"):
            continue
        setattr(layer, f"{name}_initializer", initializer)
        variable = getattr(layer, name, None) if layer.built else None
        if isinstance(variable, keras.Variable):
            variable.assign(initializer(variable.shape, variable.dtype))
