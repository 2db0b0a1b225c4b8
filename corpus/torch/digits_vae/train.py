import argparse

import torch
import torch.utils.data
from sklearn import datasets
from torch import nn, optim
from torch.nn import functional as F

parser = argparse.ArgumentParser(description="VAE on the UCI digits")
parser.add_argument("-b", "--batch", type=int, default=100)
parser.add_argument("-e", "--epochs", type=int, default=6)
parser.add_argument("--latent", type=int, default=4)
parser.add_argument("--beta", type=float, default=1.0, help="weight of the KL term")
parser.add_argument("--warmup", type=int, default=2, help="epochs over which beta grows to its value")
parser.add_argument("--seed", type=int, default=10)
opt = parser.parse_args()

torch.manual_seed(opt.seed)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

x = torch.tensor(datasets.load_digits().data, dtype=torch.float32) / 16.0
train_x, test_x = x[:1500], x[1500:]
train_loader = torch.utils.data.DataLoader(train_x, batch_size=opt.batch, shuffle=True)
test_loader = torch.utils.data.DataLoader(test_x, batch_size=opt.batch)


class VAE(nn.Module):
    def __init__(self, n_in=64, n_hidden=40, n_latent=4):
        super().__init__()
        self.n_in = n_in
        self.fc1 = nn.Linear(n_in, n_hidden)
        self.fc_mu = nn.Linear(n_hidden, n_latent)
        self.fc_logvar = nn.Linear(n_hidden, n_latent)
        self.fc3 = nn.Linear(n_latent, n_hidden)
        self.fc4 = nn.Linear(n_hidden, n_in)

    def encode(self, x):
        h = torch.tanh(self.fc1(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h = torch.tanh(self.fc3(z))
        return torch.sigmoid(self.fc4(h))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, self.n_in))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def elbo_terms(recon, x, mu, logvar):
    """Reconstruction and KL(q(z|x) || N(0, I)), both summed over the batch."""
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce, kld


model = VAE(n_latent=opt.latent).to(device)
optimizer = optim.Adam(model.parameters(), lr=3e-3)


def train(epoch):
    model.train()
    beta = opt.beta * min(1.0, epoch / opt.warmup)
    sums = [0.0, 0.0]
    for i, batch in enumerate(train_loader):
        batch = batch.to(device)
        optimizer.zero_grad()
        recon, mu, logvar = model(batch)
        bce, kld = elbo_terms(recon, batch, mu, logvar)
        loss = (bce + beta * kld) / len(batch)
        loss.backward()
        optimizer.step()
        sums[0] += bce.item()
        sums[1] += kld.item()
        if i % 5 == 0:
            print(f"  [{epoch}:{i:02d}] loss {loss.item():.4f}")
    n = len(train_loader.dataset)
    print(f"epoch {epoch}  beta {beta:.2f}  reconstruction {sums[0] / n:.4f}  kl {sums[1] / n:.4f}")


def test():
    model.eval()
    total = 0.0
    with torch.no_grad():
        for batch in test_loader:
            batch = batch.to(device)
            recon, mu, logvar = model(batch)
            total += sum(elbo_terms(recon, batch, mu, logvar)).item()
    print(f"          test -elbo {total / len(test_loader.dataset):.4f}")


for epoch in range(1, opt.epochs + 1):
    train(epoch)
    test()

with torch.no_grad():
    z = torch.randn(2, opt.latent).to(device)
    imgs = model.decode(z).cpu().view(2, 8, 8)
    for img in imgs:
        print("\n".join("".join(" .:*#"[min(4, int(v * 5))] for v in row) for row in img.tolist()))
        print("-" * 8)
