"""What Keras' callbacks do at the end of an epoch, called by hand in a training loop."""

import math

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
    ):
        self.patience = patience
        self.min_delta = abs(min_delta)
        self.sign = 1 if mode == "min" else -1
        self.baseline = None if baseline is None else self.sign * baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
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
        return self.wait >= self.patience and epoch > 0

    def keep(self, model):
        self.best_state = {key: value.clone() for key, value in model.state_dict().items()}

    def restore(self, model):
        if self.best_state is not None:
            model.load_state_dict(self.best_state)


class ModelCheckpoint:
    """keras ModelCheckpoint of the weights: at every epoch, or where the value is the best."""

    def __init__(self, filepath, mode="min", save_best_only=False):
        self.filepath = filepath
        self.sign = 1 if mode == "min" else -1
        self.save_best_only = save_best_only
        self.best = math.inf

    def step(self, value, epoch, model, **logs):
        value = self.sign * float(value)
        if self.save_best_only and value >= self.best:
            return
        self.best = min(self.best, value)
        torch.save(model.state_dict(), str(self.filepath).format(epoch=epoch + 1, **logs))
