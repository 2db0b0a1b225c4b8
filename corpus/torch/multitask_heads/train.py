"""One trunk, two tasks: which digit is it (classification) and how much ink was used (regression).

The two losses are balanced by learned uncertainties, which have their own optimizer.
"""
from typing import Dict, NamedTuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset


class Sample(NamedTuple):
    image: torch.Tensor
    digit: torch.Tensor
    ink: torch.Tensor


class DigitsWithInk(Dataset):
    def __init__(self, train: bool = True):
        raw = load_digits()
        ink = raw.images.mean(axis=(1, 2))
        ink = (ink - ink.mean()) / ink.std()
        part = slice(None, 1400) if train else slice(1400, None)
        self.images = raw.images[part].astype(np.float32) / 16
        self.digits = raw.target[part]
        self.inks = ink[part].astype(np.float32)

    def __len__(self):
        return len(self.digits)

    def __getitem__(self, idx):
        img = torch.from_numpy(self.images[idx]).unsqueeze(0)
        return {"image": img, "digit": int(self.digits[idx]), "ink": self.inks[idx]}


class TwoHeads(nn.Module):
    def __init__(self, channels: int = 12):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.GroupNorm(3, channels),
            nn.Hardswish(),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(channels, 2 * channels, (3, 3), padding=(1, 1)),
            nn.PReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
        )
        flat = 2 * channels * 2 * 2
        self.heads = nn.ModuleDict({
            "digit": nn.Linear(flat, 10),
            "ink": nn.Sequential(nn.Linear(flat, 16), nn.ReLU6(), nn.Linear(16, 1)),
        })

    def forward(self, x) -> Dict[str, torch.Tensor]:
        h = self.trunk(x)
        return {"digit": self.heads["digit"](h), "ink": self.heads["ink"](h).squeeze(-1)}


class UncertaintyWeighting(nn.Module):
    def __init__(self, n_tasks):
        super().__init__()
        self.log_vars = nn.Parameter(torch.zeros(n_tasks))

    def forward(self, losses):
        total = 0.0
        for i, loss in enumerate(losses):
            total = total + torch.exp(-self.log_vars[i]) * loss + self.log_vars[i]
        return total


def split_decay(model):
    """no weight decay for biases, norms and other vectors"""
    decay, no_decay = [], []
    for name, p in model.named_parameters():
        if p.ndim <= 1 or name.endswith(".bias"):
            no_decay.append(p)
        else:
            decay.append(p)
    return [{"params": decay, "weight_decay": 1e-2}, {"params": no_decay, "weight_decay": 0.0}]


def main():
    torch.manual_seed(31)
    train_dl = DataLoader(DigitsWithInk(True), batch_size=64, shuffle=True)
    valid_dl = DataLoader(DigitsWithInk(False), batch_size=256)

    model = TwoHeads()
    weighting = UncertaintyWeighting(2)
    opt = torch.optim.AdamW(split_decay(model), lr=3e-3)
    opt_w = torch.optim.SGD(weighting.parameters(), lr=1e-2)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=6e-3, total_steps=4 * len(train_dl))

    for epoch in range(4):
        model.train()
        sums = torch.zeros(3)
        for batch in train_dl:
            out = model(batch["image"])
            loss_digit = F.cross_entropy(out["digit"], batch["digit"])
            loss_ink = F.huber_loss(out["ink"], batch["ink"], delta=0.8)
            loss = weighting([loss_digit, loss_ink])

            opt.zero_grad()
            opt_w.zero_grad()
            loss.backward()
            opt.step()
            opt_w.step()
            sched.step()
            sums += torch.stack([loss, loss_digit, loss_ink]).detach()
        total, digit, ink = (sums / len(train_dl)).tolist()
        print(f"epoch {epoch + 1} total {total:.4f} digit {digit:.4f} ink {ink:.4f} lr {sched.get_last_lr()[0]:.2e}")

        model.eval()
        with torch.no_grad():
            hits, err, n = 0, 0.0, 0
            for batch in valid_dl:
                out = model(batch["image"])
                hits += (out["digit"].argmax(1) == batch["digit"]).sum().item()
                err += (out["ink"] - batch["ink"]).abs().sum().item()
                n += batch["digit"].shape[0]
        sigma = torch.exp(0.5 * weighting.log_vars.data).numpy().round(3)
        print(f"        accuracy {hits / n:.3f}  ink error {err / n:.3f}  sigmas {sigma}")


if __name__ == "__main__":
    main()
