"""Layers that have their variables as soon as they are made, as torch's have."""

import keras
from keras import layers


def built(layer, *shape):
    """The layer with its variables, for inputs of this shape (without the batch axis).

    Sizes that the variables do not depend on are None.
    """
    layer.build((None, *shape))
    return layer


class Copyable:
    """Layers that keep what they are made from, so that `copied` can make others."""

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls, *args, **kwargs)
        vars(layer)["made_from"] = args, kwargs  # unseen by Keras, which tracks attributes
        return layer


def copied(layer):
    """Another layer made as this one was, with its values where it has some."""
    if isinstance(layer, keras.Sequential):
        new = keras.Sequential([copied(part) for part in layer.layers])
    elif isinstance(layer, Copyable):
        args, kwargs = keras.tree.map_structure(
            lambda x: copied(x) if isinstance(x, layers.Layer) else x, layer.made_from
        )
        new = type(layer)(*args, **kwargs)
    else:
        new = type(layer).from_config(layer.get_config())
    if layer.weights:
        for old, part in zip(innermost(layer), innermost(new)):
            if old.built and not part.built:
                part.build_from_config(old.get_build_config())
        new.set_weights(layer.get_weights())
    return new


def innermost(layer):
    """The layers inside of a layer that have none in them."""
    parts = layer._flatten_layers()
    return [p for p in parts if not p._layers and not isinstance(p, layers.InputLayer)]
