"""Five networks and their optimizers, trained side by side, saved and resumed."""

import argparse
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
parser = argparse.ArgumentParser()
parser.add_argument("--resume", default="")
parser.add_argument("--save", default="")
parser.add_argument("--steps", type=int, default=8)
args = parser.parse_args()

rng = np.random.RandomState(0)
images = torch.from_numpy(rng.randn(64, 1, 8, 8))
words = torch.from_numpy(rng.randint(0, 12, (64, 7)))
waves = torch.from_numpy(rng.randn(64, 7, 3))
labels = torch.from_numpy(rng.randint(0, 4, 64))
torch.manual_seed(0)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6, eps=2**-17, momentum=0.125)
        self.deep = nn.Conv2d(6, 6, 3, groups=2)
        self.fc = nn.Linear(6 * 9, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        x = F.max_pool2d(F.relu(self.deep(x)), 2)
        return self.fc(x.flatten(1))


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 5)
        self.lstm = nn.LSTM(5, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        out, _ = self.lstm(self.embed(x))
        return self.fc(out.mean(1))


class GRU(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.fc(out[:, -1])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(12, 8)
        self.places = nn.Parameter(torch.randn(7, 8) * 0.1)
        self.norm1 = nn.LayerNorm(8, eps=2**-17)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(8, eps=2**-17)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.tokens(x) * math.sqrt(8) + self.places
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 8)
        self.hidden = nn.Linear(8, 8)
        self.out = nn.Linear(8, 12)
        self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(self.embed(x).mean(1))))


cnn, lstm, gru, block, tied = CNN(), LSTM(), GRU(), Block(), Tied()
runs = {
    "cnn": (cnn, torch.optim.SGD(cnn.parameters(), lr=0.05, momentum=0.875, nesterov=True), images),
    "lstm": (lstm, torch.optim.Adam(lstm.parameters(), lr=0.02), words),
    "gru": (gru, torch.optim.RMSprop(gru.parameters(), lr=0.01, momentum=0.5), waves),
    "block": (block, torch.optim.AdamW(block.parameters(), lr=0.01, amsgrad=True), words),
    "tied": (tied, torch.optim.NAdam(tied.parameters(), lr=0.01), words),
}
start = 0
if args.resume:
    bundle = torch.load(args.resume, weights_only=True)
    start = int(bundle["step"])
    for name, (model, optimizer, _) in runs.items():
        model.load_state_dict(bundle[name + "_model"])
        optimizer.load_state_dict(bundle[name + "_optimizer"])

for step in range(start, start + args.steps):
    for name, (model, optimizer, inputs) in runs.items():
        model.train()
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        loss = F.cross_entropy(model(inputs[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(name, step, repr(loss.item()))

cnn.eval()
with torch.no_grad():
    print("eval", start + args.steps, repr(F.cross_entropy(cnn(images), labels).item()))
if args.save:
    bundle = {"step": start + args.steps}
    for name, (model, optimizer, _) in runs.items():
        bundle[name + "_model"] = model.state_dict()
        bundle[name + "_optimizer"] = optimizer.state_dict()
    torch.save(bundle, args.save + ".part")
    os.replace(args.save + ".part", args.save)
