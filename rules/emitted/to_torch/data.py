"""Data sets in the ways of tf.data, on top of ``torch.utils.data``."""

import itertools

import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset


def to_tensor(data):
    """An array as a tensor, floats in the default precision."""
    tensor = torch.as_tensor(np.asarray(data))
    return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor


def slices(data):
    """The rows of arrays as a dataset, in the tuples and dicts that the arrays come in."""
    if isinstance(data, tuple):
        return torch.utils.data.StackDataset(*map(slices, data))
    if isinstance(data, dict):
        return torch.utils.data.StackDataset(**{key: slices(data[key]) for key in data})
    array = data if isinstance(data, torch.Tensor) else np.asarray(data)
    is_text = isinstance(array, np.ndarray) and array.dtype.kind in "OSU"
    return array.tolist() if is_text else to_tensor(array)


class Mapped(Dataset):
    """A dataset with a function applied to each element; tuples are spread over its arguments."""

    def __init__(self, dataset, function):
        self.dataset = dataset
        self.function = function

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        element = self.dataset[index]
        if isinstance(element, tuple):
            return self.function(*element)
        return self.function(element)


class Windows(Dataset):
    """Neighbouring elements stacked: batches that a further step can look into, or windows."""

    def __init__(self, dataset, size, shift=None, drop_last=False):
        self.dataset = dataset
        self.size = size
        self.shift = size if shift is None else shift
        self.drop_last = drop_last

    def __len__(self):
        starts = len(self.dataset) - (self.size - 1 if self.drop_last else 0)
        return max(0, -(-starts // self.shift))

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self.shift
        stop = min(start + self.size, len(self.dataset))
        if isinstance(self.dataset, (torch.Tensor, TensorDataset)):
            return self.dataset[start:stop]
        batch = torch.utils.data.default_collate([self.dataset[i] for i in range(start, stop)])
        return tuple(batch) if isinstance(batch, list) else batch


class SeriesWindows(Dataset):
    """Windows over the rows of a series, each with its target where there are targets."""

    def __init__(self, data, targets=None, length=1, stride=1, rate=1, start=0, end=None):
        self.data = to_tensor(data)[start:end]
        self.targets = None if targets is None else to_tensor(targets)[start:end]
        self.steps = torch.arange(length) * rate
        self.stride = stride
        count = len(self.data) - (length - 1) * rate
        self.count = count if targets is None else min(count, len(targets))

    def __len__(self):
        return -(-self.count // self.stride)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = index * self.stride
        window = self.data[place + self.steps]
        return window if self.targets is None else (window, self.targets[place])


class RepeatSampler(torch.utils.data.Sampler):
    """The indices of a dataset several times over (for ever without a count), shuffled or not."""

    def __init__(self, dataset, count=None, shuffle=True):
        self.dataset = dataset
        self.count = count
        self.shuffle = shuffle

    def __len__(self):
        return len(self.dataset) * self.count

    def __iter__(self):
        size = len(self.dataset)
        for _ in itertools.count() if self.count is None else range(self.count):
            yield from (torch.randperm(size) if self.shuffle else torch.arange(size)).tolist()


class Stream(torch.utils.data.IterableDataset):
    """The elements that a function of the arguments gives, anew for each pass."""

    def __init__(self, function, *arguments):
        self.function = function
        self.arguments = arguments

    def __iter__(self):
        return iter(self.function(*self.arguments))


class Converted:
    """The batches of a loader, their parts turned by a function into what a model takes."""

    def __init__(self, loader, function):
        self.loader = loader
        self.function = function

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            is_tuple = isinstance(batch, (tuple, list))
            yield self.function(*batch) if is_tuple else self.function(batch)


def repeated(elements, count=None):
    """Passes over the elements, one after the other; without a count for ever."""
    for _ in itertools.count() if count is None else range(count):
        yield from elements


def shuffled(elements):
    """All elements, in a random order."""
    if not isinstance(elements, Dataset) or isinstance(elements, torch.utils.data.IterableDataset):
        elements = list(elements)
    for index in torch.randperm(len(elements)).tolist():
        yield elements[index]


def unbatched(batches):
    """The single elements of batches."""
    for batch in batches:
        if isinstance(batch, (tuple, list)):
            yield from zip(*batch)
        elif isinstance(batch, dict):
            yield from (dict(zip(batch, row)) for row in zip(*batch.values()))
        else:
            yield from batch


def flattened(function, elements):
    """The elements of all datasets that a function makes of the elements."""
    for element in elements:
        is_tuple = isinstance(element, (tuple, list))
        yield from function(*element) if is_tuple else function(element)


def selected(predicate, elements):
    """The elements, tuples spread over its arguments, for which a function holds."""
    for element in elements:
        is_tuple = isinstance(element, (tuple, list))
        if predicate(*element) if is_tuple else predicate(element):
            yield element


def generated(generator, dtypes, *arguments):
    """What a generator yields, as tensors of the dtypes given in its structure."""

    def convert(value, dtype):
        if isinstance(dtype, tuple):
            return tuple(convert(*pair) for pair in zip(value, dtype))
        if isinstance(dtype, dict):
            return {key: convert(value[key], dtype[key]) for key in dtype}
        return value if dtype is str else torch.as_tensor(np.asarray(value)).to(dtype)

    for element in generator(*arguments):
        yield convert(element, dtypes)


def lines(*paths):
    """The lines of text files."""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from (line.rstrip("\n") for line in file)


def pad_batch(elements):
    """A batch of elements of different lengths, each part filled up with zeros at its end."""
    first = elements[0]
    if isinstance(first, (tuple, list)):
        return tuple(pad_batch(list(part)) for part in zip(*elements))
    if isinstance(first, dict):
        return {key: pad_batch([element[key] for element in elements]) for key in first}
    parts = [torch.as_tensor(element) for element in elements]
    shape = [max(sizes) for sizes in zip(*(part.shape for part in parts))]
    batch = parts[0].new_zeros([len(parts), *shape])
    for row, part in zip(batch, parts):
        row[tuple(slice(size) for size in part.shape)] = part
    return batch


def as_arrays(elements):
    """Elements with their tensors as numpy arrays."""

    def convert(value):
        if isinstance(value, (tuple, list)):
            return tuple(map(convert, value))
        if isinstance(value, dict):
            return {key: convert(part) for key, part in value.items()}
        return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)

    return map(convert, elements)
