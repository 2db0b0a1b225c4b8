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
import functools
import math
import os
import pickle
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split


def set_initializer(layer, role, initializer):
    """Let a layer's parameters start with an initializer, whether it is built or not.

    role is "weight" or "bias" as torch names them, "matrix" or "vector" by their axes.
    """
    if isinstance(layer, keras.Sequential):  # a convolution and its padding
        for inner in layer.layers:
            set_initializer(inner, role, initializer)
        return
    if role == "weight":
        layer = getattr(
            layer, "embedding", layer
        )  # a dense layer that shares its table
    for inner in getattr(layer, "rnns", []):
        set_initializer(inner, role, initializer)
    layer = getattr(layer, "cell", layer)
    names = {
        "weight": ["kernel", "recurrent", "depthwise", "embeddings", "gamma", "alpha"],
        "bias": ["bias", "beta"],
        "matrix": ["kernel", "recurrent", "depthwise", "embeddings"],
        "vector": ["bias", "beta", "gamma", "alpha"],
    }[role]
    if role in ("bias", "vector") and hasattr(layer, "unit_forget_bias"):
        layer.unit_forget_bias = False
    for name in names:
        if hasattr(layer, f"{name}_initializer"):
            setattr(layer, f"{name}_initializer", initializer)
            variable = getattr(layer, name, None) if layer.built else None
            if isinstance(variable, keras.Variable):
                variable.assign(initializer(variable.shape, variable.dtype))


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean", axis=-1):
    """torch's nll_loss: the mean divides by the weights of the targets that count."""
    log_p = keras.ops.moveaxis(input, axis, -1)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    weights = (
        tf.ones_like(log_p[..., 0]) if weight is None else tf.gather(weight, index)
    )
    weights = tf.where(counts, weights, tf.zeros_like(weights))
    loss = -weights * tf.gather(log_p, index, axis=-1, batch_dims=len(index.shape))
    if reduction == "mean":
        return tf.reduce_sum(loss) / tf.reduce_sum(weights)
    return reduce_loss(loss, reduction)


def cross_entropy(
    input,
    target,
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
    axis=-1,
):
    """torch's cross_entropy of logits and class indices; classes lie along axis."""
    log_p = tf.nn.log_softmax(keras.ops.moveaxis(input, axis, -1))
    if not label_smoothing:
        return nll_loss(log_p, target, weight, ignore_index, reduction)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    smooth = log_p if weight is None else weight * log_p
    smooth = -tf.reduce_mean(smooth, -1)
    smooth = tf.where(counts, smooth, tf.zeros_like(smooth))
    loss = nll_loss(log_p, target, weight, ignore_index, "none")
    loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    if reduction == "mean":
        weights = tf.ones_like(loss) if weight is None else tf.gather(weight, index)
        return tf.reduce_sum(loss) / tf.reduce_sum(
            tf.where(counts, weights, tf.zeros_like(loss))
        )
    return reduce_loss(loss, reduction)


def save_pickle(value, path):
    """Write any value to a file, whole or not at all; or into a file that is open."""
    if hasattr(path, "write"):
        pickle.dump(value, path)
        return
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
    os.replace(f"{path}.tmp", path)


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
    tf.random.set_seed(seed)
    if tf.config.list_physical_devices("GPU"):
        pass


class MLP(keras.Model):
    """Linear -> BatchNorm -> GELU -> Dropout, as often as there are hidden sizes."""

    def __init__(
        self, in_dim: int, out_dim: int, hidden: list[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        blocks: list[layers.Layer] = []
        prev = in_dim
        for width in hidden:
            blocks += [
                layers.Dense(width, use_bias=False),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
                layers.Activation("gelu"),
                layers.Dropout(dropout),
            ]
            prev = width
        self.body = keras.Sequential(blocks)
        self.head = layers.Dense(out_dim)
        for layer in self._flatten_layers():
            self._init_weights(layer)

    @staticmethod
    def _init_weights(m: layers.Layer) -> None:
        if isinstance(m, layers.Dense):
            set_initializer(m, "weight", keras.initializers.GlorotUniform())
            if m.use_bias:
                set_initializer(m, "bias", keras.initializers.Zeros())

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.head(self.body(x))


class Trainer:
    def __init__(self, model: layers.Layer, cfg: TrainConfig, device: str) -> None:
        self.cfg = cfg
        self.device = device
        self.model = model
        self.criterion = functools.partial(
            cross_entropy, label_smoothing=cfg.label_smoothing
        )
        self.optimizer = keras.optimizers.AdamW(
            learning_rate=cfg.lr,
            weight_decay=cfg.weight_decay,
            beta_1=0.9,
            beta_2=0.98,
            epsilon=1e-08,
        )
        self.history: dict[str, list[float]] = {
            "train_loss": [],
            "val_loss": [],
            "val_acc": [],
        }
        self.best_acc = 0.0

    @tf.function
    def train_step(self, x, y):
        with tf.GradientTape() as tape:
            loss = self.criterion(self.model(x, training=True), y)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables))
        return loss

    def _step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> float:
        x, y = (t for t in batch)
        loss = self.train_step(x, y)
        return float(loss)

    def train_one_epoch(self, loader: tf.data.Dataset) -> float:
        losses = [self._step(batch) for batch in loader]
        return sum(losses) / len(losses)

    def evaluate(self, loader: tf.data.Dataset) -> tuple[float, float]:
        total, hits, n = 0.0, 0, 0
        for x, y in loader:
            logits = self.model(x, training=False)
            total += float(self.criterion(logits, y)) * x.shape[0]
            hits += int(
                tf.reduce_sum(tf.cast(tf.argmax(logits, axis=-1) == y, tf.int64))
            )
            n += x.shape[0]
        return total / n, hits / n

    def fit(self, train_loader: tf.data.Dataset, val_loader: tf.data.Dataset) -> None:
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
        save_pickle(
            {"model": self.model.get_weights(), "acc": self.best_acc}, self.cfg.ckpt
        )


def make_loaders(cfg: TrainConfig) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    x, y = load_wine(return_X_y=True)
    x_tr, x_va, y_tr, y_va = train_test_split(
        x, y, test_size=0.25, stratify=y, random_state=cfg.seed
    )
    mean, std = x_tr.mean(axis=0), x_tr.std(axis=0)

    def to_set(a: np.ndarray, b: np.ndarray) -> tf.data.Dataset:
        a = (a - mean) / std
        return tf.data.Dataset.from_tensor_slices(
            (tf.constant(a, dtype=tf.float32), tf.convert_to_tensor(b))
        )

    return (
        to_set(x_tr, y_tr)
        .shuffle(len(x_tr))
        .batch(cfg.batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE),
        to_set(x_va, y_va).batch(len(x_va)).prefetch(tf.data.AUTOTUNE),
    )


def main() -> None:
    cfg = TrainConfig()
    set_seed(cfg.seed)
    logger.info("config: %s", asdict(cfg))
    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
    train_loader, val_loader = make_loaders(cfg)
    model = MLP(13, 3, cfg.hidden, cfg.dropout)
    model(tf.zeros((1, 13)))
    n_params = sum(math.prod(p.shape) for p in model.trainable_variables if p.trainable)
    logger.info(f"{n_params:,} trainable parameters")
    trainer = Trainer(model, cfg, device)
    trainer.fit(train_loader, val_loader)
    logger.info("best validation accuracy: %.3f", trainer.best_acc)


if __name__ == "__main__":
    main()
