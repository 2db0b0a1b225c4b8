"""Spectrogram-like patches of made up bird songs."""

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset


def to_tensor(data):
    """An array as a tensor, floats in the default precision."""
    tensor = torch.as_tensor(np.asarray(data))
    return (
        tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
    )


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


BIRDS = ("warbler", "thrush", "finch")
FRAMES, BINS = 24, 16


def sing(bird, rng):
    """Every bird draws its line through time and frequency."""
    song = rng.gamma(1.0, 0.15, size=(FRAMES, BINS))
    t = np.arange(FRAMES)
    offset = rng.integers(0, 4)
    if bird == 0:
        line = 4 + offset + 3 * np.sin(t / 2.0 + rng.uniform(0, 6))
    elif bird == 1:
        line = 2 + offset + t * 0.4
    else:
        line = np.where((t // 3) % 2 == 0, 3 + offset, 10 + offset)
    for frame, pos in zip(t, np.clip(np.round(line).astype(int), 0, BINS - 1)):
        song[frame, pos] += rng.uniform(0.5, 1.5)
    return song


def make_arrays(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(BIRDS), size=n)
    x = np.stack([sing(k, rng) for k in y]).astype("float32")
    return x[..., None], y.astype("int32")


def random_shift(x, y):
    """Moves the song a little in time."""
    shift = torch.randint(-3, 4, [])
    return torch.roll(x, shift, 0), y


def normalize(x, y):
    x = torch.log(x + 0.1)
    return (x - torch.mean(x)) / torch.std(x, correction=0), y


def get_dataset(n, seed, batch_size, augment=False):
    ds = TensorDataset(*map(to_tensor, make_arrays(n, seed)))
    if augment:
        ds = Mapped(ds, random_shift)
    ds = Mapped(ds, normalize)
    ds = DataLoader(ds, batch_size=batch_size, shuffle=augment)
    return ds
