"""Activations that torch puts in the place of their argument, which is read again."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same
from translating import reasons, to_tf


@pytest.fixture(autouse=True, scope="module")
def double() -> Iterator[None]:
    with double_precision():
        yield


NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.block = nn.Sequential(nn.{kind}(inplace=True), nn.Linear(4, 4))
        self.act = nn.{kind}(inplace=True)

    def forward(self, x):
        {body}

net = Net()
"""
TRAIN = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

def prepare():
    net(features)

def train():
    found = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (net(features) ** 2).mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
"""


@pytest.mark.parametrize(
    "body",
    [
        "x = self.first(x) * 1\n        y = self.block(x)\n        return x + y",
        "x = self.first(x) * 1\n        z = x\n        y = self.act(x)\n        return z + y",
        "x = self.first(x) * 1\n        return self.block(x) + x",
        "x = self.first(x) * 1\n        self.act(x)\n        return x * 2",
        "x = self.first(x) * 1\n        y = F.relu(x, inplace=True)\n        return x + y * 2",
    ],
)
def test_what_is_read_again_is_activated(body: str) -> None:
    lines = NET.format(kind="ReLU", body=body).splitlines()
    unused = "self.block = " if "self.block(" not in body else "self.act = "
    assert_same("\n".join(line for line in lines if unused not in line) + TRAIN)


@pytest.mark.parametrize(
    "body",
    [
        "x = self.first(x)\n        x = self.act(x)\n        return self.block(self.first(x)) + x",
        "y = self.act(self.first(x))\n        return y + y",
    ],
)
def test_nothing_is_written_where_nobody_looks(body: str) -> None:
    code = to_tf(NET.format(kind="ReLU", body=body) + "net(torch.randn(2, 5))\n")
    assert "tf.nn.relu" not in code


def test_what_can_not_be_done_twice_is_left_to_a_person() -> None:
    body = "x = self.first(x)\n        return torch.cat([x, self.block(x)], 1)"
    found = reasons(NET.format(kind="LeakyReLU", body=body) + "net(torch.randn(2, 5))\n")
    assert found == ["the layer changes `x` in place, which is read again afterwards"]
