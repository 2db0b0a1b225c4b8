"""Units that name a model's variables as torch does."""

import keras


def is_stock_layer(part):
    """Whether a layer is one of Keras's own or derives from one: its variables are not torch's."""
    if not isinstance(part, keras.layers.Layer):
        return False
    stock = next(c for c in type(part).__mro__ if c.__module__.startswith("keras."))
    return stock not in (keras.layers.Layer, keras.Model)


def named_modules(part, prefix=""):
    """A model and the layers in it, with the names that torch gives them: "blocks.0.attention"."""
    if isinstance(part, keras.layers.Layer):
        yield prefix, part
    if isinstance(part, (list, tuple)):
        inner = [(str(i), value) for i, value in enumerate(part)]
    elif isinstance(part, dict):
        inner = list(part.items())
    elif isinstance(part, keras.Sequential):
        inner = [(str(i), value) for i, value in enumerate(part.layers)]
    elif isinstance(part, keras.layers.Layer) and not is_stock_layer(part):
        inner = [(name, value) for name, value in vars(part).items() if name[0] != "_"]
    else:
        return
    for name, value in inner:
        yield from named_modules(value, f"{prefix}.{name}" if prefix else name)


def parameters(model):
    """The weights that are trained, or were before they were frozen: no running statistics."""
    parts = model._flatten_layers()
    kept = {id(v) for part in parts for v in part._non_trainable_variables}
    return [v for v in model.weights if id(v) not in kept]


def buffers(model):
    """The weights that are never trained: running statistics and the like."""
    return [v for part in model._flatten_layers() for v in part._non_trainable_variables]


def named_variables(part, prefix=""):
    """The parameters with the names that torch gives them: "hidden.weight"."""
    if isinstance(part, keras.Variable):
        yield prefix, part
        return
    own = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
    if isinstance(part, (list, tuple)):
        inner = [(str(i), value) for i, value in enumerate(part)]
    elif isinstance(part, dict):
        inner = list(part.items())
    elif isinstance(part, keras.Sequential):
        inner = [(str(i), value) for i, value in enumerate(part.layers)]
    elif is_stock_layer(part):
        inner = [(own.get(v.name, v.name), v) for v in parameters(part)]
    elif isinstance(part, keras.layers.Layer):
        kept = [id(v) for v in part._non_trainable_variables]
        inner = [(n, v) for n, v in vars(part).items() if n[0] != "_" and id(v) not in kept]
    else:
        return
    for name, value in inner:
        yield from named_variables(value, f"{prefix}.{name}" if prefix else name)
