"""Datasets of single examples and the batches that ``torch.utils.data`` makes of them."""

import itertools
import math

import numpy as np
import tensorflow as tf


def collate(samples):
    """Stacks examples field by field: ints become int64, Python floats float64."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(collate(list(field)) for field in zip(*samples))
    return tf.convert_to_tensor(np.stack([np.asarray(sample) for sample in samples]))


class DataLoader:
    """Batches of an indexable dataset, drawn and collated anew for every epoch."""

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=False,
        sampler=None,
        drop_last=False,
        collate_fn=collate,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn

    def __len__(self):
        count = len(self.dataset if self.sampler is None else self.sampler)
        return (math.floor if self.drop_last else math.ceil)(count / self.batch_size)

    def __iter__(self):
        order = self.sampler
        if order is None:
            count = len(self.dataset)
            order = np.random.permutation(count) if self.shuffle else range(count)
        order = iter(order)
        for _ in range(len(self)):
            indices = [int(i) for i in itertools.islice(order, self.batch_size)]
            if self.collate_fn is collate and hasattr(self.dataset, "take_rows"):
                yield self.dataset.take_rows(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])


def as_tf_dataset(loader):
    """The batches of a loader as a tf.data.Dataset, with the types of its first example."""
    example = loader.collate_fn([loader.dataset[0]])
    fixed = loader.collate_fn is collate  # others may pad, and so change the shape

    def spec(x):
        x = tf.convert_to_tensor(x)
        shape = [None, *x.shape[1:]] if fixed else [None] * x.shape.rank
        return tf.TensorSpec(shape, x.dtype)

    signature = tf.nest.map_structure(spec, example)
    batches = tf.data.Dataset.from_generator(lambda: iter(loader), output_signature=signature)
    return batches.apply(tf.data.experimental.assert_cardinality(len(loader)))


class TensorDataset:
    """Examples that are the rows of several tensors or arrays."""

    def __init__(self, *tensors):
        self.tensors = tuple(tf.convert_to_tensor(tensor) for tensor in tensors)

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def take_rows(self, indices):
        """The examples at several places, stacked."""
        return tuple(tf.gather(tensor, indices) for tensor in self.tensors)


class ArrayDataset:
    """Examples that are the rows of arrays, in the tuples and dicts that the arrays come in."""

    def __init__(self, arrays):
        self.arrays = tf.nest.map_structure(tf.convert_to_tensor, arrays)

    def __len__(self):
        return len(tf.nest.flatten(self.arrays)[0])

    def __getitem__(self, index):
        return tf.nest.map_structure(lambda array: array[index], self.arrays)

    def take_rows(self, indices):
        """The examples at several places, stacked."""
        return tf.nest.map_structure(lambda array: tf.gather(array, indices), self.arrays)


class Subset:
    """The examples of a dataset at the given indices."""

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    def take_rows(self, indices):
        """The examples at several places, stacked; at once where the dataset holds tensors."""
        places = [int(self.indices[i]) for i in indices]
        if hasattr(self.dataset, "take_rows"):
            return self.dataset.take_rows(places)
        return collate([self.dataset[i] for i in places])


class ConcatDataset:
    """Several datasets, one after the other."""

    def __init__(self, datasets):
        self.datasets = list(datasets)

    def __len__(self):
        return sum(map(len, self.datasets))

    def __getitem__(self, index):
        index = range(len(self))[index]  # negative from the end, IndexError beyond it
        part = 0
        while index >= len(self.datasets[part]):
            index -= len(self.datasets[part])
            part += 1
        return self.datasets[part][index]


def random_split(dataset, lengths):
    """Random parts of a dataset: of the given lengths, or fractions that sum to 1."""
    count = len(dataset)
    if sum(lengths) <= 1:
        whole = [math.floor(count * fraction) for fraction in lengths]
        left = count - sum(whole)
        lengths = [n + (i % len(whole) < left) for i, n in enumerate(whole)]
    order = np.random.permutation(count)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(lengths)[:-1])]


class SubsetRandomSampler:
    """The given indices in a new random order for every epoch."""

    def __init__(self, indices):
        self.indices = np.asarray(indices)

    def __len__(self):
        return len(self.indices)

    def __iter__(self):
        return iter(np.random.permutation(self.indices))


class BatchSampler:
    """The indices of a sampler as arrays, one for each batch."""

    def __init__(self, sampler, batch_size, drop_last):
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __len__(self):
        return (math.floor if self.drop_last else math.ceil)(len(self.sampler) / self.batch_size)

    def __iter__(self):
        order = iter(self.sampler)
        for _ in range(len(self)):
            yield np.array([int(i) for i in itertools.islice(order, self.batch_size)])


class WeightedRandomSampler:
    """Indices drawn with the given weights, anew for every epoch."""

    def __init__(self, weights, num_samples, replacement=True):
        weights = np.asarray(weights, dtype=np.float64)
        self.chances = weights / weights.sum()
        self.num_samples = num_samples
        self.replacement = replacement

    def __len__(self):
        return self.num_samples

    def __iter__(self):
        count = len(self.chances)
        return iter(np.random.choice(count, self.num_samples, self.replacement, self.chances))
