"""Train a tabular MLP on the UCI wine data.

Everything about a run lives in :class:`TrainConfig`; :class:`Trainer` owns the
model, the optimizer and the loaders and knows how to fit and to evaluate.
"""
from __future__ import annotations

import logging
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

logging.basicConfig(level=logging.INFO, format="%(message)s")
logger = logging.getLogger(__name__)


@dataclass
class TrainConfig:
    hidden: list[int] = field(default_factory=lambda: [32, 16])
    dropout: float = 0.1
    batch_size: int = 16
    max_epochs: int = 15
    lr: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    seed: int = 7
    ckpt: Optional[Path] = None


def set_seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


class MLP(nn.Module):
    """Linear -> BatchNorm -> GELU -> Dropout, as often as there are hidden sizes."""

    def __init__(self, in_dim: int, out_dim: int, hidden: list[int], dropout: float = 0.0) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        prev = in_dim
        for width in hidden:
            blocks += [
                nn.Linear(prev, width, bias=False),
                nn.BatchNorm1d(width),
                nn.GELU(),
                nn.Dropout(dropout),
            ]
            prev = width
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(prev, out_dim)
        self.apply(self._init_weights)

    @staticmethod
    def _init_weights(m: nn.Module) -> None:
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)
            if m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Trainer:
    def __init__(self, model: nn.Module, cfg: TrainConfig, device: torch.device) -> None:
        self.cfg = cfg
        self.device = device
        self.model = model.to(device)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=cfg.label_smoothing)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=cfg.lr, betas=cfg.betas, weight_decay=cfg.weight_decay
        )
        self.history: dict[str, list[float]] = {"train_loss": [], "val_loss": [], "val_acc": []}
        self.best_acc = 0.0

    def _step(self, batch: tuple[Tensor, Tensor]) -> float:
        x, y = (t.to(self.device) for t in batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.criterion(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def train_one_epoch(self, loader: DataLoader) -> float:
        self.model.train()
        losses = [self._step(batch) for batch in loader]
        return sum(losses) / len(losses)

    @torch.no_grad()
    def evaluate(self, loader: DataLoader) -> tuple[float, float]:
        self.model.eval()
        total, hits, n = 0.0, 0, 0
        for x, y in loader:
            x, y = x.to(self.device), y.to(self.device)
            logits = self.model(x)
            total += self.criterion(logits, y).item() * x.size(0)
            hits += (logits.argmax(-1) == y).sum().item()
            n += x.size(0)
        return total / n, hits / n

    def fit(self, train_loader: DataLoader, val_loader: DataLoader) -> None:
        for epoch in range(1, self.cfg.max_epochs + 1):
            train_loss = self.train_one_epoch(train_loader)
            val_loss, val_acc = self.evaluate(val_loader)
            self.history["train_loss"].append(train_loss)
            self.history["val_loss"].append(val_loss)
            self.history["val_acc"].append(val_acc)
            logger.info(
                f"epoch {epoch:>3d} | train {train_loss:.4f} | val {val_loss:.4f} | acc {val_acc:6.2%}"
            )
            if val_acc > self.best_acc:
                self.best_acc = val_acc
                self.save()

    def save(self) -> None:
        if self.cfg.ckpt is None:
            return
        self.cfg.ckpt.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"model": self.model.state_dict(), "acc": self.best_acc}, self.cfg.ckpt)


def make_loaders(cfg: TrainConfig) -> tuple[DataLoader, DataLoader]:
    x, y = load_wine(return_X_y=True)
    x_tr, x_va, y_tr, y_va = train_test_split(
        x, y, test_size=0.25, stratify=y, random_state=cfg.seed
    )
    mean, std = x_tr.mean(axis=0), x_tr.std(axis=0)

    def to_set(a: np.ndarray, b: np.ndarray) -> TensorDataset:
        a = (a - mean) / std
        return TensorDataset(torch.as_tensor(a, dtype=torch.float32), torch.as_tensor(b))

    return (
        DataLoader(to_set(x_tr, y_tr), batch_size=cfg.batch_size, shuffle=True, drop_last=True),
        DataLoader(to_set(x_va, y_va), batch_size=len(x_va)),
    )


def main() -> None:
    cfg = TrainConfig()
    set_seed(cfg.seed)
    logger.info("config: %s", asdict(cfg))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, val_loader = make_loaders(cfg)
    model = MLP(13, 3, cfg.hidden, cfg.dropout)
    n_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    logger.info(f"{n_params:,} trainable parameters")
    trainer = Trainer(model, cfg, device)
    trainer.fit(train_loader, val_loader)
    logger.info("best validation accuracy: %.3f", trainer.best_acc)


if __name__ == "__main__":
    main()
