"""A subclassed model built by its first call inside the training function; an LSTM; noise."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

rng = np.random.default_rng(2)
series = np.cumsum(rng.normal(size=(50, 9, 2)), axis=1)
target = (series[:, -1, 0] > 0).astype("float32")[:, None]


class BatchNorm(nn.Module):
    """Keras's batch normalization: the running variance takes the biased batch variance."""

    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))
        self.register_buffer("moving_mean", torch.zeros(width))
        self.register_buffer("moving_variance", torch.ones(width))

    def forward(self, x):
        if not self.training:
            mean, variance = self.moving_mean, self.moving_variance
            return F.batch_norm(x, mean, variance, self.gamma, self.beta, False, 0.0, 1e-3)
        self.moving_mean.lerp_(x.detach().mean(0), 0.01)
        self.moving_variance.lerp_(x.detach().var(0, unbiased=False), 0.01)
        return F.batch_norm(x, None, None, self.gamma, self.beta, True, 0.0, 1e-3)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.LazyConv1d(4, 3)
        self.norm = BatchNorm(4)
        self.out = nn.LazyLinear(1)

    def forward(self, x):
        if self.training:
            x = x + 0.1 * torch.randn_like(x)
        x = F.relu(self.conv(F.pad(x.transpose(1, 2), (2, 0))))
        return self.out(self.norm(x.mean(2)))


model = Model()
model.eval()(torch.zeros(2, 9, 2))  # makes the parameters; in eval it leaves the statistics
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
dataset = torch.utils.data.TensorDataset(torch.from_numpy(series), torch.from_numpy(target))
data = torch.utils.data.DataLoader(dataset, batch_size=10, shuffle=True)
for epoch in range(3):
    total = 0.0
    model.train()
    for x, y in data:
        loss = F.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    model.eval()
    with torch.no_grad():
        accuracy = np.mean((model(torch.from_numpy(series)).numpy() > 0) == target)
    print(f"epoch {epoch}: loss {total / 5:.5f}, accuracy {accuracy:.2f}")
