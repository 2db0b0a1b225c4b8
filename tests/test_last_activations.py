"""Keras's losses on logits look behind a softmax or sigmoid; torch's take what they are given."""

import pytest
from translating import to_tf

HEAD = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        BODY


net = Net()
criterion = nn.CrossEntropyLoss()
loss = criterion(net(torch.zeros(2, 3)), torch.tensor([0, 1]))
"""
STOCK = "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"


@pytest.mark.parametrize(
    "body",
    [
        "return F.softmax(self.fc(x), dim=1)",
        "return self.softmax(self.fc(x))",
        "x = torch.softmax(self.fc(x), 1)\n        return x",
        "p = self.fc(x).softmax(1)\n        return p, x",
    ],
)
def test_softmax_at_the_end(body: str) -> None:
    code = to_tf(HEAD.replace("BODY", body))
    assert STOCK not in code
    assert "cross_entropy(" in code


@pytest.mark.parametrize(
    "body",
    [
        "return self.fc(x)",
        "w = F.softmax(x, dim=1)\n        return self.fc(w * x)",
        "return F.log_softmax(self.fc(x), dim=1)",
    ],
)
def test_softmax_inside(body: str) -> None:
    assert STOCK in to_tf(HEAD.replace("BODY", body))


def test_last_of_a_sequential() -> None:
    code = to_tf(
        """
net = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())
criterion = nn.BCEWithLogitsLoss()
loss = criterion(net(torch.zeros(2, 3)), torch.zeros(2, 1))
"""
    )
    assert "BinaryCrossentropy" not in code


def test_loss_of_several_calls_is_turned_round() -> None:
    """A criterion made anew in each call of a function is several objects of one kind."""
    code = to_tf(
        """
def train(net):
    criterion = nn.CrossEntropyLoss()
    return criterion(net(torch.zeros(2, 3)), torch.tensor([0, 1]))


train(nn.Linear(3, 4))
train(nn.Linear(3, 5))
"""
    )
    assert "criterion(tf.constant([0, 1], dtype=tf.int64), net(" in code
