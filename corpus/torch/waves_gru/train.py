#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""Bidirectional GRU that tells sine, square, sawtooth and noise apart."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

# ---- hyper-parameters --------------------------------------------------------
sequence_length = 32
input_size = 2
hidden_size = 24
num_layers = 2
num_classes = 4
batch_size = 40
num_epochs = 5
learning_rate = 0.004


def generate(n, rng):
    t = np.linspace(0, 1, sequence_length, endpoint=False)
    signals = np.empty((n, sequence_length, input_size), dtype=np.float32)
    labels = rng.randint(0, num_classes, size=n)
    for i, lab in enumerate(labels):
        f, ph = rng.uniform(2, 5), rng.uniform(0, 1)
        phase = (t * f + ph) % 1.0
        if lab == 0:
            s = np.sin(2 * math.pi * phase)
        elif lab == 1:
            s = np.where(phase < 0.5, 1.0, -1.0)
        elif lab == 2:
            s = 2 * phase - 1
        else:
            s = rng.randn(sequence_length) * 0.7
        signals[i, :, 0] = s + rng.randn(sequence_length) * 0.1
        signals[i, :, 1] = np.gradient(signals[i, :, 0])
    return signals, labels


class BiGRU(nn.Module):
    def __init__(self, input_size, hidden_size, num_layers, num_classes):
        super(BiGRU, self).__init__()
        self.gru = nn.GRU(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=True,
        )  # (seq, batch, feature): batch_first is left at False here
        self.norm = nn.LayerNorm(2 * hidden_size)
        self.attn = nn.Linear(2 * hidden_size, 1)
        self.drop = nn.Dropout(p=0.1)
        self.fc = nn.Linear(4 * hidden_size, num_classes)

    def forward(self, x):
        x = x.transpose(0, 1)                               # (T, B, F)
        out, h_n = self.gru(x)                              # (T, B, 2H), (layers * 2, B, H)
        last = torch.cat((h_n[-2], h_n[-1]), dim=1)         # forward and backward state of the top layer
        score = F.softmax(self.attn(torch.tanh(self.norm(out))), dim=0)
        context = torch.sum(score * out, dim=0)
        return self.fc(self.drop(torch.cat((last, context), dim=1)))


if __name__ == "__main__":
    torch.manual_seed(0)
    rng = np.random.RandomState(0)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")

    x_train, y_train = generate(480, rng)
    x_valid, y_valid = generate(160, rng)
    train_ds = TensorDataset(torch.from_numpy(x_train), torch.from_numpy(y_train).long())
    valid_ds = TensorDataset(torch.from_numpy(x_valid), torch.from_numpy(y_valid).long())
    train_dl = DataLoader(dataset=train_ds, batch_size=batch_size, shuffle=True)
    valid_dl = DataLoader(dataset=valid_ds, batch_size=batch_size, shuffle=False)

    model = BiGRU(input_size, hidden_size, num_layers, num_classes).to(device)
    loss_func = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    lr_lambda = lambda epoch: 0.85 ** epoch
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lr_lambda)

    total_step = len(train_dl)
    for epoch in range(num_epochs):
        model.train()
        for i, (signals, labels) in enumerate(train_dl):
            signals = signals.to(device)
            labels = labels.to(device)

            outputs = model(signals)
            loss = loss_func(outputs, labels)

            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

            if (i + 1) % 4 == 0:
                print("Epoch [{}/{}], Step [{}/{}], Loss: {:.4f}".format(
                    epoch + 1, num_epochs, i + 1, total_step, loss.item()))
        scheduler.step()

        model.eval()
        confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        with torch.no_grad():
            for signals, labels in valid_dl:
                pred = model(signals.to(device)).argmax(dim=1).cpu()
                for t, p in zip(labels.tolist(), pred.tolist()):
                    confusion[t, p] += 1
        acc = confusion.diag().sum().item() / confusion.sum().item()
        print("lr {:.5f}  validation accuracy {:.2f}".format(optimizer.param_groups[0]["lr"], acc))

    print(confusion.numpy())
