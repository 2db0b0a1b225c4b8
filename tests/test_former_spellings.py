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
