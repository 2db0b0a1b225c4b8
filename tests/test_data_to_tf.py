"""Datasets, loaders, splits and samplers in whole scripts, run as twins on equal draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twin_scripts import check

from transpiler.verify.twins import Workshop


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as shop:
        yield shop


HEAD = """import numpy as np
import torch
from torch.utils.data import Dataset, DataLoader, TensorDataset, random_split, Subset
from torch.utils.data import WeightedRandomSampler, ConcatDataset
from torch import nn

class Points(Dataset):
    def __init__(self, n, transform=None):
        rng = np.random.RandomState(0)
        self.x = rng.randn(n, 4).astype(np.float32)
        self.y = (self.x.sum(1) > 0).astype(np.int64)
        self.transform = transform

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x = torch.from_numpy(self.x[i])
        if self.transform:
            x = self.transform(x)
        return x, self.y[i]

def collate(batch):
    xs, ys = zip(*batch)
    return torch.stack(xs), torch.tensor(ys)

"""

OWN = (
    HEAD
    + """
full = Points(50)
train_set, val_set = random_split(full, [40, 10])
loader = DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)
val_loader = DataLoader(val_set, batch_size=4)
model = nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
loss_fn = nn.CrossEntropyLoss()
for epoch in range(3):
    for x, y in loader:
        loss = loss_fn(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    total = 0.0
    with torch.no_grad():
        for x, y in val_loader:
            total += loss_fn(model(x), y).item() * x.size(0)
    print(epoch, loss.item(), total / len(val_set), len(loader), len(val_loader))
for x, y in DataLoader(Points(20, transform=lambda t: t * 2), batch_size=8, collate_fn=collate):
    loss = loss_fn(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(x.shape, loss.item())
"""
)


def test_dataset_of_the_program(shop: Workshop, tmp_path: Path) -> None:
    """Split, shuffled, batched, transformed and collated by hand."""
    code = check(shop, tmp_path, OWN).code
    assert "random_split(full, [40, 10])" in code
    assert "DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)" in code


MIXED = (
    HEAD
    + """
def mix(batch):
    x, y = collate(batch)
    share = np.random.beta(0.4, 0.4)
    return share * x + (1 - share) * x.flip(0), y

model = nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in DataLoader(Points(32), batch_size=8, shuffle=True, collate_fn=mix):
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
"""
)


def test_draws_of_numpy_beside_a_shuffled_loader(shop: Workshop, tmp_path: Path) -> None:
    """The translation's loader shuffles by numpy as well: the twins' other draws stay equal."""
    check(shop, tmp_path, MIXED)


FORMS = (
    HEAD
    + """
torch.manual_seed(0)
x = torch.arange(20.).view(10, 2)
y = torch.arange(10)
for a, b in DataLoader(TensorDataset(x, y), 4, False, drop_last=True):
    print(a.sum().item(), b.sum().item(), len(a))
for (a,) in DataLoader(TensorDataset(x), batch_size=4):
    print(a.shape[0])
ds = TensorDataset(x, y)
print(len(ds), ds[3][1].item())
for a, b in DataLoader(Subset(ds, [1, 3, 5]), batch_size=2):
    print(b.tolist())
for a in DataLoader(x, batch_size=5):
    print(a.mean().item())
for a, b in DataLoader(ConcatDataset([ds, ds]), batch_size=15):
    print(len(b))
n = int(0.8 * len(ds))
a_set, b_set = random_split(ds, [n, len(ds) - n], generator=torch.Generator().manual_seed(0))
print(len(a_set), len(b_set))
it = iter(DataLoader(ds, batch_size=3))
a, b = next(it)
print(b.tolist())
for i, batch in enumerate(DataLoader(ds, batch_size=5)):
    inputs, labels = batch
    print(i, labels.sum().item())
for i, batch in enumerate(DataLoader(ds, batch_size=5)):
    inputs, labels = batch[0], batch[1]
    print(i, labels.sum().item(), inputs.size(0))

weights = [0.1] * 5 + [1.0] * 5
picked = DataLoader(ds, batch_size=4, sampler=WeightedRandomSampler(weights, 8, replacement=True))
for a, b in picked:
    print(len(a), b.float().mean().item() * 0)
shuffled = DataLoader(dataset=ds, batch_size=3, shuffle=True, num_workers=0, pin_memory=True)
for epoch in range(2):
    print([b.tolist() for a, b in shuffled])
print(len(shuffled), len(shuffled.dataset), shuffled.batch_size)
"""
)


def test_ways_to_write_loaders(shop: Workshop, tmp_path: Path) -> None:
    """Batches, last batches, orders, iterators and lengths."""
    code = check(shop, tmp_path, FORMS).code
    batches = "from_tensor_slices((x,y)).batch(4,drop_remainder=True).prefetch(tf.data.AUTOTUNE)"
    assert batches in "".join(code.split())


def test_classes_of_data_that_a_program_asks_for(shop: Workshop, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
torch.manual_seed(0)
whole = TensorDataset(torch.arange(20.).view(10, 2), torch.arange(10))
for data in (whole, Subset(whole, [1, 2])):
    loader = DataLoader(data, batch_size=4) if isinstance(data, Subset) else data
    print(int(isinstance(loader, DataLoader)), int(isinstance(data, (TensorDataset, DataLoader))))
"""
    )
    check(shop, tmp_path, source)


PIPELINES = """
import torch
import torch.nn as nn
import torch.utils.data as data_utils
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

iris = load_iris()
X_train, X_test, y_train, y_test = train_test_split(
    iris.data, iris.target, test_size=0.2, random_state=1)
X_train = torch.FloatTensor(X_train)
y_train = torch.LongTensor(y_train)
train = data_utils.TensorDataset(X_train, y_train)
test = data_utils.TensorDataset(torch.tensor(X_test, dtype=torch.float32), torch.tensor(y_test))
train_loader = data_utils.DataLoader(train, batch_size=16, shuffle=True)
test_loader = data_utils.DataLoader(test, batch_size=16, shuffle=False)
model = nn.Linear(4, 3)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)


def run_epoch(loader, training):
    running, seen, right = 0.0, 0, 0
    for x, y in loader:
        out = model(x)
        loss = criterion(out, y)
        if training:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        running += loss.item() * len(y)
        right += (out.argmax(1) == y).sum().item()
        seen += len(y)
    return running / seen, right / seen


for epoch in range(4):
    print(epoch, run_epoch(train_loader, True), run_epoch(test_loader, False), len(train_loader))
"""


def test_pipeline_of_tensors(shop: Workshop, tmp_path: Path) -> None:
    """Samples are shuffled over the whole set, then batched, also for two loaders of one loop."""
    code = check(shop, tmp_path, PIPELINES).code
    assert ".shuffle(len(train)).batch(16)" in code
