"""Functions of TensorFlow that PyTorch has no call for: same arguments, same results."""

import torch
import torch.nn.functional as F


def divide_no_nan(x, y):
    """tf.math.divide_no_nan: 0 where y is 0."""
    safe = torch.where(y == 0, torch.ones_like(y), y)
    return torch.where(y == 0, torch.zeros_like(x / safe), x / safe)


def multiply_no_nan(x, y):
    """tf.math.multiply_no_nan: 0 where y is 0, whatever x is."""
    return torch.where(y == 0, torch.zeros_like(x), x) * y


def reciprocal_no_nan(x):
    """tf.math.reciprocal_no_nan: 0 where x is 0."""
    return divide_no_nan(torch.ones_like(x), x)


def xdivy(x, y):
    """tf.math.xdivy: 0 where x is 0."""
    return torch.where(x == 0, torch.zeros_like(x), x / torch.where(x == 0, torch.ones_like(y), y))


def exclusive_cumsum(x, dim, reverse=False):
    """tf.cumsum(exclusive=True): sums without the element itself."""
    x = x.flip(dim) if reverse else x
    sums = x.cumsum(dim) - x
    return sums.flip(dim) if reverse else sums


def exclusive_cumprod(x, dim, reverse=False):
    """tf.math.cumprod(exclusive=True): products without the element itself."""
    x = x.flip(dim) if reverse else x
    first = torch.ones_like(x.narrow(dim, 0, 1))
    products = torch.cat([first, x.narrow(dim, 0, x.shape[dim] - 1)], dim).cumprod(dim)
    return products.flip(dim) if reverse else products


def clip_by_norm(x, clip_norm, dim=None):
    """tf.clip_by_norm: scaled down where the norm is greater than clip_norm."""
    squares = x.square().sum() if dim is None else x.square().sum(dim, keepdim=True)
    norm = torch.where(squares > 0, squares, torch.ones_like(squares)).sqrt()
    return x * clip_norm / torch.where(squares > 0, norm, squares).clamp(min=clip_norm)


def truncated_normal(size, mean=0.0, std=1.0):
    """tf.random.truncated_normal: nothing is further than two deviations from the mean."""
    x = torch.empty(size)
    return torch.nn.init.trunc_normal_(x, mean, std, mean - 2 * std, mean + 2 * std)


def shuffle(x):
    """tf.random.shuffle: the rows in random order."""
    return x[torch.randperm(len(x))]


def unique_in_order(x):
    """tf.unique: values in the order in which they come, and where each element is among them."""
    values, index = torch.unique(x, return_inverse=True)
    place = torch.arange(len(x), device=x.device)
    first = torch.full((len(values),), len(x), device=x.device).scatter_reduce(
        0, index, place, "amin"
    )
    order = first.argsort()
    return values[order], order.argsort()[index]


def count_in_order(x):
    """tf.unique_with_counts: values, places and counts in the order in which they come."""
    values, index = unique_in_order(x)
    return values, index, torch.bincount(index, minlength=len(values))


def pad(x, paddings, mode="constant", value=0.0):
    """tf.pad: pairs of amounts by axis; every axis may be reflected."""
    if mode == "constant":
        amounts = [n for pair in list(paddings)[::-1] for n in pair]
        return F.pad(x, [int(n) for n in amounts], value=value)
    edge = 1 if mode == "reflect" else 0
    for axis, (before, after) in enumerate(paddings):
        n = x.shape[axis]
        start = torch.arange(before - 1 + edge, edge - 1, -1)
        end = torch.arange(n - 1 - edge, n - 1 - edge - after, -1)
        index = torch.cat([start, torch.arange(n), end]).to(x.device)
        x = x.index_select(axis, index)
    return x


def slice_tensor(x, begin, size):
    """tf.slice: from begin, as many elements as size says; -1 is all that are left."""
    pairs = zip(begin, size)
    return x[tuple(slice(b, None if n == -1 else b + n) for b, n in pairs)]


def gather_batched(x, indices, axis, batch_dims):
    """tf.gather(batch_dims=...): each row of the batch has its own indices."""
    if batch_dims == 0:
        picked = x.index_select(axis, indices.reshape(-1).long())
        return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    rows = [gather_batched(a, i, axis - 1, batch_dims - 1) for a, i in zip(x, indices)]
    return torch.stack(rows)


def scatter_nd(indices, updates, shape):
    """tf.scatter_nd: updates of the same place are summed up."""
    zeros = updates.new_zeros([int(n) for n in shape])
    return zeros.index_put(indices.unbind(-1), updates, accumulate=True)


def segment_sum(x, segment_ids, num_segments):
    """tf.math.unsorted_segment_sum: the sum of the rows of each segment."""
    return x.new_zeros(num_segments, *x.shape[1:]).index_add(0, segment_ids, x)


def while_loop(cond, body, loop_vars, maximum_iterations=None):
    """tf.while_loop: the values after the last round."""
    loop_vars, rounds = list(loop_vars), 0
    while (maximum_iterations is None or rounds < maximum_iterations) and cond(*loop_vars):
        result = body(*loop_vars)
        loop_vars = list(result) if isinstance(result, list | tuple) else [result]
        rounds += 1
    return loop_vars


def scan(fn, elems, initializer=None, reverse=False):
    """tf.scan: the results of fn(carried, element) for each element, stacked."""
    rows = list(elems)[::-1] if reverse else list(elems)
    results = [] if initializer is not None else [rows.pop(0)]
    carried = initializer if initializer is not None else results[0]
    for row in rows:
        carried = fn(carried, row)
        results.append(carried)
    return torch.stack(results[::-1] if reverse else results)


class TensorArray:
    """tf.TensorArray: a list of tensors that is written by number."""

    def __init__(self, size=0):
        self.items = [None] * int(size)

    def write(self, index, value):
        index = int(index)
        self.items += [None] * (index + 1 - len(self.items))
        self.items[index] = torch.as_tensor(value)
        return self

    def read(self, index):
        return self.items[int(index)]

    def unstack(self, value):
        self.items = list(value)
        return self

    def size(self):
        return len(self.items)

    def stack(self):
        return torch.stack(self.items)

    def concat(self):
        return torch.cat(self.items)


def confusion_matrix(labels, predictions, num_classes=None):
    """tf.math.confusion_matrix: how often each class was taken for each other; rows are labels."""
    labels, predictions = labels.long(), predictions.long()
    n = num_classes or int(torch.maximum(labels.max(), predictions.max())) + 1
    return torch.bincount(labels * n + predictions, minlength=n * n).reshape(n, n)


def gather_nd(x, indices, batch_dims=0):
    """tf.gather_nd: the last axis of the indices counts along the axes of x behind the batch's."""
    batch = [
        torch.arange(n, device=x.device).reshape([-1] + [1] * (indices.ndim - 2 - axis))
        for axis, n in enumerate(x.shape[:batch_dims])
    ]
    return x[(*batch, *indices.long().unbind(-1))]
