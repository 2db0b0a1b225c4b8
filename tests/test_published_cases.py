"""Cases that hand-made conversions in circulation get wrong, as whole scripts, run as twins.

Each script runs in PyTorch and, translated with exact fidelity, in TensorFlow: equal weights,
batches and draws, float64. Losses, gradients, learning rates, modes and printed numbers agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twin_scripts import check

from transpiler.verify.twins import Workshop


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as shop:
        yield shop


TENSOR_DATASET = """
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader

torch.manual_seed(0)
X = torch.randn(100, 8)
y = torch.randint(0, 3, (100,))
dataset = TensorDataset(X, y)
loader = DataLoader(dataset, batch_size=32, shuffle=True)

model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(3):
    for inputs, labels in loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: {loss.item():.4f}")
"""


def test_shuffle_the_samples_then_batch(shop: Workshop, tmp_path: Path) -> None:
    code = check(shop, tmp_path, TENSOR_DATASET).code
    assert "from_tensor_slices((X, y))" in code
    assert code.index(".shuffle(len(") < code.index(".batch(32")


BINARY = """
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

rng = np.random.RandomState(0)
data = rng.randn(64, 4).astype(np.float32)
X = torch.from_numpy(data)
y = torch.from_numpy((data.sum(axis=1) > 0).astype(np.float32)).view(-1, 1)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.fc2 = nn.Linear(8, 1)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


model = Classifier()
criterion = nn.BCEWithLogitsLoss()
optimizer = optim.Adam(model.parameters(), lr=0.001)

for epoch in range(20):
    optimizer.zero_grad()
    logits = model(X)
    loss = criterion(logits, y)
    loss.backward()
    optimizer.step()
    predicted = (torch.sigmoid(logits) > 0.5).float()
    accuracy = (predicted == y).float().mean()
    print(epoch, loss.item(), accuracy.item())
"""


def test_binary_cross_entropy_on_logits(shop: Workshop, tmp_path: Path) -> None:
    code = check(shop, tmp_path, BINARY).code
    assert "BinaryCrossentropy(from_logits=True)" in code
    assert "criterion(y, logits)" in code
    assert "keras.optimizers.Adam(learning_rate=0.001, epsilon=1e-08)" in code
    assert "tensorflow.python" not in code


CONV_BLOCK = """
import torch
import torch.nn as nn


class ConvBlock(nn.Module):
    def __init__(self, in_channels, out_channels, k):
        super(ConvBlock, self).__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, k)
        self.bn = nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self, k=3):
        super(Net, self).__init__()
        self.block1 = ConvBlock(1, 4, k)
        self.block2 = ConvBlock(4, 6, k)
        self.fc = nn.Linear(6 * 4 * 4, 3)

    def forward(self, x):
        x = self.block2(self.block1(x))
        return self.fc(x.view(-1, 6 * 4 * 4))


torch.manual_seed(1)
images = torch.randn(20, 1, 8, 8)
labels = torch.randint(0, 3, (20,))
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
loss_fn = nn.CrossEntropyLoss()
for step in range(8):
    net.train()
    optimizer.zero_grad()
    loss = loss_fn(net(images), labels)
    loss.backward()
    optimizer.step()
    net.eval()
    with torch.no_grad():
        print(step, loss.item(), loss_fn(net(images), labels).item())
"""


def test_convolution_and_batch_norm_keep_their_numbers(shop: Workshop, tmp_path: Path) -> None:
    code = check(shop, tmp_path, CONV_BLOCK).code
    assert "layers.Conv2D(out_channels, k)" in code
    assert 'padding="same"' not in code
    assert "momentum=0.9" in code and "epsilon=1e-5" in code


ACTIVATION = """
import torch
from torch import nn


class Gate(nn.Module):
    def forward(self, x):
        return torch.tanh(x) * torch.sigmoid(x)


class MLP(nn.Module):
    def __init__(self, in_features, hidden, out_features):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(in_features, hidden),
            Gate(),
            nn.Linear(hidden, out_features),
        )

    def forward(self, x):
        return self.net(x)


torch.manual_seed(0)
x = torch.randn(30, 6)
t = torch.randn(30, 2)
model = MLP(6, 12, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
mse = nn.MSELoss()
for i in range(10):
    loss = mse(model(x), t)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(i, loss.item())
"""


def test_custom_activation_and_sizes_from_the_constructor(shop: Workshop, tmp_path: Path) -> None:
    code = check(shop, tmp_path, ACTIVATION).code
    assert "tf.tanh(x) * tf.sigmoid(x)" in code
    assert "layers.Dense(hidden)" in code


RECURRENT = """
import torch
import torch.nn as nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 5)
        self.conv = nn.Conv1d(5, 6, 3, padding=1)
        self.bn = nn.BatchNorm1d(6)
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.gru = nn.GRU(7, 4, batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, ids):
        x = self.embed(ids).transpose(1, 2)
        x = torch.relu(self.bn(self.conv(x))).transpose(1, 2)
        x, (h, c) = self.lstm(x)
        x, h = self.gru(x)
        return self.fc(x[:, -1])


torch.manual_seed(0)
ids = torch.randint(0, 12, (16, 9))
y = torch.randint(0, 3, (16,))
model = Tagger()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    optimizer.zero_grad()
    loss = criterion(model(ids), y)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
"""


def test_weights_of_all_kinds_are_carried_over(shop: Workshop, tmp_path: Path) -> None:
    check(shop, tmp_path, RECURRENT)


FLATTEN = """
import torch
import torch.nn as nn
import torch.nn.functional as F


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(8 * 2 * 3, 10)
        self.fc2 = nn.Linear(10, 4)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)


torch.manual_seed(0)
images = torch.randn(12, 1, 8, 12)
labels = torch.randint(0, 4, (12,))
model = CNN()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(8):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
"""


def test_flattening_keeps_the_order_that_the_next_layer_reads(
    shop: Workshop, tmp_path: Path
) -> None:
    code = check(shop, tmp_path, FLATTEN).code
    assert "layers.MaxPooling2D(2)" in code


MODES = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 10)
        self.bn = nn.BatchNorm1d(10)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(10, 2)

    def forward(self, x):
        x = self.drop(F.relu(self.bn(self.fc1(x))))
        return F.log_softmax(self.fc2(x), dim=1)


def train(model, loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % 2 == 0:
            print("epoch", epoch, "loss", loss.item())


def test(model, loader):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    test_loss /= len(loader.dataset)
    print("average loss", test_loss, "correct", correct, "of", len(loader.dataset))


def main():
    torch.manual_seed(0)
    x, y = torch.randn(60, 6), torch.randint(0, 2, (60,))
    train_loader = DataLoader(TensorDataset(x[:40], y[:40]), batch_size=10, shuffle=True)
    test_loader = DataLoader(TensorDataset(x[40:], y[40:]), batch_size=10)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(1, 4):
        train(model, train_loader, optimizer, epoch)
        test(model, test_loader)


if __name__ == "__main__":
    main()
"""


def test_modes_set_in_different_functions(shop: Workshop, tmp_path: Path) -> None:
    code = check(shop, tmp_path, MODES).code
    assert "model(data, training=True)" in code
    assert "model(data, training=False)" in code


NEVER_TOLD = """
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(40, 5)
y = torch.randint(0, 2, (40,))
model = nn.Sequential(
    nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(10):
    out = model(x)
    loss = criterion(out, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())
"""


def test_a_model_never_told_trains(shop: Workshop, tmp_path: Path) -> None:
    assert "model(x, training=True)" in check(shop, tmp_path, NEVER_TOLD).code


LOSSES = """
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.randn(48, 6)
y = torch.randint(0, 4, (48,))
y[::5] = -1
class_weights = torch.tensor([0.5, 1.0, 2.0, 1.5])

model = nn.Linear(6, 4)
ce = nn.CrossEntropyLoss()
weighted = nn.CrossEntropyLoss(weight=class_weights, ignore_index=-1)
nll = nn.NLLLoss()
nll_weighted = nn.NLLLoss(weight=class_weights, ignore_index=-1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
kept = torch.clamp(y, min=0)

for step in range(10):
    logits = model(x)
    log_probs = F.log_softmax(logits, dim=1)
    loss = ce(logits, kept) + weighted(logits, y)
    loss = loss + nll(log_probs, kept) + nll_weighted(log_probs, y)
    loss = loss + F.cross_entropy(logits, y, weight=class_weights, ignore_index=-1, reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
"""


def test_cross_entropy_and_nll_with_weights_and_ignored_classes(
    shop: Workshop, tmp_path: Path
) -> None:
    check(shop, tmp_path, LOSSES)


CHECKPOINTS = """
import os
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 8)
        self.bn = nn.BatchNorm1d(8)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(torch.relu(self.bn(self.fc1(x))))


torch.manual_seed(0)
x = torch.randn(24, 5)
y = torch.randint(0, 3, (24,))
criterion = nn.CrossEntropyLoss()


def train(model, optimizer, epochs):
    model.train()
    for epoch in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        print(epoch, loss.item())


def evaluate(model):
    model.eval()
    with torch.no_grad():
        print("evaluated", criterion(model(x), y).item())


{rest}
"""

STATE_DICT = CHECKPOINTS.replace(
    "{rest}",
    """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
train(model, optimizer, 5)
evaluate(model)
torch.save(model.state_dict(), "model.pth")

restored = Net()
restored.load_state_dict(torch.load("model.pth"))
evaluate(restored)
optimizer = torch.optim.Adam(restored.parameters(), lr=0.01)
train(restored, optimizer, 3)
""",
)

BUNDLE = CHECKPOINTS.replace(
    "{rest}",
    """
PATH = "checkpoint.pt"


def save(model, optimizer, epoch):
    torch.save({
        "epoch": epoch,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
    }, PATH)


def resume():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    start = 0
    if os.path.exists(PATH):
        checkpoint = torch.load(PATH)
        model.load_state_dict(checkpoint["model_state_dict"])
        optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
        start = checkpoint["epoch"] + 1
    return model, optimizer, start


first = Net()
first_optimizer = torch.optim.Adam(first.parameters(), lr=0.01)
train(first, first_optimizer, 5)
save(first, first_optimizer, 4)
model, optimizer, start = resume()
print("start", start)
evaluate(model)
train(model, optimizer, 4)
train(first, first_optimizer, 4)
""",
)

WHOLE = CHECKPOINTS.replace(
    "{rest}",
    """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
train(model, optimizer, 5)
torch.save(model, "whole.pt")
evaluate(model)
model = torch.load("whole.pt", weights_only=False)
evaluate(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
train(model, optimizer, 3)
""",
)


@pytest.mark.parametrize("script", [STATE_DICT, BUNDLE, WHOLE], ids=["state", "bundle", "whole"])
def test_a_saved_model_resumes(shop: Workshop, tmp_path: Path, script: str) -> None:
    check(shop, tmp_path, script)
