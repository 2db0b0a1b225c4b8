"""Checkpoints as ``tf.train`` keeps them: several objects in one file, the last files kept."""

import glob
import os

import torch


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


def latest_checkpoint(directory):
    """The newest checkpoint of a folder, None where there is none."""
    found = glob.glob(os.path.join(glob.escape(str(directory)), "*-*"))
    found = [path for path in found if path.rpartition("-")[2].isdigit()]
    return max(found, key=lambda path: int(path.rpartition("-")[2]), default=None)


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
