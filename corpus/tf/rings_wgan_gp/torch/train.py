"""WGAN-GP as a keras.Model: own compile, own train_step, one fit."""

import math

import numpy as np
import random
import torch
from torch import nn
from torch.utils.data import DataLoader


def metrics_of(model):
    """The metrics that a model names, else those that it holds."""
    held = getattr(model, "metrics", None)
    if held is not None:
        return list(held.values() if isinstance(held, dict) else held)
    return [value for value in vars(model).values() if hasattr(value, "reset_state")]


BATCH, LATENT, CRITIC_STEPS, GP_WEIGHT = 64, 4, 3, 10.0


def two_rings(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    r = np.where(rng.random(n) < 0.5, 0.5, 1.2)
    phi = rng.random(n) * 2 * math.pi
    xy = np.stack([r * np.cos(phi), r * np.sin(phi)], axis=-1)
    return (xy + rng.normal(0, 0.05, (n, 2))).astype(np.float32)


def mlp(sizes, n_in, name, alpha=0.2):
    model = nn.Sequential()
    in_features = n_in
    for size in sizes[:-1]:
        model.append(nn.Linear(in_features, size))
        in_features = size
        model.append(nn.LeakyReLU(alpha))
    model.append(nn.Linear(in_features, sizes[-1]))
    return model


class WGAN(nn.Module):
    def __init__(self, critic, generator, latent_dim, critic_steps=3, penalty=10.0):
        super().__init__()
        self.critic = critic
        self.generator = generator
        self.latent_dim = latent_dim
        self.critic_steps = critic_steps
        self.penalty = penalty

    def compile(
        self,
        critic_optimizer,
        generator_optimizer,
        critic_objective,
        generator_objective,
    ):
        self.critic_optimizer = critic_optimizer
        self.generator_optimizer = generator_optimizer
        self.critic_objective = critic_objective
        self.generator_objective = generator_objective

    def forward(self, z):
        return self.generator(z)

    def gradient_penalty(self, real, fake):
        t = torch.rand(real.shape[0], 1)
        between = t * real + (1.0 - t) * fake
        between.requires_grad_()
        score = self.critic(between)
        slope = torch.linalg.vector_norm(
            torch.autograd.grad(score.sum(), between, create_graph=True)[0] + 1e-12,
            dim=1,
        )
        return torch.mean((slope - 1.0) ** 2)

    def train_step(self, real):
        batch_size = real.shape[0]
        for _ in range(self.critic_steps):
            z = torch.randn(batch_size, self.latent_dim)
            fake = self.generator(z)
            score_fake = self.critic(fake)
            score_real = self.critic(real)
            distance = self.critic_objective(score_real, score_fake)
            gp = self.gradient_penalty(real, fake)
            d_loss = distance + gp * self.penalty
            self.critic_optimizer.zero_grad()
            d_loss.backward()
            self.critic_optimizer.step()

        z = torch.randn(batch_size, self.latent_dim)
        generated = self.generator(z)
        g_loss = self.generator_objective(self.critic(generated))
        self.generator_optimizer.zero_grad()
        g_loss.backward()
        self.generator_optimizer.step()
        return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach(), "gp": gp.detach()}


class Monitor:
    def __init__(self, n=300, latent_dim=4):
        super().__init__()
        self.z = torch.randn(
            n,
            latent_dim,
            generator=torch.Generator().manual_seed(3),
        )

    def on_epoch_end(self, epoch, logs=None):
        points = self.model.generator(self.z).detach().cpu().numpy()
        radius = np.linalg.norm(points, axis=1)
        text = "  ".join(f"{k} {float(v):7.4f}" for k, v in logs.items())
        print(
            f"epoch {epoch + 1}: {text}  radius {radius.mean():.3f} +- {radius.std():.3f}"
        )


def main():
    random.seed(14)
    np.random.seed(14)
    torch.manual_seed(14)
    data = DataLoader(
        torch.as_tensor(two_rings(1024)), batch_size=BATCH, shuffle=True, drop_last=True
    )
    wgan = WGAN(
        critic=mlp([32, 32, 1], 2, "critic"),
        generator=mlp([32, 32, 2], LATENT, "generator"),
        latent_dim=LATENT,
        critic_steps=CRITIC_STEPS,
        penalty=GP_WEIGHT,
    )
    wgan.compile(
        critic_optimizer=torch.optim.Adam(
            wgan.critic.parameters(), lr=2e-3, betas=(0.5, 0.9), eps=1e-7
        ),
        generator_optimizer=torch.optim.Adam(
            wgan.generator.parameters(), lr=1e-3, betas=(0.5, 0.9), eps=1e-7
        ),
        critic_objective=lambda real, fake: torch.mean(fake) - torch.mean(real),
        generator_objective=lambda fake: -torch.mean(fake),
    )
    train_loader = data
    monitor = Monitor(latent_dim=LATENT)
    monitor.model = wgan
    for epoch in range(6):
        wgan.train()
        for metric in metrics_of(wgan):
            metric.reset_state()
        for data_2 in train_loader:
            logs = wgan.train_step(data_2)
        logs = {key: float(value) for key, value in logs.items()}
        monitor.on_epoch_end(epoch, logs)


if __name__ == "__main__":
    main()
