"""`copy.deepcopy` of modules, and what else a module is called with beside tensors."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


CLONES = """
import copy

def clones(module, N):
    return nn.ModuleList([copy.deepcopy(module) for _ in range(N)])

class Around(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm = nn.LayerNorm(size)

    def forward(self, x, inner, lengths):
        return x + inner(self.norm(x)) * len(lengths)

class Block(nn.Module):
    def __init__(self, size, inner):
        super().__init__()
        self.inner = inner
        self.around = clones(Around(size), 2)
        self.mix = clones(nn.Linear(size, size), 2)

    def forward(self, x):
        x = self.around[0](x, lambda x: torch.tanh(self.mix[0](x)), [1, 1])
        return self.mix[1](self.around[1](x, self.inner, [1]))

class Net(nn.Module):
    def __init__(self, block, n):
        super().__init__()
        self.blocks = clones(block, n)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.out(x)

c = copy.deepcopy
feed = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 5))
model = Net(Block(5, c(feed)), 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(features)

def train():
    found = []
    for step in range(4):
        loss = F.cross_entropy(model(features), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
        if step == 1:
            early = copy.deepcopy(model)
    found.append(early(features).sum().item())
    return found
"""


def test_copies_are_layers_of_their_own() -> None:
    conversion = assert_same(CLONES)
    assert "class Block(Copyable, " in conversion.code
    assert "class Around(Copyable, " in conversion.code
    assert "inner=lambda x:" in conversion.code
    assert any("start from initial values of their own" in f.message for f in conversion.findings)


BATCHES = """
from torch.utils.data.sampler import BatchSampler, SequentialSampler

model = nn.Linear(5, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train():
    found = []
    for last in (False, True):
        for index in BatchSampler(SequentialSampler(range(12)), 5, last):
            loss = F.cross_entropy(model(features[index]), classes[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found += [loss.item(), len(index)]
    return found
"""


def test_batches_of_indices() -> None:
    assert "tf.gather(features, index)" in assert_same(BATCHES).code
