"""A model's weights as a list of arrays, as ``get_weights`` and ``set_weights`` have them."""

import copy

import torch


def get_weights(model):
    """Copies of all parameters and buffers as numpy arrays, in the order of state_dict."""
    return [value.detach().cpu().numpy().copy() for value in model.state_dict().values()]


def set_weights(model, weights):
    """Put arrays in the order of state_dict into a model."""
    arrays = [torch.as_tensor(w) for w in weights]
    model.load_state_dict(dict(zip(model.state_dict(), arrays, strict=True)))


def clone_model(model):
    """A model of the same layers with initial values of its own."""
    clone = copy.deepcopy(model)
    for module in clone.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return clone
