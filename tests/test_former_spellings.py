"""Spellings of earlier versions of Python and of the libraries."""

from translating import to_tf

LOADER = """
data = torch.utils.data.TensorDataset(torch.randn(12, 3), torch.zeros(12))
loader = torch.utils.data.DataLoader(data, batch_size=4)
"""


def test_next_of_an_iterator() -> None:
    code = to_tf(LOADER + "batches = iter(loader)\nx, y = batches.next()\nprint(x.size(0))\n")
    assert "x, y = next(batches)\nprint(x.shape[0])" in code


def test_own_next_stays() -> None:
    own = "class Batches:\n    def next(self):\n        return torch.ones(2)\n\n\n"
    code = to_tf(own + "print(Batches().next().size())\n")
    assert "print(Batches().next().shape)" in code


def test_annotations_of_variables() -> None:
    code = to_tf(
        """
from typing import List


class Batch:
    image: torch.Tensor
    parts: List[torch.Tensor] = []


layers: list[nn.Module] = []
"""
    )
    assert "image: tf.Tensor\n    parts: List[tf.Tensor] = []" in code
    assert "torch" not in code


def test_a_sum_of_losses_that_starts_from_zero() -> None:
    code = to_tf(
        """
criterion = nn.MSELoss()
loss = 0
for x in loader:
    loss += criterion(x, x)
print(loss.data[0] / 3)
"""
    )
    assert "print(float(loss) / 3)" in code


REPLAY = """
import random
from torch import autograd

V = lambda *a, **k: autograd.Variable(*a, **k).cuda() if {gpu} else autograd.Variable(*a, **k)
net = nn.Linear(4, 2)
buffer = []

def act(state):
    if random.random() > 0.5:
        return net(V(torch.FloatTensor(state).unsqueeze(0), volatile=True)).max(1)[1].data[0]
    return random.randrange(2)

for i in range(9):
    buffer.append(([0.5 * i, 1.0, 2.0, 3.0], act([1.0, 2.0, 3.0, 4.0]), 0.5 * i, i % 2))
state, action, reward, done = zip(*random.sample(buffer, 4))
"""


def test_a_lambda_that_wraps_and_columns_of_a_replay_buffer() -> None:
    code = to_tf(
        REPLAY.replace("{gpu}", "torch.cuda.is_available()")
        + "print(V(torch.LongTensor(action)), torch.FloatTensor(reward))\n"
        + "print(torch.FloatTensor(done))\n"
    )
    assert "lambda" not in code
    assert "tf.cast(tf.stack(action), tf.int64)" in code
    assert "tf.constant(reward, dtype=tf.float32)" in code
    assert "tf.constant(done, dtype=tf.float32)" in code
