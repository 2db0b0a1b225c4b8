"""Models whose variables are read before anything tells the shape of their inputs."""

from typing import Any

import numpy as np
import pytest
from translating import to_tf

torch = pytest.importorskip("torch")
tf = pytest.importorskip("tensorflow")

NETS = """
import numpy as np


class Q(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(np.array(env.shape).prod(), 12),
            nn.ReLU(),
            nn.LayerNorm(12),
            nn.Linear(12, env.actions),
        )

    def forward(self, x):
        return self.network(x)


def block(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, 2, 1), nn.BatchNorm2d(c_out), nn.ReLU())


class Images(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.features = nn.Sequential(block(env.channels, 4), block(4, 6))
        self.last = nn.Conv2d(6, 6, 3, padding=2)
        self.up = nn.ConvTranspose2d(6, 2, 2, stride=2)
        self.fc = nn.Linear(2 * env.side * env.side, env.actions)

    def forward(self, x):
        x = self.up(self.last(self.features(x)))
        return self.fc(x.view(x.size(0), -1))


class Words(nn.Module):
    def __init__(self, env):
        super().__init__()
        self.embed = nn.Embedding(env.words, 5)
        self.rnn = nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(14, env.actions)

    def forward(self, x):
        x, _ = self.rnn(self.embed(x))
        return self.fc(x[:, -1])
"""


class Env:
    shape, actions, channels, side, words = (3, 4), 2, 3, 8, 11


INPUTS = {
    "Q": np.ones((2, 12), "float32"),
    "Images": np.ones((2, 3, 8, 8), "float32"),
    "Words": np.ones((2, 6), "int64"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_variables_are_there_at_once(name: str) -> None:
    source = f"""{NETS}

def twins(env):
    one, two = {name}(env), {name}(env)
    two.load_state_dict(one.state_dict())
    return one, two


def count(env):
    model = {name}(env)
    return sum(p.numel() for p in model.parameters())
"""
    code = to_tf(source)
    assert "built(" in code
    ours: dict[str, Any] = {}
    exec(code, ours)
    theirs: dict[str, Any] = {}
    exec("import torch\nfrom torch import nn\n" + source, theirs)
    assert ours["count"](Env) == theirs["count"](Env) or "LSTM" in code
    one, two = ours["twins"](Env)
    x, two_weights = tf.constant(INPUTS[name]), two.get_weights()
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one(x), two(x))
    assert len(one.get_weights()) == len(two_weights)


def test_known_shapes_are_called_on_zeros() -> None:
    code = to_tf(
        """
model = nn.Linear(3, 2)
print(sum(p.numel() for p in model.parameters()))
model(torch.zeros(4, 3))
"""
    )
    assert "built(" not in code


def test_data_of_a_step_stays_outside_of_the_graph() -> None:
    """What an unknown object gives from step to step must not be traced once."""
    code = to_tf(
        """
def train(buffer, model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(steps):
        x, y = buffer.sample(32)
        x, y = torch.Tensor(x), torch.LongTensor(y)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
    )
    assert "buffer.sample(32)" in code
    _, _, after = code.partition("@tf.function")
    traced = after.partition("def train(")[0]
    assert "sample" not in traced
