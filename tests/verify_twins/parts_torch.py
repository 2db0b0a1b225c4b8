"""One module that holds two models, each called on its own and at a later time than the other."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(3)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
        self.critic = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))


pair = Pair()
optimizer = torch.optim.SGD(pair.generator.parameters(), lr=0.1)
optimizer_c = torch.optim.SGD(pair.critic.parameters(), lr=0.1)
for _ in range(6):
    real, z = torch.randn(16, 6), torch.randn(16, 4)
    fake = pair.generator(z)
    loss = F.mse_loss(pair.critic(fake), torch.ones(16, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    loss_c = ((pair.critic(real) - 1) ** 2).mean() + (pair.critic(fake.detach()) ** 2).mean()
    optimizer_c.zero_grad()
    loss_c.backward()
    optimizer_c.step()
print("final", round(loss.item(), 6), round(loss_c.item(), 6))
