#!/usr/bin/env python3
"""Image classification with augmentation layers and the usual callbacks."""
from __future__ import annotations

import csv
import os
import pathlib

import keras
import numpy as np
from keras import layers
from keras.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

IMG_SIZE = 16
NUM_CLASSES = 4
SHAPES = ["cross", "ring", "stripes", "corner"]
OUT = pathlib.Path("augmented_out")


# before any layer exists: the augmentation below draws its seeds when it is made
keras.utils.set_random_seed(1337)


def draw(kind: int, rng: np.random.Generator) -> np.ndarray:
    img = rng.normal(30, 12, (IMG_SIZE, IMG_SIZE, 3))
    colour = rng.uniform(120, 255, 3)
    c = rng.integers(6, 10)
    if kind == 0:
        img[c - 1 : c + 1, 3:13] = colour
        img[3:13, c - 1 : c + 1] = colour
    elif kind == 1:
        yy, xx = np.mgrid[:IMG_SIZE, :IMG_SIZE]
        r = np.hypot(yy - c, xx - c)
        img[(r > 3) & (r < 5)] = colour
    elif kind == 2:
        img[::4] = colour
        img[1::4] = colour
    else:
        img[c:, c : c + 2] = colour
        img[c : c + 2, c:] = colour
    return np.clip(img, 0, 255).astype("uint8")


def load_split(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, NUM_CLASSES, n)
    return np.stack([draw(k, rng) for k in labels]), labels


data_augmentation = keras.Sequential(
    [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        layers.RandomContrast(0.2),
    ],
    name="augmentation",
)


def make_model(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    inputs = keras.Input(shape=input_shape)
    x = data_augmentation(inputs)
    x = layers.Rescaling(1.0 / 255)(x)
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D(pool_size=2, strides=2, padding="same")(x)
        x = layers.SpatialDropout2D(0.1)(x)
    x = layers.SeparableConv2D(48, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    x_train, y_train = load_split(512, seed=0)
    x_test, y_test = load_split(128, seed=1)

    model = make_model((IMG_SIZE, IMG_SIZE, 3), NUM_CLASSES)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=2e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    callbacks = [
        EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True, verbose=1),
        ModelCheckpoint(str(OUT / "best.keras"), monitor="val_accuracy", mode="max", save_best_only=True),
        ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_lr=1e-5, verbose=1),
        CSVLogger(str(OUT / "log.csv")),
    ]
    history = model.fit(
        x_train,
        y_train,
        batch_size=32,
        epochs=7,
        validation_split=0.2,
        callbacks=callbacks,
        verbose=2,
    )
    best_epoch = int(np.argmin(history.history["val_loss"]))
    print(f"best epoch: {best_epoch + 1} of {len(history.epoch)}")

    loss, acc = model.evaluate(x_test, y_test, verbose=0)
    print(f"restored weights: test loss {loss:.4f}, accuracy {acc:.4f}")
    best = keras.models.load_model(OUT / "best.keras")
    loss, acc = best.evaluate(x_test, y_test, verbose=0)
    print(f"best checkpoint:  test loss {loss:.4f}, accuracy {acc:.4f}")

    with open(OUT / "log.csv") as f:
        rows = list(csv.DictReader(f))
    print("logged", len(rows), "epochs to", os.path.join(OUT, "log.csv"))


if __name__ == "__main__":
    main()
