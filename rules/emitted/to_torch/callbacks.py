"""What Keras' callbacks do at the end of an epoch, called by hand in a training loop."""

import math
import warnings

import torch


class EarlyStopping:
    """keras EarlyStopping: step() is True where training is to stop; restore() the best weights."""

    def __init__(
        self,
        patience=0,
        min_delta=0.0,
        mode="min",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
        verbose=False,
    ):
        self.patience = patience
        self.min_delta = abs(min_delta)
        self.sign = 1 if mode == "min" else -1
        self.baseline = None if baseline is None else self.sign * baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.verbose = verbose
        self.best = None
        self.best_epoch = self.wait = 0
        self.best_state = None

    def improves(self, value, reference):
        return reference is None or value + self.min_delta < reference

    def step(self, value, epoch, model=None):
        value = self.sign * float(value)
        if epoch < self.start_from_epoch:
            return False
        if self.restore_best_weights and self.best_state is None:
            self.keep(model)
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.keep(model)
            if self.improves(value, self.baseline):
                self.wait = 0
            return False
        stops = self.wait >= self.patience and epoch > 0
        if stops and self.verbose:
            print(f"Epoch {epoch + 1}: early stopping")
        return stops

    def keep(self, model):
        self.best_state = {key: value.clone() for key, value in model.state_dict().items()}

    def restore(self, model):
        if self.best_state is not None:
            if self.verbose:
                best = self.best_epoch + 1
                print(f"Restoring model weights from the end of the best epoch: {best}.")
            model.load_state_dict(self.best_state)


class ModelCheckpoint:
    """keras ModelCheckpoint with save_best_only: the weights, or the whole model, at the best."""

    def __init__(self, filepath, mode="min", whole=False, verbose=False):
        self.filepath = filepath
        self.sign = 1 if mode == "min" else -1
        self.whole = whole
        self.verbose = verbose
        self.best = math.inf

    def step(self, value, epoch, model, **logs):
        if self.sign * float(value) >= self.best:
            return
        self.best = self.sign * float(value)
        path = str(self.filepath).format(epoch=epoch + 1, **logs)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        torch.save(model if self.whole else model.state_dict(), path)


class CSVLogger:
    """keras CSVLogger: a row for each epoch, the names of its values in the first line."""

    def __init__(self, filename, separator=",", append=False):
        self.file = open(filename, "a" if append else "w")
        self.separator = separator
        self.names = None

    def write(self, epoch, logs):
        if self.names is None:
            self.names = sorted(logs)
            if self.file.tell() == 0:
                print("epoch", *self.names, sep=self.separator, file=self.file)
        row = [logs.get(name, "NA") for name in self.names]
        print(epoch, *row, sep=self.separator, file=self.file, flush=True)

    def close(self):
        self.file.close()


class QuietWriter:
    """Takes what a SummaryWriter takes, and keeps nothing of it."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def summary_writer(folder):
    """A writer for TensorBoard; where TensorBoard is not installed, one that keeps nothing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        warnings.warn("TensorBoard is not installed: nothing is logged for it")
        return QuietWriter()
    return SummaryWriter(folder)
