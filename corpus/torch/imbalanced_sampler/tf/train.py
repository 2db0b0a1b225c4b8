import numpy as np
import pandas as pd
import itertools
import math
import os
import pickle
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import make_classification
from sklearn.metrics import classification_report, f1_score


def collate(samples):
    """Stacks examples field by field: ints become int64, Python floats float64."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(collate(list(field)) for field in zip(*samples))
    return tf.convert_to_tensor(np.stack([np.asarray(sample) for sample in samples]))


class Subset:
    """The examples of a dataset at the given indices."""

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    def take_rows(self, indices):
        """The examples at several places, stacked; at once where the dataset holds tensors."""
        places = [int(self.indices[i]) for i in indices]
        if hasattr(self.dataset, "take_rows"):
            return self.dataset.take_rows(places)
        return collate([self.dataset[i] for i in places])


def random_split(dataset, lengths):
    """Random parts of a dataset: of the given lengths, or fractions that sum to 1."""
    count = len(dataset)
    if sum(lengths) <= 1:
        whole = [math.floor(count * fraction) for fraction in lengths]
        left = count - sum(whole)
        lengths = [n + (i % len(whole) < left) for i, n in enumerate(whole)]
    order = np.random.permutation(count)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(lengths)[:-1])]


class WeightedRandomSampler:
    """Indices drawn with the given weights, anew for every epoch."""

    def __init__(self, weights, num_samples, replacement=True):
        weights = np.asarray(weights, dtype=np.float64)
        self.chances = weights / weights.sum()
        self.num_samples = num_samples
        self.replacement = replacement

    def __len__(self):
        return self.num_samples

    def __iter__(self):
        count = len(self.chances)
        return iter(
            np.random.choice(count, self.num_samples, self.replacement, self.chances)
        )


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


def learning_rate_of(optimizer):
    """The learning rate as the number once assigned, without its float32 rounding."""
    return float(str(optimizer.learning_rate.numpy()))


def parts_of(optimizer):
    """The optimizers of an optimizer's groups, each with a learning rate of its own."""
    return [part for part, _ in getattr(optimizer, "groups", [(optimizer, None)])]


class ReduceLROnPlateau:
    """torch's ReduceLROnPlateau: relative threshold, reduced after patience + 1 bad epochs."""

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        eps=1e-8,
    ):
        self.optimizer = optimizer
        self.sign = 1 if mode == "min" else -1
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self.best = self.sign * math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def is_better(self, value):
        margin = self.sign * self.threshold
        if self.threshold_mode == "rel":
            return self.sign * value < self.sign * (self.best * (1 - margin))
        return self.sign * value < self.sign * (self.best - margin)

    def step(self, metrics):
        value = float(metrics)
        self.last_epoch += 1
        if self.is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for part in parts_of(self.optimizer):
                old = learning_rate_of(part)
                new = max(old * self.factor, self.min_lr)
                if old - new > self.eps:
                    part.learning_rate = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self):
        return [learning_rate_of(part) for part in parts_of(self.optimizer)]

    def state_dict(self):
        names = "best", "num_bad_epochs", "cooldown_counter", "last_epoch"
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state):
        vars(self).update(state)


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


CFG = {
    "seed": 2023,
    "n_rows": 1600,
    "bs": 64,
    "epochs": 6,
    "lr": 0.01,
    "patience": 0,
    "factor": 0.3,
}


def seed_everything(seed):
    np.random.seed(seed)
    tf.random.set_seed(seed)


seed_everything(CFG["seed"])
DEVICE = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"

# ====================================================
# Data: a table with two categorical columns, fraud is rare
# ====================================================
X, y = make_classification(
    n_samples=CFG["n_rows"],
    n_features=8,
    n_informative=5,
    weights=[0.9],
    class_sep=1.2,
    random_state=CFG["seed"],
)
df = pd.DataFrame(X, columns=[f"f{i}" for i in range(8)])
df["shop"] = pd.cut(df["f0"], 5, labels=False)
df["day"] = np.random.randint(0, 7, len(df))
df["target"] = y
CONT = [f"f{i}" for i in range(1, 8)]
CAT = ["shop", "day"]
print(df["target"].value_counts().to_dict())


class TableDataset:
    def __init__(self, df):
        self.cont = df[CONT].values.astype(np.float32)
        self.cat = df[CAT].values.astype(np.int64)
        self.y = df["target"].values.astype(np.int64)

    def __len__(self):
        return self.y.shape[0]

    def __getitem__(self, i):
        return (
            tf.convert_to_tensor(self.cat[i]),
            tf.convert_to_tensor(self.cont[i]),
            self.y[i],
        )


class TabularModel(keras.Model):
    def __init__(self, emb_szs, n_cont, out_sz, layers, p=0.2):
        super().__init__()
        self.embeds = [keras.layers.Embedding(ni, nf) for ni, nf in emb_szs]
        self.emb_drop = keras.layers.Dropout(p)
        self.bn_cont = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)

        layerlist = []
        n_in = sum(nf for _, nf in emb_szs) + n_cont
        for i in layers:
            layerlist.append(keras.layers.Dense(i))
            layerlist.append(keras.layers.ReLU())
            layerlist.append(
                keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
            )
            layerlist.append(keras.layers.Dropout(p))
            n_in = i
        layerlist.append(keras.layers.Dense(out_sz))
        self.layers_ = keras.Sequential(layerlist)

    def call(self, x_cat, x_cont):
        embeddings = []
        for i, e in enumerate(self.embeds):
            embeddings.append(e(x_cat[:, i]))
        x = tf.concat(embeddings, axis=1)
        x = self.emb_drop(x)
        x_cont = self.bn_cont(x_cont)
        x = tf.concat([x, x_cont], axis=1)
        return self.layers_(x)


full = TableDataset(df)
n_train = int(0.8 * len(full))
train_set, valid_set = random_split(full, [n_train, len(full) - n_train])

train_y = full.y[train_set.indices]
class_count = np.bincount(train_y)
sample_weight = 1.0 / class_count[train_y]
sampler = WeightedRandomSampler(
    tf.constant(sample_weight, dtype=tf.float64), len(train_set), True
)
train_loader = DataLoader(train_set, batch_size=CFG["bs"], sampler=sampler)
valid_loader = DataLoader(valid_set, batch_size=CFG["bs"] * 2, shuffle=False)

model = TabularModel([(5, 3), (7, 4)], len(CONT), 2, [32, 16])
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(learning_rate=CFG["lr"], epsilon=1e-08)
scheduler = ReduceLROnPlateau(
    optimizer, mode="min", factor=CFG["factor"], patience=CFG["patience"], min_lr=1e-5
)


def valid_fn():
    losses, preds, labels = [], [], []
    for cat, cont, target in valid_loader:
        out = model(cat, cont, training=False)
        losses.append(float(criterion(target, out)))
        preds.append(tf.nn.softmax(out, axis=1)[:, 1].numpy())
        labels.append(target.numpy())
    return np.mean(losses), np.concatenate(preds), np.concatenate(labels)


best = 0.0


@tf.function
def train_step(cat, cont, target):
    with tf.GradientTape() as tape:
        out = model(cat, cont, training=True)
        loss = criterion(target, out)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for epoch in range(CFG["epochs"]):
    avg_loss = 0.0
    for cat, cont, target in train_loader:
        loss = train_step(cat, cont, target)
        avg_loss += float(loss) / len(train_loader)
    val_loss, preds, labels = valid_fn()
    scheduler.step(val_loss)
    f1 = f1_score(labels, preds > 0.5)
    lr = float(optimizer.learning_rate)
    print(
        f"Epoch {epoch+1} - avg_train_loss: {avg_loss:.4f}  avg_val_loss: {val_loss:.4f}  f1: {f1:.4f}  lr: {lr:.6f}"
    )
    if f1 > best:
        best = f1
        save_pickle({"model": model.get_weights(), "preds": preds}, "best.pth")

check_point = load_pickle("best.pth")
model.set_weights(check_point["model"])
print(classification_report(labels, check_point["preds"] > 0.5, digits=3))
