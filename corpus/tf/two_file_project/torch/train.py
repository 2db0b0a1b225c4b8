import argparse
import time

import random
import numpy as np
import torch
import torch.nn.functional as F
import dataset as songs
from network import BirdNet


def sparse_cross_entropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of logits."""
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    ignored = -100 if ignore_class is None else ignore_class
    scores = y_pred.movedim(-1, 1) if y_pred.dim() > 1 else y_pred
    return F.cross_entropy(scores, y_true, ignore_index=ignored, reduction="none")


class MeanLoss:
    """A loss called as those of keras.losses: targets first, the mean over all examples."""

    def __init__(self, function, reduction="mean", **options):
        self.function = function
        self.reduction = reduction
        self.options = options

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.function(y_true, y_pred, **self.options)
        if sample_weight is not None:
            weights = torch.as_tensor(
                sample_weight, dtype=losses.dtype, device=losses.device
            )
            if weights.dim() == losses.dim() + 1:
                weights = weights.squeeze(-1)
            losses = losses * weights.reshape(
                weights.shape + (1,) * (losses.dim() - weights.dim())
            )
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        ignored = self.options.get("ignore_class")
        if ignored is None:
            return losses.mean()
        kept = (torch.as_tensor(y_true) != ignored).sum()  # the mean is over these only
        return losses.sum() / kept.clamp_min(1)


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


def sparse_categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the target's index."""
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    return (y_pred.argmax(-1) == y_true).to(torch.get_default_dtype())


class MeanMetric:
    """The mean over all examples of a function of targets and predictions, as Keras keeps it."""

    def __init__(self, function, name=None, **options):
        self.function = function
        self.name = name
        self.options = options
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        values = torch.as_tensor(self.function(y_true, y_pred, **self.options)).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            extra = (1,) * (values.dim() - sample_weight.dim())
            weights = weights * sample_weight.reshape(sample_weight.shape + extra)
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


parser = argparse.ArgumentParser(description="Tell birds by their songs")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=5e-3)
parser.add_argument("--weight-decay", type=float, default=1e-4)
parser.add_argument("--output", type=str, default="birds.weights.h5")


class Runner:
    def __init__(self, args):
        self.args = args
        self.model = BirdNet(len(songs.BIRDS))
        self.loss_fn = MeanLoss(sparse_cross_entropy, reduction="none")
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=args.learning_rate, eps=1e-7
        )
        self.mean_loss = Mean()
        self.accuracy = MeanMetric(sparse_categorical_accuracy)

    def train_on(self, x, y):
        self.model.train()
        logits = self.model(x)
        loss = torch.mean(self.loss_fn(y, logits))
        decay = sum(
            [
                torch.sum(torch.square(v)) / 2
                for v in self.model.parameters()
                if len(v.shape) > 1
            ]
        )
        total = loss + self.args.weight_decay * decay
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        self.mean_loss.update_state(total)
        self.accuracy.update_state(y, logits)

    def test_on(self, x, y):
        self.model.eval()
        logits = self.model(x)
        self.mean_loss.update_state(self.loss_fn(y, logits))
        self.accuracy.update_state(y, logits)

    def run_epoch(self, ds, step):
        self.mean_loss.reset_state()
        self.accuracy.reset_state()
        for x, y in ds:
            step(x, y)
        return float(self.mean_loss.result()), float(self.accuracy.result())

    def run(self):
        train = songs.get_dataset(512, 0, self.args.batch_size, augment=True)
        test = songs.get_dataset(150, 1, 75)
        best = 0.0
        for epoch in range(1, self.args.epochs + 1):
            t0 = time.perf_counter()
            loss, acc = self.run_epoch(train, self.train_on)
            test_loss, test_acc = self.run_epoch(test, self.test_on)
            print(
                f"[{epoch}/{self.args.epochs}] loss {loss:.4f} acc {acc:.3f} | test {test_loss:.4f} {test_acc:.3f}"
                f" | {time.perf_counter() - t0:.0f}s"
            )
            if test_acc >= best:
                best = test_acc
                torch.save(self.model.state_dict(), self.args.output)
        self.model.load_state_dict(torch.load(self.args.output))
        print("best: %.4f %.3f" % self.run_epoch(test, self.test_on))


if __name__ == "__main__":
    random.seed(17)
    np.random.seed(17)
    torch.manual_seed(17)
    Runner(parser.parse_args()).run()
