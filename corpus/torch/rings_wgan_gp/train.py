"""WGAN with gradient penalty on a 2-D toy distribution (two rings)."""
import argparse
import math

import torch
from torch import autograd, nn

parser = argparse.ArgumentParser()
parser.add_argument("--iters", type=int, default=60, help="generator updates")
parser.add_argument("--n-critic", type=int, default=3)
parser.add_argument("--lambda-gp", type=float, default=5.0)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--dim", type=int, default=48)
parser.add_argument("--latent", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)


def mlp(n_in, dim, n_out, act):
    return nn.Sequential(
        nn.Linear(n_in, dim), act(),
        nn.Linear(dim, dim), act(),
        nn.Linear(dim, n_out),
    )


def sample_rings(n):
    radius = torch.where(torch.rand(n) < 0.5, torch.tensor(0.6), torch.tensor(1.4))
    angle = 2 * math.pi * torch.rand(n)
    xy = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=1)
    return xy + 0.05 * torch.randn(n, 2)


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1, device=real.device)
    interpolates = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    d_interpolates = critic(interpolates)
    gradients = autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=torch.ones_like(d_interpolates),
        create_graph=True,
        retain_graph=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def update_critic(critic, generator, optimizer, args, device):
    real = sample_rings(args.batch_size).to(device)
    z = torch.randn(args.batch_size, args.latent, device=device)
    with torch.no_grad():
        fake = generator(z)
    optimizer.zero_grad()
    distance = critic(real).mean() - critic(fake).mean()
    penalty = gradient_penalty(critic, real, fake)
    loss = -distance + args.lambda_gp * penalty
    loss.backward()
    optimizer.step()
    return distance.item(), penalty.item()


def update_generator(critic, generator, optimizer, args, device):
    for p in critic.parameters():
        p.requires_grad_(False)
    optimizer.zero_grad()
    z = torch.randn(args.batch_size, args.latent, device=device)
    loss = -critic(generator(z)).mean()
    loss.backward()
    optimizer.step()
    for p in critic.parameters():
        p.requires_grad_(True)
    return loss.item()


def main(args):
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = mlp(args.latent, args.dim, 2, nn.ReLU).to(device)
    critic = mlp(2, args.dim, 1, lambda: nn.LeakyReLU(0.2)).to(device)
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.5, 0.9))

    iteration = 0
    while iteration < args.iters:
        for _ in range(args.n_critic):
            distance, penalty = update_critic(critic, generator, opt_c, args, device)
        g_loss = update_generator(critic, generator, opt_g, args, device)
        iteration += 1
        if iteration % 10 == 0:
            with torch.no_grad():
                pts = generator(torch.randn(512, args.latent, device=device))
                radius = pts.pow(2).sum(1).sqrt()
            print("iter %3d | W %.4f | gp %.4f | G %.4f | radius %.3f +- %.3f" % (
                iteration, distance, penalty, g_loss, radius.mean(), radius.std()))


if __name__ == "__main__":
    main(parser.parse_args())
