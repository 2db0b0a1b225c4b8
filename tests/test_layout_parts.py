"""Orders of axes where parts of a model are put together by code: loops, branches, added layers."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same
from translating import reasons, to_tf


@pytest.fixture(autouse=True, scope="module")
def double() -> Iterator[None]:
    with double_precision():
        yield


IMAGES = "torch.arange(96.0, dtype=torch.float64).reshape(2, 3, 4, 4) / 96"
TRAIN = """
images = {images}
net = {net}
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)


def prepare():
    net(images)


def train():
    found = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (net(images) ** 2).mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
"""


def same(source: str, net: str) -> None:
    assert_same(source + TRAIN.format(images=IMAGES, net=net))


BLOCK = """
class Block(nn.Module):
    def __init__(self, i, o, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, padding=1, stride=stride)
        self.shortcut = nn.Sequential()
        if stride != 1 or i != o:
            self.shortcut = nn.Conv2d(i, o, 1, stride=stride)

    def forward(self, x):
        y = self.conv(x)
        return F.relu(y + self.shortcut(x))
"""


def test_layers_added_in_a_loop() -> None:
    same(
        """
class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, padding=1)

    def forward(self, x):
        return torch.cat([x, F.relu(self.conv(x))], 1)

class Net(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.features = nn.Sequential()
        channels = 3
        for i in range(count):
            self.features.add_module("block_{}".format(i), Block(channels, 2))
            channels += 2
        self.features.add_module("norm", nn.BatchNorm2d(channels))
        self.features.add_module("pool", nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(channels, 2)

    def forward(self, x):
        x = self.features(x)
        return self.fc(x.view(x.size(0), -1))
""",
        "Net(2)",
    )


@pytest.mark.parametrize("last", ["nn.Conv2d(4, 2, 3)", "nn.Flatten()"])
def test_layers_added_to_a_model_that_is_called(last: str) -> None:
    same(
        f"""
net = nn.Sequential()
net.add_module("one", nn.Conv2d(3, 4, 3, padding=1))
for i in range(2):
    net.add_module("conv{{}}".format(i), nn.Conv2d(4, 4, 3, padding=1))
    net.add_module("relu{{}}".format(i), nn.ReLU())
net.add_module("last", {last})
""",
        "net",
    )


def test_added_layers_that_alternate_between_orders_are_told() -> None:
    assert reasons(
        """
net = nn.Sequential()
for i in range(2):
    net.add_module("conv{}".format(i), nn.Conv2d(3, 3, 3, padding=1))
    net.add_module("flat{}".format(i), nn.Flatten())
    net.add_module("back{}".format(i), nn.Unflatten(1, (3, 4, 4)))
net(torch.randn(2, 3, 4, 4))
"""
    )


@pytest.mark.parametrize(
    "loop", ["while count - 1:\n            count -= 1", "for _ in range(count - 1):"]
)
def test_a_shortcut_without_layers_in_some_of_the_blocks(loop: str) -> None:
    same(
        BLOCK
        + f"""
class Net(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.width = 3
        self.one = self.stage(count, 4, 2)
        self.two = self.stage(count, 4, 1)

    def stage(self, count, width, stride):
        parts = [Block(self.width, width, stride)]
        self.width = width
        {loop}
            parts.append(Block(self.width, width))
        return nn.Sequential(*parts)

    def forward(self, x):
        return self.two(self.one(x)).mean((2, 3))
""",
        "Net(3)",
    )


def test_two_streams_through_blocks_that_a_loop_makes() -> None:
    same(
        """
class Pair(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.a = nn.Conv2d(i, o, 3, padding=1, stride=stride)
        self.shortcut = nn.Sequential()
        if i != o or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, stride=stride))

    def forward(self, pair):
        x, y = pair
        return self.a(x) + self.shortcut(y), self.a(y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        parts = nn.Sequential()
        for i, stride in enumerate([2, 1]):
            parts.add_module(str(i), Pair(3 if i == 0 else 4, 4, stride))
        self.parts = parts

    def forward(self, x):
        x, y = self.parts((x, x * 2))
        return torch.cat([x, y], 1).mean((2, 3))
""",
        "Net()",
    )


def test_what_is_joined_keeps_its_order_where_its_rank_is_not_known() -> None:
    same(
        """
def shuffle(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class Unit(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a = nn.Conv2d(n, n, 3, padding=1)

    def forward(self, x):
        x = torch.cat([x, self.a(x)], dim=1)
        return shuffle(x, 2)[:, ::2]


class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        parts = []
        while n:
            parts.append(Unit(3))
            n -= 1
        self.parts = nn.Sequential(*parts)

    def forward(self, x):
        return self.parts(x).mean((2, 3))
""",
        "Net(2)",
    )


def test_a_branch_that_today_is_not_taken_is_written_for_its_own_sizes() -> None:
    code = to_tf(
        """
class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes = classes
        self.conv = nn.Conv2d(3, classes, 1)

    def forward(self, x):
        return self.conv(x)


def score(net, x, y):
    out = net(x)
    if net.classes == 1:
        out = torch.sigmoid(out.squeeze(1))
        return (out * y).mean()
    y = F.one_hot(y, net.classes).permute(0, 3, 1, 2).float()
    return (out.flatten(0, 1) * y.flatten(0, 1)).mean()


print(score(Net(3), torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))))
"""
    )
    assert "tf.sigmoid(tf.squeeze(out, axis=1))" in code
    assert "[-1, 4, 4]" not in code


@pytest.mark.parametrize("first", ["self.conv(x)", "self.pool(x)"])
def test_an_input_of_which_nothing_is_known_is_brought_to_channels_last(first: str) -> None:
    code = to_tf(f"""
from somewhere import batches

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return {first}.flatten(1)

net = Net()
for x in batches():
    print(net(x))
""")
    assert "tf.transpose(x, [0, 2, 3, 1])" in code
