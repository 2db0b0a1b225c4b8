"""What modules keep: buffers and parameters that get new values, parameters that are frozen.

Each test trains a program and its translation from equal weights; what they return has to agree.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same, train_both
from translating import reasons, to_tf


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


CODES = """
class Codes(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 4)
        self.table = nn.Embedding(6, 4)
        self.table.weight.data.normal_()
        self.register_buffer("size", torch.ones(6))
        self.mean = nn.Parameter(torch.ones(6, 4))

    def forward(self, x):
        z = self.dense(x)
        away = ((z.unsqueeze(1) - self.table.weight) ** 2).sum(2)
        near = F.one_hot(away.argmin(1), 6).to(z.dtype)
        codes = near @ self.table.weight
        if self.training:
            self.size = 0.9 * self.size + 0.1 * near.sum(0)
            self.mean = nn.Parameter(self.mean * 0.9 + 0.1 * near.t() @ z)
            self.table.weight = nn.Parameter(self.mean / self.size.unsqueeze(1))
        return ((codes.detach() - z) ** 2).mean()

model = Codes()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

def train():
    losses = []
    for _ in range(4):
        loss = model(features)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.size
"""

TARGET = """
model, target = nn.Linear(5, 1), nn.Linear(5, 1)
for p in target.parameters():
    p.requires_grad = False
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(features), target(features)

def train():
    losses = []
    for _ in range(4):
        loss = ((model(features) - target(features)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for p, q in zip(model.parameters(), target.parameters()):
            q.data.mul_(0.5).add_(p.data, alpha=0.5)
        losses.append(loss.item())
    return losses, sum(p.numel() for p in target.parameters())
"""

STAGES = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.base(x))

model = Net()
for name, p in model.named_parameters():
    if "base" in name:
        p.requires_grad = False
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

def train():
    losses = []
    for step in range(6):
        if step == 3:
            for p in model.parameters():
                p.requires_grad = True
        loss = (model(features) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses, model(features)
"""

NORM = """
class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 5)
        self.weight = nn.Parameter(torch.ones(3, 5))
        self.register_buffer("u", torch.ones(1, 3))

    @property
    def normed(self):
        with torch.no_grad():
            v, u = self.u @ self.weight, self.u
            v, one = v / v.norm(), 1
            u = v @ self.weight.t()
            self.u.copy_(u / u.norm())
        return self.weight / (self.u @ self.weight @ v.t())

    def forward(self, x):
        return self.inner(x) @ self.normed.t()

model = Spectral()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train():
    losses = []
    for _ in range(4):
        loss = (model(features) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.u
"""


SETTINGS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 4)
        self.norm = nn.BatchNorm1d(4)
        for m in self.modules():
            if isinstance(m, nn.BatchNorm1d):
                m.eps = 1e-3
                m.momentum = 0.03

    def forward(self, x):
        return self.norm(self.dense(x))

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train():
    found = []
    for step in range(4):
        loss = ((model(features) - 1) ** 4).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.norm.momentum = 0.5 / (step + 1)
        found += [loss.item(), model.norm.momentum, model.norm.eps]
        found.append(model.norm.running_var.sum().item())
        if step == 2:
            model.norm.running_mean = torch.zeros_like(model.norm.running_mean)
    model.eval()
    return found, model(features)
"""


@pytest.mark.parametrize("program", [CODES, TARGET, STAGES, NORM, SETTINGS],
                         ids=["codes", "target", "stages", "norm", "settings"])  # fmt: skip
def test_state_of_modules_is_kept(program: str) -> None:
    assert_same(program)


def test_a_buffer_of_a_traced_step_is_assigned_to() -> None:
    code = train_both(CODES)[2].code
    assert "self.size.assign(" in code
    assert "self.table.embeddings.assign(" in code
    assert "@tf.function" in code


def test_all_parameters_are_there_when_frozen() -> None:
    assert "zip(model.trainable_variables, target.weights)" in train_both(TARGET)[2].code


def test_parameters_that_an_optimizer_was_not_given_are_told() -> None:
    program = STAGES.replace(
        "Adam(model.parameters()", "Adam(filter(lambda p: p.requires_grad, model.parameters())"
    )
    assert reasons(f"features = torch.randn(8, 5)\n{program}\ntrain()\n") == [
        "parameters are trained again later that this optimizer was not given: torch's leaves "
        "them alone"
    ]


def test_changed_settings_of_layers_are_renamed_or_told() -> None:
    code = to_tf("drop = nn.Dropout(0.1)\ndrop.p = 0.3\nprint(drop.p)\n")
    assert "drop.rate = 0.3\nprint(drop.rate)" in code
    found = reasons("conv = nn.Conv2d(1, 2, 3)\nconv.stride = (2, 2)\n")
    assert found == ["`stride` of a layer is changed after it was made"]


BANK = """
class Bank(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 3)
        self.register_buffer("seen", torch.zeros(12))
        self.register_buffer("bank", torch.ones(12, 3))

    def forward(self, x, places):
        z = self.fc(x)
        loss = (z @ self.bank.clone().t()).logsumexp(1).mean()
        with torch.no_grad():
            self.bank[places] = 0.5 * self.bank[places] + 0.5 * z.detach()
            self.seen[places] += 1
        return loss

model = Bank()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(features[:2], torch.tensor([0, 1]))

def train():
    losses = []
    for step in range(4):
        places = torch.tensor([step, step + 1, 11 - step])
        loss = model(features[:3], places)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.bank, model.seen
"""


def test_elements_of_buffers_are_written_where_they_are() -> None:
    assert_same(BANK)


CRITIC = """
D, G = nn.Linear(2, 1), nn.Linear(3, 2)
optimizer_d = torch.optim.SGD(D.parameters(), lr=0.1)
optimizer_g = torch.optim.SGD(G.parameters(), lr=0.1)
for noise in [torch.randn(4, 3)] * 3:
    for p in D.parameters():
        p.requires_grad = True
    optimizer_d.zero_grad()
    loss_d = D(G(noise).detach()).mean()
    loss_d.backward()
    optimizer_d.step()
    for p in D.parameters():
        p.requires_grad = False
    optimizer_g.zero_grad()
    loss_g = -D(G(noise)).mean()
    loss_g.backward()
    optimizer_g.step()
"""


def test_a_critic_that_is_frozen_meanwhile_has_a_traced_step() -> None:
    assert "@tf.function" in to_tf(CRITIC)


KEPT = """
class Stats:
    def __init__(self):
        self.total = torch.zeros(5)
        self.parts = [torch.zeros(5), torch.ones(5)]
        self.table = {"a": torch.zeros(5)}

    def update(self, x):
        total = self.total
        total.add_(x)
        for p, n in zip(self.parts, [1, 2]):
            p.mul_(0.5).add_(n * x)
            p -= 1
        for v in self.table.values():
            v.add_(x)

model = nn.Linear(5, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
stats = Stats()

def train():
    losses = []
    for step in range(3):
        loss = (model(features) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        stats.update(features.mean(0))
        losses.append(loss.item())
    return losses, stats.total, stats.parts[0], stats.parts[1], stats.table["a"]
"""


def test_tensors_changed_by_local_names_change_where_they_are_kept() -> None:
    code = assert_same(KEPT).code
    assert "for i, (p, n) in enumerate(zip(self.parts, [1, 2])):" in code
    assert "self.table[key] = v + x" in code


def test_elements_without_a_place_are_told() -> None:
    found = reasons("for row in (torch.zeros(2), torch.ones(2)):\n    row.add_(1)\n")
    assert found == ["`row` is an element of something that is changed in place"]
