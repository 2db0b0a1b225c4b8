"""Breast cancer, binary classification, with checkpoints that can be resumed and early stopping.

    python train.py --epochs 12
    python train.py --epochs 30 --resume runs/cancer/last.pth.tar
"""
import argparse
import copy
import os
import shutil

import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, TensorDataset


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
            self.best_weights = copy.deepcopy(model.state_dict())
            return True
        self.counter += 1
        if self.counter >= self.patience:
            self.should_stop = True
        return False


def save_checkpoint(state, is_best, folder):
    os.makedirs(folder, exist_ok=True)
    filename = os.path.join(folder, "last.pth.tar")
    torch.save(state, filename)
    if is_best:
        shutil.copyfile(filename, os.path.join(folder, "model_best.pth.tar"))


def build_model(n_in):
    return nn.Sequential(
        nn.Linear(n_in, 32),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(32, 16),
        nn.ReLU(),
        nn.Linear(16, 1),
    )


def data():
    X, y = load_breast_cancer(return_X_y=True)
    Xtr, Xte, ytr, yte = train_test_split(X, y, test_size=0.3, random_state=1, stratify=y)
    sc = StandardScaler().fit(Xtr)
    tensors = []
    for a, b in ((Xtr, ytr), (Xte, yte)):
        tensors.append((torch.from_numpy(sc.transform(a)).float(),
                        torch.from_numpy(b).float().view(-1, 1)))
    return TensorDataset(*tensors[0]), TensorDataset(*tensors[1])


def run_epoch(model, loader, criterion, optimizer=None):
    training = optimizer is not None
    model.train(training)
    total, correct, n = 0.0, 0, 0
    with torch.set_grad_enabled(training):
        for xb, yb in loader:
            logit = model(xb)
            loss = criterion(logit, yb)
            if training:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(xb)
            correct += ((logit > 0) == yb.bool()).sum().item()
            n += len(xb)
    return total / n, correct / n


def main():
    args = get_args()
    torch.manual_seed(2024)
    train_ds, val_ds = data()
    train_loader = DataLoader(train_ds, batch_size=args.batch_size, shuffle=True)
    val_loader = DataLoader(val_ds, batch_size=64)

    model = build_model(train_ds.tensors[0].shape[1])
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    stopper = EarlyStopping(args.patience)

    start_epoch = 0
    if args.resume:
        if os.path.isfile(args.resume):
            print("=> loading checkpoint '{}'".format(args.resume))
            checkpoint = torch.load(args.resume, map_location="cpu", weights_only=False)
            start_epoch = checkpoint["epoch"]
            stopper.best = checkpoint["best_loss"]
            model.load_state_dict(checkpoint["state_dict"])
            optimizer.load_state_dict(checkpoint["optimizer"])
            print("=> loaded checkpoint (epoch {})".format(checkpoint["epoch"]))
        else:
            print("=> no checkpoint found at '{}'".format(args.resume))

    for epoch in range(start_epoch, args.epochs):
        tr_loss, tr_acc = run_epoch(model, train_loader, criterion, optimizer)
        va_loss, va_acc = run_epoch(model, val_loader, criterion)
        is_best = stopper(va_loss, model)
        print(f"Epoch {epoch + 1:02d}: loss={tr_loss:.5f} acc={tr_acc:.3f} "
              f"val_loss={va_loss:.5f} val_acc={va_acc:.3f}{' *' if is_best else ''}")
        save_checkpoint({
            "epoch": epoch + 1,
            "arch": "mlp",
            "state_dict": model.state_dict(),
            "best_loss": stopper.best,
            "optimizer": optimizer.state_dict(),
        }, is_best, args.out)
        if stopper.should_stop:
            print("Early stopping!")
            break

    if stopper.best_weights is not None:
        model.load_state_dict(stopper.best_weights)
    loss, acc = run_epoch(model, val_loader, criterion)
    print("Restored best model: loss %.5f, accuracy %.3f" % (loss, acc))


if __name__ == "__main__":
    main()
