"""A Keras fit loop: functional model, shuffled arrays, validation split, L2, momentum."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_wine
from torch import nn

data, target = load_wine(return_X_y=True)
data = ((data - data.mean(0)) / data.std(0)).astype("float32")
order = np.random.default_rng(1).permutation(len(data))
data, target = torch.from_numpy(data[order]), torch.from_numpy(target[order])
split = int(len(data) * 0.75)
train = torch.utils.data.TensorDataset(data[:split], target[:split])


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(13, 16)
        self.dropout = nn.Dropout(0.2)
        self.dense_1 = nn.Linear(16, 3)

    def forward(self, x):
        return self.dense_1(self.dropout(F.relu(self.dense(x))))


model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
loader = torch.utils.data.DataLoader(train, batch_size=16, shuffle=True)


def penalty():
    return 0.01 * model.dense.weight.square().sum()


val_losses = []
for _ in range(3):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y) + penalty()
        loss.backward()
        optimizer.step()
    model.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(split, len(data), 16):
            x, y = data[start : start + 16], target[start : start + 16]
            total += F.cross_entropy(model(x), y, reduction="sum").item()
        val_losses.append(total / (len(data) - split) + penalty().item())
for epoch, value in enumerate(val_losses):
    print(f"epoch {epoch} val_loss {value:.6f}")
