"""Generated reviews: a sentence of neutral words with a few opinions in it."""

import numpy as np
import itertools
import math
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


GOOD = ["great", "lovely", "superb", "fun", "warm"]
BAD = ["dull", "awful", "weak", "cold", "boring"]
NEUTRAL = [
    "the",
    "film",
    "was",
    "and",
    "a",
    "plot",
    "with",
    "its",
    "actor",
    "scene",
    "music",
]

PAD, UNK = "<pad>", "<unk>"


class Vocab:
    def __init__(self, words):
        self.itos = [PAD, UNK] + sorted(words)
        self.stoi = {w: i for i, w in enumerate(self.itos)}

    def __len__(self):
        return len(self.itos)

    def __call__(self, words):
        return [self.stoi.get(w, self.stoi[UNK]) for w in words]


def write_review(rng, length):
    label = int(rng.integers(2))
    words = list(rng.choice(NEUTRAL, size=length))
    n_opinions = int(rng.integers(2, 5))
    places = rng.choice(length, size=n_opinions, replace=False)
    for k, place in enumerate(places):
        # the odd one out: one opinion in four is of the other kind
        same = k % 4 != 3
        pool = GOOD if (label == 1) == same else BAD
        words[place] = rng.choice(pool)
    return words, label


class Reviews:
    def __init__(self, n, vocab, max_len=20, seed=0):
        rng = np.random.default_rng(seed)
        self.vocab = vocab
        self.max_len = max_len
        self.samples = [
            write_review(rng, int(rng.integers(8, max_len + 1))) for _ in range(n)
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        words, label = self.samples[index]
        ids = self.vocab(words)
        ids = ids + [0] * (self.max_len - len(ids))
        return tf.constant(ids, dtype=tf.int64), tf.constant(label, dtype=tf.float32)


def build_loaders(batch_size, n_train=640, n_valid=160):
    vocab = Vocab(set(GOOD + BAD + NEUTRAL))
    train = DataLoader(
        Reviews(n_train, vocab, seed=1), batch_size=batch_size, shuffle=True
    )
    valid = DataLoader(Reviews(n_valid, vocab, seed=2), batch_size=batch_size)
    return train, valid, vocab
