"""Layers that have their variables as soon as they are made, as torch's have."""


def built(layer, *shape):
    """The layer with its variables, for inputs of this shape (without the batch axis).

    Sizes that the variables do not depend on are None.
    """
    layer.build((None, *shape))
    return layer
