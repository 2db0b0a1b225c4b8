"""An LSTM that classifies sequences of 48 tokens."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 12
BATCH_SIZE = 64
VOCABULARY = 500

rng = np.random.default_rng(0)
tokens = rng.integers(0, VOCABULARY, size=(1920, 48))
labels = (tokens < VOCABULARY // 2).sum(axis=1) // 12 % 4


class SequenceClassifier(nn.Module):
    def __init__(self, embedding_size=64, hidden_size=128):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 4)

    def forward(self, x):
        output, _ = self.lstm(self.embedding(x))
        return self.head(output[:, -1])


dataset = TensorDataset(torch.from_numpy(tokens), torch.from_numpy(labels))
loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)
model = SequenceClassifier()
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
