"""Training that can be interrupted: tf.train.Checkpoint with a manager.

Run it twice to see it go on where it stopped.
"""

import argparse
import os

import numpy as np
import glob
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_breast_cancer


def piecewise_constant_decay(boundaries, values):
    """keras PiecewiseConstantDecay: a boundary itself still has the value before it."""
    return lambda step: values[sum(step > boundary for boundary in boundaries)]


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


class Checkpoint:
    """Models, optimizers, schedulers and counters that are saved and restored together."""

    def __init__(self, **objects):
        self.save_counter = 0
        self.names = [*objects, "save_counter"]
        vars(self).update(objects)

    def write(self, path):
        state = {}
        for name in self.names:
            value = getattr(self, name)
            state[name] = value.state_dict() if hasattr(value, "state_dict") else value
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        torch.save(state, path)
        return path

    def save(self, prefix):
        self.save_counter += 1
        return self.write(f"{prefix}-{self.save_counter}")

    def restore(self, path):
        """Put the objects back as they were; without a file nothing happens."""
        state = torch.load(path, weights_only=False) if path else {}
        for name in [name for name in self.names if name in state]:
            value = getattr(self, name)
            if hasattr(value, "load_state_dict"):
                value.load_state_dict(state[name])
            elif isinstance(value, torch.Tensor):
                value.data.copy_(state[name])
            else:
                setattr(self, name, state[name])
        return self

    def expect_partial(self):
        return self

    def assert_consumed(self):
        return self


def kept_checkpoints(directory, name="ckpt"):
    """The checkpoints of a folder, the newest last."""
    found = glob.glob(os.path.join(glob.escape(str(directory)), f"{name}-*"))
    numbered = [path for path in found if path.rpartition("-")[2].isdigit()]
    return sorted(numbered, key=lambda path: int(path.rpartition("-")[2]))


class CheckpointManager:
    """The numbered files of a checkpoint, of which only the last ones are kept."""

    def __init__(self, checkpoint, directory, max_to_keep, checkpoint_name="ckpt"):
        self.checkpoint = checkpoint
        self.directory = str(directory)
        self.max_to_keep = max_to_keep
        self.checkpoint_name = checkpoint_name

    @property
    def checkpoints(self):
        return kept_checkpoints(self.directory, self.checkpoint_name)

    @property
    def latest_checkpoint(self):
        return self.checkpoints[-1] if self.checkpoints else None

    def save(self, checkpoint_number=None):
        prefix = os.path.join(self.directory, self.checkpoint_name)
        if checkpoint_number is None:
            path = self.checkpoint.save(prefix)
        else:
            path = self.checkpoint.write(f"{prefix}-{int(checkpoint_number)}")
        if self.max_to_keep is not None:
            for old in self.checkpoints[: -self.max_to_keep]:
                os.remove(old)
        return path

    def restore_or_initialize(self):
        path = self.latest_checkpoint
        self.checkpoint.restore(path)
        return path


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--ckpt_dir", default="./tf_ckpts")
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--batch_size", type=int, default=32)
    p.add_argument("--seed", type=int, default=3)
    return p.parse_args()


class Net(nn.Module):
    """Two layers with batch norm."""

    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(30, 24)
        self.bn = nn.BatchNorm1d(24, eps=0.001, momentum=0.1)
        self.l2 = nn.Linear(24, 1)

    def forward(self, x):
        x = F.leaky_relu(self.bn(self.l1(x)), 0.1)
        return torch.squeeze(self.l2(x), -1)


def get_datasets(batch_size):
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    x, y = x.astype(np.float32), y.astype(np.float32)
    ds = TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    ds = torch.utils.data.Subset(ds, torch.randperm(len(ds)).tolist())
    train = DataLoader(
        torch.utils.data.Subset(ds, range(min(400, len(ds)))),
        batch_size=batch_size,
        shuffle=True,
    )
    valid = DataLoader(torch.utils.data.Subset(ds, range(400, len(ds))), batch_size=128)
    return train, valid


def train_step(net, optimizer, x, y):
    net.train()
    logits = net(x)
    per_example = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    loss = torch.mean(per_example)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def validate(net, ds):
    hits = torch.zeros((), dtype=torch.int32)
    count = 0
    loss = Mean()
    net.eval()
    for x, y in ds:
        logits = net(x)
        loss.update_state(
            F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        )
        hits += torch.sum(((logits > 0) == (y > 0.5)).int())
        count += x.shape[0]
    return loss.result().item(), hits.item() / count


def main():
    args = parse()
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    train, valid = get_datasets(args.batch_size)

    net = Net()
    net.eval()
    net(torch.zeros(1, 30))  # creates the variables
    opt = torch.optim.Adam(net.parameters(), lr=1.0, eps=1e-7)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        opt, piecewise_constant_decay(boundaries=[40, 60], values=[5e-3, 1e-3, 3e-4])
    )
    opt.register_step_post_hook(lambda *_: scheduler.step())

    ckpt = Checkpoint(
        step=torch.tensor(0),
        epoch=torch.tensor(0),
        optimizer=opt,
        net=net,
        scheduler=scheduler,
    )
    manager = CheckpointManager(ckpt, args.ckpt_dir, max_to_keep=2)
    ckpt.restore(manager.latest_checkpoint)
    if manager.latest_checkpoint:
        print("Restored from {}".format(manager.latest_checkpoint))
    else:
        print("Initializing from scratch.")

    best = np.inf
    for epoch in range(int(ckpt.epoch), args.epochs):
        for x, y in train:
            loss = train_step(net, opt, x, y)
            ckpt.step.add_(1)
            if int(ckpt.step) % 10 == 0:
                print("step {:3d} loss {:.4f}".format(int(ckpt.step), loss.item()))
        ckpt.epoch.add_(1)
        save_path = manager.save()
        val_loss, val_acc = validate(net, valid)
        print(
            "epoch %d val_loss %.4f val_acc %.4f -> %s"
            % (epoch + 1, val_loss, val_acc, os.path.basename(save_path))
        )
        if val_loss < best:
            best = val_loss
            torch.save(net.state_dict(), "best.weights.h5")

    print("kept:", [os.path.basename(c) for c in manager.checkpoints])

    # load the best weights into a new network
    if os.path.exists("best.weights.h5"):
        again = Net()
        again.eval()
        again(torch.zeros(1, 30))
        again.load_state_dict(torch.load("best.weights.h5"))
        print("best val_loss %.4f, accuracy %.4f" % validate(again, valid))


if __name__ == "__main__":
    main()
