"""Saving and resuming in whole scripts, run as twins: states, bundles, whole models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from translating import reasons, to_tf
from twin_scripts import check

from transpiler.convert import convert
from transpiler.verify.twins import Workshop


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as shop:
        yield shop


PLAIN = """
import os, copy
import torch
import torch.nn as nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 8)
        self.fc2 = nn.Linear(8, 3)
    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

torch.manual_seed(0)
x, y = torch.randn(24, 5), torch.randint(0, 3, (24,))
criterion = nn.CrossEntropyLoss()
save_dir = "out"
os.makedirs(save_dir, exist_ok=True)
BEST = os.path.join(save_dir, "best.pth")
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)
best, best_state = float("inf"), None
for epoch in range(6):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    scheduler.step()
    if loss.item() < best:
        best = loss.item()
        best_state = copy.deepcopy(model.state_dict())
        torch.save(model.state_dict(), BEST)
        torch.save(model.state_dict(), f"out/epoch_{epoch}.pt")
    torch.save({
        "epoch": epoch,
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "best": best,
    }, "out/last.tar")
    print(epoch, loss.item())
model.load_state_dict(best_state)
print(criterion(model(x), y).item(), os.path.exists("out/best.pth"))
other = Net()
if os.path.isfile(BEST):
    other.load_state_dict(torch.load(BEST, map_location="cpu"))
print(criterion(other(x), y).item())
third = Net()
state = torch.load("out/epoch_2.pt")
third.load_state_dict(state)
print(criterion(third(x), y).item())
checkpoint = torch.load("out/last.tar", map_location=torch.device("cpu"))
resumed = Net()
resumed.load_state_dict(checkpoint["state_dict"])
opt2 = torch.optim.SGD(resumed.parameters(), lr=0.1, momentum=0.9)
opt2.load_state_dict(checkpoint["optimizer"])
sch2 = torch.optim.lr_scheduler.StepLR(opt2, 3, gamma=0.5)
sch2.load_state_dict(checkpoint["scheduler"])
for epoch in range(checkpoint["epoch"] + 1, 9):
    opt2.zero_grad()
    loss = criterion(resumed(x), y)
    loss.backward()
    opt2.step()
    sch2.step()
    print(epoch, loss.item(), opt2.param_groups[0]["lr"], checkpoint["best"])
torch.save(resumed, "out/whole.pt")
again = torch.load("out/whole.pt", weights_only=False)
again.eval()
print(criterion(again(x), y).item())
"""


def test_every_form_with_paths_that_can_be_renamed(shop: Workshop, tmp_path: Path) -> None:
    code = check(shop, tmp_path, PLAIN).code
    assert 'BEST = os.path.join(save_dir, "best.weights.h5")' in code
    assert 'os.path.exists("out/best.weights.h5")' in code
    assert "model.save_weights(BEST)" in code
    assert ".pth" not in code


GIVEN = """
import argparse
import os
import torch
import torch.nn as nn

parser = argparse.ArgumentParser()
parser.add_argument("--path", type=str, default="net.pt")
args = parser.parse_args()


class EarlyStopping:
    def __init__(self, patience, path):
        self.patience = patience
        self.path = path
        self.best = None
        self.counter = 0
        self.stop = False

    def __call__(self, value, model):
        if self.best is None or value < self.best:
            self.best = value
            self.counter = 0
            torch.save(model.state_dict(), self.path)
        else:
            self.counter += 1
            self.stop = self.counter >= self.patience


torch.manual_seed(0)
x, y = torch.randn(24, 5), torch.randint(0, 3, (24,))
model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
if os.path.exists(args.path):
    model.load_state_dict(torch.load(args.path))
stopping = EarlyStopping(2, args.path)
for epoch in range(12):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        value = criterion(model(x), y).item()
    print(epoch, loss.item(), value)
    stopping(value, model)
    if stopping.stop:
        break
print(os.path.exists(args.path), os.path.exists("missing.pt"))
model.load_state_dict(torch.load(args.path))
model.eval()
print(criterion(model(x), y).item())
"""


def test_paths_that_come_from_outside(shop: Workshop, tmp_path: Path) -> None:
    """The path stays as it is given, so what looks for the file finds it."""
    code = check(shop, tmp_path, GIVEN).code
    assert "save_pickle(model.get_weights(), self.path)" in code
    assert "model.set_weights(load_pickle(args.path))" in code


def test_a_script_that_only_loads() -> None:
    """It asks for the file that the translated training script writes."""
    script = """
import torch
import torch.nn as nn

model = nn.Linear(4, 2)
model.load_state_dict(torch.load("model.pth"))
model.eval()
print(model(torch.ones(1, 4)))
"""
    code = convert(script, "tf").code
    assert "model.build((None, 4))" in code
    assert 'model.load_weights("model.weights.h5")' in code


def test_checkpoints_in_files_that_are_open(tmp_path: Path) -> None:
    from transpiler.rules.emitted.to_tf.checkpoints import load_pickle, save_pickle

    with open(tmp_path / "model.pt", "wb") as file:
        save_pickle([1, 2], file)
    with open(tmp_path / "model.pt", "rb") as file:
        assert load_pickle(file) == [1, 2]
    save_pickle([3], tmp_path / "other.pt")
    assert load_pickle(tmp_path / "other.pt") == [3]


def test_copies_of_a_state() -> None:
    code = to_tf("""
model = nn.Linear(3, 2)
best = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
model.load_state_dict(best)
print(sum(v.numel() for k, v in model.state_dict().items() if "num_batches" not in k))
""")
    assert "best = model.get_weights()" in code
    assert "model.set_weights(best)" in code
    assert "print(model.count_params())" in code


ALIAS = """
import copy
import torch
from torch import nn
net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.randn(8, 3)
for epoch in range(3):
    optimizer.zero_grad()
    loss = net(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    if epoch == 1:
        best = STATE
net.load_state_dict(best)
"""


@pytest.mark.parametrize(
    ("state", "told"), [("net.state_dict()", True), ("copy.deepcopy(net.state_dict())", False)]
)
def test_a_state_that_is_no_copy_is_told(state: str, told: bool) -> None:
    findings = convert(ALIAS.replace("STATE", state), "tf").findings
    assert any("follows the model" in " ".join(f.message.split()) for f in findings) is told


def test_a_hook_that_does_something_else_is_told() -> None:
    source = """
import torch
net = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
optimizer.register_step_post_hook(lambda *_: print("stepped"))
"""
    assert reasons(source) == ["a hook runs after the steps of an optimizer"]


def test_parameters_and_buffers_together_are_all_variables() -> None:
    source = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
print(net(torch.ones(3, 2)), len([*net.parameters(), *net.buffers()]))
for a, b in zip(net.buffers(), net.buffers()):
    a.copy_(b)
"""
    code = convert(source, "tf").code
    assert "len(net.variables)" in code
    assert "zip(net.non_trainable_weights, net.non_trainable_weights)" in code
