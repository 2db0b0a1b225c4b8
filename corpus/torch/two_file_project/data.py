"""Generated reviews: a sentence of neutral words with a few opinions in it."""
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

GOOD = ["great", "lovely", "superb", "fun", "warm"]
BAD = ["dull", "awful", "weak", "cold", "boring"]
NEUTRAL = ["the", "film", "was", "and", "a", "plot", "with", "its", "actor", "scene", "music"]

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


class Reviews(Dataset):
    def __init__(self, n, vocab, max_len=20, seed=0):
        rng = np.random.default_rng(seed)
        self.vocab = vocab
        self.max_len = max_len
        self.samples = [write_review(rng, int(rng.integers(8, max_len + 1))) for _ in range(n)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        words, label = self.samples[index]
        ids = self.vocab(words)
        ids = ids + [0] * (self.max_len - len(ids))
        return torch.tensor(ids), torch.tensor(label, dtype=torch.float32)


def build_loaders(batch_size, n_train=640, n_valid=160):
    vocab = Vocab(set(GOOD + BAD + NEUTRAL))
    train = DataLoader(Reviews(n_train, vocab, seed=1), batch_size=batch_size, shuffle=True)
    valid = DataLoader(Reviews(n_valid, vocab, seed=2), batch_size=batch_size)
    return train, valid, vocab
