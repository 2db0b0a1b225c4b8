"""Regression on point clouds of different sizes: a Deep Sets network with a mask.

Shows a Dataset with a transform and a collate_fn that pads.
"""
import math
import random
from typing import Callable, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class RandomRotation:
    def __init__(self, max_angle: float = math.pi) -> None:
        self.max_angle = max_angle

    def __call__(self, pts: Tensor) -> Tensor:
        a = random.uniform(-self.max_angle, self.max_angle)
        rot = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
        return pts @ rot.t()


class Center:
    def __call__(self, pts: Tensor) -> Tensor:
        return pts - pts.mean(dim=0, keepdim=True)


class Compose:
    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, pts: Tensor) -> Tensor:
        for t in self.transforms:
            pts = t(pts)
        return pts


class Ellipses(Dataset):
    """Points on an ellipse with half axes a >= b; the target is (a, b)."""

    def __init__(self, size: int, seed: int, transform: Optional[Callable] = None) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.items: List[Tuple[Tensor, Tensor]] = []
        for _ in range(size):
            n = int(torch.randint(6, 17, (1,), generator=g))
            b, a = torch.sort(torch.rand(2, generator=g) * 1.5 + 0.5).values
            t = torch.rand(n, generator=g) * 2 * math.pi
            pts = torch.stack([a * torch.cos(t), b * torch.sin(t)], dim=1)
            pts += 0.02 * torch.randn(n, 2, generator=g)
            self.items.append((pts, torch.stack([a, b])))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Tuple[Tensor, Tensor]:
        pts, target = self.items[i]
        if self.transform is not None:
            pts = self.transform(pts)
        return pts, target


def pad_collate(batch: List[Tuple[Tensor, Tensor]]) -> Tuple[Tensor, Tensor, Tensor]:
    clouds, targets = zip(*batch)
    lengths = [len(c) for c in clouds]
    padded = torch.zeros(len(batch), max(lengths), 2)
    mask = torch.zeros(len(batch), max(lengths))
    for row, (cloud, n) in enumerate(zip(clouds, lengths)):
        padded[row, :n] = cloud
        mask[row, :n] = 1.0
    return padded, mask, torch.stack(targets)


class DeepSet(nn.Module):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, dim), nn.Tanh(), nn.Linear(dim, dim), nn.Tanh())
        self.rho = nn.Sequential(nn.Linear(2 * dim, dim), nn.ELU(alpha=0.5), nn.Linear(dim, 2))

    def forward(self, pts: Tensor, mask: Tensor) -> Tensor:
        radius = pts.norm(dim=-1, keepdim=True)
        h = self.phi(torch.cat([pts, radius], dim=-1))
        m = mask.unsqueeze(-1)
        mean = (h * m).sum(dim=1) / m.sum(dim=1).clamp(min=1.0)
        peak = h.masked_fill(m == 0, -1e9).max(dim=1).values
        return self.rho(torch.cat([mean, peak], dim=-1))


def evaluate(model: nn.Module, loader: DataLoader) -> float:
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for pts, mask, target in loader:
            total += (model(pts, mask) - target).abs().sum().item()
            count += target.numel()
    model.train(was_training)
    return total / count


def main() -> None:
    random.seed(0)
    torch.manual_seed(0)
    train_set = Ellipses(384, seed=1, transform=Compose([RandomRotation(), Center()]))
    test_set = Ellipses(96, seed=2, transform=Center())
    train_loader = DataLoader(train_set, batch_size=24, shuffle=True, collate_fn=pad_collate)
    test_loader = DataLoader(test_set, batch_size=48, collate_fn=pad_collate)

    model = DeepSet()
    loss_fn = nn.L1Loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, amsgrad=True)

    for epoch in range(6):
        for step, (pts, mask, target) in enumerate(train_loader, start=1):
            loss = loss_fn(model(pts, mask), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 8 == 0:
                print(f"[{epoch + 1}, {step:3d}] mae {loss.item():.4f}")
        print(f"epoch {epoch + 1}: test mae {evaluate(model, test_loader):.4f}")


if __name__ == "__main__":
    main()
