"""Units that keep and restore what a training run needs to go on."""

import os
import pickle


def save_pickle(value, path):
    """Write any value to a file, whole or not at all; or into a file that is open."""
    if hasattr(path, "write"):
        pickle.dump(value, path)
        return
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
    os.replace(f"{path}.tmp", path)


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
