"""GAN with two optimizers; the generator's step uses the updated discriminator."""

import torch
from torch import nn

torch.manual_seed(3)
real_data = torch.randn(256, 2) * 0.5 + torch.tensor([2.0, -1.0])

G = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.LeakyReLU(0.1), nn.Linear(16, 2))
D = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(16, 1))
opt_g = torch.optim.SGD(G.parameters(), lr=0.05)
opt_d = torch.optim.SGD(D.parameters(), lr=0.02)
bce = nn.BCEWithLogitsLoss()

for step in range(25):
    index = torch.randint(0, 256, (32,))
    real = real_data[index]
    noise = torch.randn(32, 4)
    fake = G(noise)

    opt_d.zero_grad()
    loss_real = bce(D(real), torch.ones(32, 1))
    loss_fake = bce(D(fake.detach()), torch.zeros(32, 1))
    loss_real.backward()
    loss_fake.backward()
    opt_d.step()

    opt_g.zero_grad()
    loss_g = bce(D(fake), torch.ones(32, 1))
    loss_g.backward()
    opt_g.step()
    if step % 5 == 0:
        print(f"step {step}: D {(loss_real + loss_fake).item():.5f} G {loss_g.item():.5f}")
