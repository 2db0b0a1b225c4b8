"""Breast cancer, binary classification, with checkpoints that can be resumed and early stopping.

python train.py --epochs 12
python train.py --epochs 30 --resume runs/cancer/last.pth.tar
"""

import argparse
import copy
import os
import shutil

import itertools
import math
import pickle
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler


def save_pickle(value, path):
    """Write any value to a file, whole or not at all; or into a file that is open."""
    if hasattr(path, "write"):
        pickle.dump(value, path)
        return
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
    os.replace(f"{path}.tmp", path)


class TensorDataset:
    """Examples that are the rows of several tensors or arrays."""

    def __init__(self, *tensors):
        self.tensors = tuple(tf.convert_to_tensor(tensor) for tensor in tensors)

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def take_rows(self, indices):
        """The examples at several places, stacked."""
        return tuple(tf.gather(tensor, indices) for tensor in self.tensors)


def collate(samples):
    """Stacks examples field by field: ints become int64, Python floats float64."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(collate(list(field)) for field in zip(*samples))
    return tf.convert_to_tensor(np.stack([np.asarray(sample) for sample in samples]))


class DataLoader:
    """Batches of an indexable dataset, drawn and collated anew for every epoch."""

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=False,
        sampler=None,
        drop_last=False,
        collate_fn=collate,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn

    def __len__(self):
        count = len(self.dataset if self.sampler is None else self.sampler)
        return (math.floor if self.drop_last else math.ceil)(count / self.batch_size)

    def __iter__(self):
        order = self.sampler
        if order is None:
            count = len(self.dataset)
            order = np.random.permutation(count) if self.shuffle else range(count)
        order = iter(order)
        for _ in range(len(self)):
            indices = [int(i) for i in itertools.islice(order, self.batch_size)]
            if self.collate_fn is collate and hasattr(self.dataset, "take_rows"):
                yield self.dataset.take_rows(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])


def load_pickle(path):
    """The value that save_pickle wrote; load files of your own only."""
    if hasattr(path, "read"):
        return pickle.load(path)
    with open(path, "rb") as file:
        return pickle.load(file)


def load_optimizer(optimizer, variables, state):
    """Set an optimizer's step count, learning rate and slots, making them first if need be."""
    optimizer.build(variables)
    for variable, value in zip(optimizer.variables, state):
        variable.assign(value)


def get_args():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", default=12, type=int)
    ap.add_argument("--batch-size", default=32, type=int)
    ap.add_argument("--lr", default=1e-3, type=float)
    ap.add_argument("--patience", default=4, type=int)
    ap.add_argument("--resume", default=None, type=str, help="path to a checkpoint")
    ap.add_argument("--out", default="runs/cancer", type=str)
    return ap.parse_args()


class EarlyStopping:
    """Stops when the score has not improved for `patience` epochs; keeps the best weights."""

    def __init__(self, patience=5, delta=1e-4):
        self.patience = patience
        self.delta = delta
        self.best = float("inf")
        self.counter = 0
        self.best_weights = None
        self.should_stop = False

    def __call__(self, val_loss, model):
        if val_loss < self.best - self.delta:
            self.best = val_loss
            self.counter = 0
            self.best_weights = model.get_weights()
            return True
        self.counter += 1
        if self.counter >= self.patience:
            self.should_stop = True
        return False


def save_checkpoint(state, is_best, folder):
    os.makedirs(folder, exist_ok=True)
    filename = os.path.join(folder, "last.pth.tar")
    save_pickle(state, filename)
    if is_best:
        shutil.copyfile(filename, os.path.join(folder, "model_best.pth.tar"))


def build_model(n_in):
    return keras.Sequential(
        [
            layers.Dense(32),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.Dense(16),
            layers.ReLU(),
            layers.Dense(1),
        ]
    )


def data():
    X, y = load_breast_cancer(return_X_y=True)
    Xtr, Xte, ytr, yte = train_test_split(
        X, y, test_size=0.3, random_state=1, stratify=y
    )
    sc = StandardScaler().fit(Xtr)
    tensors = []
    for a, b in ((Xtr, ytr), (Xte, yte)):
        tensors.append(
            (
                tf.cast(sc.transform(a), tf.float32),
                tf.reshape(tf.cast(b, tf.float32), [-1, 1]),
            )
        )
    return TensorDataset(*tensors[0]), TensorDataset(*tensors[1])


@tf.function
def train_step(model, criterion, optimizer, xb, yb, training, is_training):
    with tf.GradientTape() as tape:
        logit = model(xb, training=is_training)
        loss = criterion(yb, logit)
    if training:
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return logit, loss


def run_epoch(model, loader, criterion, optimizer=None):
    training = optimizer is not None
    is_training = training
    total, correct, n = 0.0, 0, 0
    for xb, yb in loader:
        logit, loss = train_step(
            model, criterion, optimizer, xb, yb, training, is_training
        )
        total += float(loss) * xb.shape[0]
        correct += int(
            tf.reduce_sum(tf.cast((logit > 0) == tf.cast(yb, tf.bool), tf.int64))
        )
        n += xb.shape[0]
    return total / n, correct / n


def main():
    args = get_args()
    keras.utils.set_random_seed(2024)
    train_ds, val_ds = data()
    train_loader = DataLoader(train_ds, batch_size=args.batch_size, shuffle=True)
    val_loader = DataLoader(val_ds, batch_size=64)

    model = build_model(train_ds.tensors[0].shape[1])
    criterion = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(learning_rate=args.lr, epsilon=1e-08)
    stopper = EarlyStopping(args.patience)

    start_epoch = 0
    if args.resume:
        if os.path.isfile(args.resume):
            print("=> loading checkpoint '{}'".format(args.resume))
            checkpoint = load_pickle(args.resume)
            start_epoch = checkpoint["epoch"]
            stopper.best = checkpoint["best_loss"]
            model.build((None, 30))
            model.set_weights(checkpoint["state_dict"])
            load_optimizer(
                optimizer, model.trainable_variables, checkpoint["optimizer"]
            )
            print("=> loaded checkpoint (epoch {})".format(checkpoint["epoch"]))
        else:
            print("=> no checkpoint found at '{}'".format(args.resume))

    for epoch in range(start_epoch, args.epochs):
        tr_loss, tr_acc = run_epoch(model, train_loader, criterion, optimizer)
        va_loss, va_acc = run_epoch(model, val_loader, criterion)
        is_best = stopper(va_loss, model)
        print(
            f"Epoch {epoch + 1:02d}: loss={tr_loss:.5f} acc={tr_acc:.3f} "
            f"val_loss={va_loss:.5f} val_acc={va_acc:.3f}{' *' if is_best else ''}"
        )
        save_checkpoint(
            {
                "epoch": epoch + 1,
                "arch": "mlp",
                "state_dict": model.get_weights(),
                "best_loss": stopper.best,
                "optimizer": [v.numpy() for v in optimizer.variables],
            },
            is_best,
            args.out,
        )
        if stopper.should_stop:
            print("Early stopping!")
            break

    if stopper.best_weights is not None:
        model.set_weights(stopper.best_weights)
    loss, acc = run_epoch(model, val_loader, criterion)
    print("Restored best model: loss %.5f, accuracy %.3f" % (loss, acc))


if __name__ == "__main__":
    main()
