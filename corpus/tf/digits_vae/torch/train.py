"""Variational autoencoder as a keras.Model with its own train_step and test_step.

The penalty on the latent code goes through add_loss, the reconstruction through train_step.
"""

import argparse

import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_digits


def added_losses(model):
    """What the layers of a model added to the loss when it was called last."""
    return sum(getattr(layer, "added_loss", 0.0) for layer in model.modules())


def same_padding(sizes, kernel_size, stride=1, dilation=1):
    """The arguments of F.pad for padding="same", last axis first."""
    many = lambda value: value if isinstance(value, tuple) else (value,) * len(sizes)
    pads = []
    for n, k, s, d in zip(sizes, many(kernel_size), many(stride), many(dilation)):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class SamePad(nn.Module):
    """Pads for a convolution or pooling without padding to have Keras' padding="same"."""

    def __init__(self, kernel_size, stride=1, dilation=1, value=0.0):
        super().__init__()
        self.window = kernel_size, stride, dilation
        self.value = value  # -inf before maximum pooling

    def forward(self, x):
        return F.pad(x, same_padding(x.shape[2:], *self.window), value=self.value)


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


class Reshape(nn.Module):
    """keras.layers.Reshape: another shape for each example."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape)


def metrics_of(model):
    """The metrics that a model names, else those that it holds."""
    held = getattr(model, "metrics", None)
    if held is not None:
        return list(held.values() if isinstance(held, dict) else held)
    return [value for value in vars(model).values() if hasattr(value, "reset_state")]


def evaluate_steps(model, loader):
    """What the model's own test_step gives over all batches."""
    model.eval()
    for metric in metrics_of(model):
        metric.reset_state()
    logs = {}
    with torch.no_grad():
        for batch in loader:
            logs = model.test_step(batch)
    return {name: float(value) for name, value in logs.items()}


def initialize(layer, weight=nn.init.xavier_uniform_, bias=nn.init.zeros_):
    """Gives a layer Keras' initial values: Glorot uniform weights and zero biases, if not told."""
    weight(layer.weight)
    if getattr(layer, "bias", None) is not None:
        bias(layer.bias)
    return layer


class Sum:
    """keras.metrics.Sum: the weighted sum of all values since the last reset."""

    def __init__(self, name=None):
        self.name = name
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, values, sample_weight=None):
        values = torch.as_tensor(values, dtype=torch.get_default_dtype()).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            sample_weight = torch.as_tensor(sample_weight)
            weights = weights * sample_weight.reshape(-1, *[1] * (values.dim() - 1))
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return torch.as_tensor(self.total)


class Mean(Sum):
    """keras.metrics.Mean: the weighted mean of all values since the last reset."""

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


class GaussianCode(nn.Module):
    """Maps features to a sample of q(z|x); adds beta * KL(q || N(0, I)) to the losses."""

    def __init__(self, dim, beta=1.0):
        super().__init__()
        self.dim = dim
        self.beta = beta
        self.mean = nn.Linear(32, dim)
        self.log_var = initialize(nn.Linear(32, dim), nn.init.zeros_)

    def forward(self, h):
        mu, log_var = self.mean(h), self.log_var(h)
        kl = 0.5 * torch.sum(
            torch.exp(log_var) + torch.square(mu) - 1.0 - log_var, dim=-1
        )
        self.added_loss = self.beta * torch.mean(kl)
        if not self.training:
            return mu
        return mu + torch.exp(log_var / 2) * torch.randn(mu.shape)


class DigitVAE(nn.Module):
    def __init__(self, latent, beta):
        super().__init__()
        self.features = nn.Sequential(
            Permute(0, 3, 1, 2),
            SamePad(3, 2),
            nn.Conv2d(1, 16, 3, stride=2),
            nn.ReLU(),
            SamePad(3, 2),
            nn.Conv2d(16, 32, 3, stride=2),
            nn.ReLU(),
            Permute(0, 2, 3, 1),
            nn.Flatten(),
            nn.Linear(128, 32),
            nn.ReLU(),
        )
        self.code = GaussianCode(latent, beta)
        self.picture = nn.Sequential(
            nn.Linear(latent, 2 * 2 * 32),
            nn.ReLU(),
            Reshape(2, 2, 32),
            Permute(0, 3, 1, 2),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
            Permute(0, 2, 3, 1),
        )
        self.total = Mean(name="loss")
        self.nll = Mean(name="nll")

    @property
    def metrics(self):
        return [self.total, self.nll]

    def forward(self, x):
        return self.picture(self.code(self.features(x)))

    def negative_log_likelihood(self, x, logits):
        bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return torch.mean(torch.sum(bce, dim=(1, 2, 3)))

    def train_step(self, x):
        self.train()
        nll = self.negative_log_likelihood(x, self(x))
        loss = nll + sum([added_losses(self)])
        self.optimizer.zero_grad()
        loss.sum().backward()
        self.optimizer.step()
        self.total.update_state(loss)
        self.nll.update_state(nll)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, x):
        self.eval()
        nll = self.negative_log_likelihood(x, self(x))
        self.total.update_state(nll + sum([added_losses(self)]))
        self.nll.update_state(nll)
        return {m.name: m.result() for m in self.metrics}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latent", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--beta", type=float, default=0.2)
    args = parser.parse_args()

    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    images = load_digits().images.astype("float32")[..., np.newaxis] / 16.0
    train, test = images[:1500], images[1500:]

    vae = DigitVAE(args.latent, args.beta)
    vae.optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3, eps=1e-7)
    train_loader = DataLoader(
        TensorDataset(torch.as_tensor(train, dtype=torch.float32)),
        batch_size=64,
        shuffle=True,
    )
    history = {}
    for epoch in range(args.epochs):
        vae.train()
        for metric in vae.metrics:
            metric.reset_state()
        for (data,) in train_loader:
            logs = vae.train_step(data)
        logs = {key: float(value) for key, value in logs.items()}
        for key, value in logs.items():
            history.setdefault(key, []).append(value)
    for i in range(args.epochs):
        print("epoch", i + 1, "  ".join(f"{k} {v[i]:.4f}" for k, v in history.items()))
    print(
        "test",
        {
            k: round(float(v), 4)
            for k, v in evaluate_steps(
                vae,
                DataLoader(
                    TensorDataset(torch.as_tensor(test, dtype=torch.float32)),
                    batch_size=32,
                ),
            ).items()
        },
    )

    # a walk from the first test digit to the second one
    mu = (
        vae.code.mean(vae.features(torch.as_tensor(test[:2], dtype=torch.float32)))
        .detach()
        .cpu()
        .numpy()
    )
    for t in np.linspace(0.0, 1.0, 4):
        z = (1 - t) * mu[:1] + t * mu[1:]
        p = (
            torch.sigmoid(vae.picture(torch.as_tensor(z, dtype=torch.float32)))
            .detach()
            .cpu()
            .numpy()[0, :, :, 0]
        )
        print(
            "t %.2f  ink %.3f  like the first %.3f, like the second %.3f"
            % (
                t,
                p.mean(),
                np.corrcoef(p.ravel(), test[0].ravel())[0, 1],
                np.corrcoef(p.ravel(), test[1].ravel())[0, 1],
            )
        )


if __name__ == "__main__":
    main()
