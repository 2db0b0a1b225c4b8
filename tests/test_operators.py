"""Sums of variables and tensors, counts that start as numbers."""

import numpy as np
import pytest
from translating import to_tf

tf = pytest.importorskip("tensorflow")

NET = """
class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.shift = nn.Parameter(torch.arange(SHAPE).float())

    def forward(self, x):
        return self.shift + x
"""


@pytest.mark.parametrize("columns", [(3, 1), (1, 3), (3, 3), (1, 1), (1,), (1, 3, 1)])
def test_variable_plus_tensor(columns: tuple[int, ...]) -> None:
    """Keras' own `+` of a variable takes a column for a row."""
    names: dict = {}
    exec(to_tf(NET.replace("SHAPE", "3")), names)
    x = np.arange(np.prod(columns), dtype="float32").reshape(columns)
    found = names["Net"](3).call(tf.constant(x))
    np.testing.assert_array_equal(found, np.arange(3, dtype="float32") + x)


def test_known_rows_stay_in_their_order() -> None:
    assert "return self.shift + x" in to_tf(NET.replace("SHAPE", "3") + "Net(3)(torch.ones(5, 3))")


def test_methods_of_a_count_that_starts_as_a_number() -> None:
    """`correct` is a number at first; what only tensors have is asked of a tensor."""
    code = to_tf(
        """
correct = 0
for x in torch.randn(4, 3):
    correct += (x > 0).sum()
print(correct.float() / 12, correct.item())
"""
    )
    names: dict = {}
    exec(code, names)
    assert ".item()" not in code.replace(".numpy().item()", "")


def test_a_size_of_which_nothing_is_known() -> None:
    code = to_tf("def make(n, shape):\n    return torch.zeros(n), torch.zeros(shape)\n")
    assert "return tf.zeros([n]), tf.zeros(shape)" in code


def test_several_sizes_of_which_nothing_is_known() -> None:
    code = to_tf(
        "def make(x, n, m):\n    return x.float().new(n, m).zero_(), torch.FloatTensor(n, m)\n"
    )
    assert code.count("zeros([n, m]") == 2


def test_numpy_integers_as_sizes_of_layers() -> None:
    code = to_tf(
        """
import gymnasium as gym

env = gym.make("CartPole-v1")
n_obs, n_actions = env.observation_space.shape[0], env.action_space.n
net = nn.Sequential(nn.Linear(n_obs, 8), nn.ReLU(), nn.Linear(8, n_actions))
print(net(torch.zeros(1, n_obs)).size(1))
"""
    )
    assert "layers.Dense(int(n_actions))" in code


def test_scikit_learn_splits_arrays() -> None:
    source = """
from sklearn.model_selection import train_test_split

x, y = torch.arange(20).reshape(10, 2).float(), torch.arange(10)
a, b, c, d = train_test_split(x, y, test_size=0.3, random_state=1)
"""
    ours: dict = {}
    exec(to_tf(source), ours)
    theirs: dict = {}
    exec("import torch\n" + source, theirs)
    for name in "abcd":
        np.testing.assert_array_equal(ours[name], theirs[name].numpy())
        assert tf.is_tensor(ours[name])
