"""Initial values as torch draws them."""

import keras


def torch_uniform(fan_in):
    """torch's default initial values: uniform within 1 / sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)
