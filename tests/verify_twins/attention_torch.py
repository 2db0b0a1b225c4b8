"""Own attention beside nn.MultiheadAttention, tied weights, a buffer, norms and accumulation."""

import math

import torch
from torch import nn

torch.manual_seed(0)
VOCABULARY, LENGTH, WIDTH = 11, 6, 8
text = torch.randint(0, VOCABULARY, (64, LENGTH + 1))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, dropout=0.1, batch_first=True)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, WIDTH)
        )

    def forward(self, x, mask):
        y = self.norm1(x)
        y, _ = self.attention(y, y, y, attn_mask=mask)
        x = x + y
        return x + self.mlp(self.norm2(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.places = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.1)
        self.register_buffer("mask", torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1))
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.head = nn.Linear(WIDTH, VOCABULARY)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids) * math.sqrt(WIDTH) + self.places
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(x)


model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(12):
    optimizer.zero_grad()
    for _ in range(2):
        batch = text[torch.randperm(64)[:8]]
        logits = model(batch[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        (loss / 2).backward()
    optimizer.step()
    if step % 4 == 0:
        print(f"{step}: {loss.item():.4f}")
