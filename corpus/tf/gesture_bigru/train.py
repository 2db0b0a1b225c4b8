"""Bidirectional GRUs over pen strokes: classify which letter was drawn.

A ``tf.data`` pipeline with jitter, a functional model with a bidirectional GRU that returns
its states, and ``Model.fit`` over the pipeline.
"""
import logging
import math
from typing import Tuple

import numpy as np
import tensorflow as tf

layers = tf.keras.layers
log = logging.getLogger("gestures")
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

CLASSES = "LOVZ"
STEPS = 20


def stroke(letter: str) -> np.ndarray:
    s = np.linspace(0.0, 1.0, STEPS)
    if letter == "L":
        xy = np.stack([np.where(s < 0.6, 0.0, (s - 0.6) / 0.4), np.where(s < 0.6, 1 - s / 0.6, 0.0)], 1)
    elif letter == "O":
        xy = np.stack([np.cos(2 * math.pi * s), np.sin(2 * math.pi * s)], 1) * 0.5 + 0.5
    elif letter == "V":
        xy = np.stack([s, np.abs(2 * s - 1)], 1)
    else:
        x = np.interp(s, [0, 0.33, 0.66, 1], [0, 1, 0, 1])
        y = np.interp(s, [0, 0.33, 0.66, 1], [1, 1, 0, 0])
        xy = np.stack([x, y], 1)
    return xy


def generate(n: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), n)
    xy = np.stack([stroke(CLASSES[k]) for k in labels])
    angle = rng.normal(0, 0.35, n)
    rot = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    backwards = rng.random(n) < 0.5            # half of the people start at the other end
    xy[backwards] = xy[backwards][:, ::-1]
    return (xy @ rot).astype("float32"), labels.astype("int64")


def jitter(xy: tf.Tensor, label: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    xy = xy + tf.random.normal(tf.shape(xy), stddev=0.05)
    return xy, label


def to_deltas(xy, label):
    deltas = xy[1:] - xy[:-1]
    speed = tf.norm(deltas, axis=-1, keepdims=True)
    return tf.concat([deltas * 10.0, speed], axis=-1), label


def pipeline(n: int, seed: int, batch: int, training: bool) -> tf.data.Dataset:
    ds = tf.data.Dataset.from_tensor_slices(generate(n, seed))
    if training:
        ds = ds.shuffle(n, seed=seed, reshuffle_each_iteration=True)
        ds = ds.map(jitter, num_parallel_calls=1)
    ds = ds.map(to_deltas)
    return ds.batch(batch, drop_remainder=training).prefetch(1)


def build_model(units: int = 16) -> tf.keras.Model:
    inp = tf.keras.Input((STEPS - 1, 3), name="deltas")
    seq = layers.Bidirectional(layers.GRU(units, return_sequences=True))(inp)
    seq = layers.LayerNormalization(epsilon=1e-5)(seq)
    out, forward, backward = layers.Bidirectional(
        layers.GRU(units, return_state=True, reset_after=True), merge_mode="sum"
    )(seq)
    h = layers.Concatenate()([out, forward, backward])
    h = layers.Dense(24, activation="swish")(h)
    return tf.keras.Model(inp, layers.Dense(len(CLASSES), name="logits")(h))


def main() -> None:
    tf.keras.utils.set_random_seed(5)
    train = pipeline(640, 1, 32, training=True)
    valid = pipeline(160, 2, 80, training=False)
    log.info("element spec: %s", train.element_spec)

    steps_per_epoch = int(train.cardinality().numpy())
    schedule = tf.keras.optimizers.schedules.CosineDecay(6e-3, decay_steps=4 * steps_per_epoch, alpha=0.05)
    model = build_model()
    model.compile(
        optimizer=tf.keras.optimizers.Adam(schedule, clipnorm=1.0),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tf.keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    history = model.fit(train, validation_data=valid, epochs=4, verbose=0)
    for epoch, loss in enumerate(history.history["loss"]):
        log.info(
            "epoch %d loss %.4f acc %.3f val_loss %.4f val_acc %.3f",
            epoch, loss, *(history.history[k][epoch] for k in ("acc", "val_loss", "val_acc")),
        )

    for xy, label in valid.take(1):
        probs = tf.nn.softmax(model(xy, training=False), axis=-1)
        top = tf.math.top_k(probs, k=2)
        for i in range(4):
            guess = [CLASSES[j] for j in top.indices[i].numpy()]
            log.info("%s: %s %s", CLASSES[int(label[i])], guess, top.values[i].numpy().round(2))


if __name__ == "__main__":
    main()
