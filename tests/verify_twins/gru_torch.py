"""Two-layer bidirectional GRU with dropout, clipping, two parameter groups and StepLR."""

import argparse

import numpy as np
import torch
import torch.nn as nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
args = parser.parse_args()

rng = np.random.default_rng(0)
tokens = rng.integers(0, 12, size=(96, 5))
labels = (tokens.sum(axis=1) % 3).astype(np.int64)


class Tagger(nn.Module):
    def __init__(self, hidden=6):
        super().__init__()
        self.embed = nn.Embedding(12, 5)
        self.rnn = nn.GRU(
            5, hidden, num_layers=2, batch_first=True, dropout=0.25, bidirectional=True
        )
        self.scale = nn.Parameter(torch.randn(2 * hidden))
        self.fc = nn.Linear(2 * hidden, 3)

    def forward(self, ids):
        out, _ = self.rnn(self.embed(ids))
        return self.fc(out[:, -1] * self.scale)


model = Tagger()
optimizer = torch.optim.SGD(
    [
        {"params": model.embed.parameters(), "lr": 0.2},
        {"params": [*model.rnn.parameters(), model.scale, *model.fc.parameters()]},
    ],
    lr=0.1,
)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
for epoch in range(args.epochs):
    model.train()
    order = torch.randperm(len(tokens))
    for start in range(0, len(tokens), 16):
        index = order[start : start + 16].numpy()
        x, y = torch.from_numpy(tokens[index]), torch.from_numpy(labels[index])
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.2)
        optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        total = nn.functional.cross_entropy(
            model(torch.from_numpy(tokens)), torch.from_numpy(labels)
        )
    print("epoch", epoch, "validation", round(total.item(), 5))
