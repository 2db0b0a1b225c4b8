"""What TensorFlow does with gradients, on the ``.grad`` of parameters and on arrays."""

import torch


def clip_by_global_norm(parameters, clip_norm):
    """tf.clip_by_global_norm of the gradients of parameters, in place; their norm before."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    scale = clip_norm * torch.minimum(1 / norm, torch.ones_like(norm) / clip_norm)
    for gradient in gradients:
        gradient.mul_(scale)
    return norm


def global_norm(tensors):
    """tf.linalg.global_norm: the norm of all tensors together; None counts nothing."""
    return torch.stack([x.square().sum() for x in tensors if x is not None]).sum().sqrt()


def clip_all_by_global_norm(tensors, clip_norm):
    """tf.clip_by_global_norm of a list of tensors: the clipped ones and their norm before."""
    norm = global_norm(tensors)
    scale = clip_norm * torch.minimum(1 / norm, torch.ones_like(norm) / clip_norm)
    return [None if x is None else x * scale for x in tensors], norm


def nested_gradients(target, sources, **options):
    """The gradients of a target in the lists in which the tensors are given."""
    flat, form = torch.utils._pytree.tree_flatten(sources)
    gradients = torch.autograd.grad(target, flat, **options)
    return torch.utils._pytree.tree_unflatten(list(gradients), form)


def jacobian(outputs, inputs, create_graph=False):
    """The derivative of every element of the outputs with respect to the inputs."""
    options = {"retain_graph": True, "create_graph": create_graph}
    rows = [torch.autograd.grad(x, inputs, **options)[0] for x in outputs.flatten()]
    return torch.stack(rows).reshape(*outputs.shape, *inputs.shape)


def batch_jacobian(outputs, inputs, create_graph=False):
    """The derivative of each example's outputs with respect to its own inputs."""
    options = {"retain_graph": True, "create_graph": create_graph}
    flat = outputs.flatten(1)
    columns = [torch.autograd.grad(x.sum(), inputs, **options)[0] for x in flat.unbind(1)]
    return torch.stack(columns, 1).reshape(*outputs.shape, *inputs.shape[1:])
