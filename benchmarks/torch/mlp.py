"""A multilayer perceptron on vectors of 64 numbers."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 12
BATCH_SIZE = 64

rng = np.random.default_rng(0)
inputs = rng.normal(size=(12800, 64)).astype("float32")
labels = (inputs @ rng.normal(size=(64, 10))).argmax(axis=1)


class Classifier(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 10),
        )

    def forward(self, x):
        return self.layers(x)


dataset = TensorDataset(torch.from_numpy(inputs), torch.from_numpy(labels))
loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)
model = Classifier(256)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(EPOCHS):
    model.train()
    total, steps = 0.0, 0
    for batch, targets in loader:
        optimizer.zero_grad()
        loss = criterion(model(batch), targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
        steps += 1
    print(f"epoch {epoch}: loss {total / steps:.4f} over {steps} steps")
