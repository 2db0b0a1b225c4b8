"""Functional API: two inputs (text of a support ticket and its meta data), two outputs
(priority and department), shared embedding for title and body."""

import argparse

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

VOCAB = 60
TITLE_LEN, BODY_LEN = 6, 18
N_TAGS, N_DEPARTMENTS = 5, 4


def make_tickets(n, seed=0):
    """Words below 40 are noise; every department has its own five words above."""
    rng = np.random.default_rng(seed)
    department = rng.integers(0, N_DEPARTMENTS, n)
    title = rng.integers(1, 40, (n, TITLE_LEN))
    body = rng.integers(1, 40, (n, BODY_LEN))
    rows = np.arange(n)
    for _ in range(4):
        body[rows, rng.integers(0, BODY_LEN, n)] = 40 + 5 * department + rng.integers(0, 5, n)
    title[rows, rng.integers(0, TITLE_LEN, n)] = 40 + 5 * department + rng.integers(0, 5, n)
    tags = rng.integers(0, 2, (n, N_TAGS)).astype("float32")
    score = tags @ np.array([1.5, -1.0, 0.5, 0.8, -0.4]) + 0.3 * department - 0.6
    priority = (score + rng.normal(0, 0.3, n) > 0).astype("float32")
    x = {"title": title, "body": body, "tags": tags}
    y = {"priority": priority[:, None], "department": keras.utils.to_categorical(department, N_DEPARTMENTS)}
    return x, y


def build(embedding_dim=12, units=16):
    title_input = keras.Input(shape=(None,), dtype="int32", name="title")
    body_input = keras.Input(shape=(None,), dtype="int32", name="body")
    tags_input = keras.Input(shape=(N_TAGS,), name="tags")

    # one table of words for both texts
    embed = layers.Embedding(VOCAB, embedding_dim)
    title_features = layers.GlobalAveragePooling1D()(embed(title_input))
    body_features = layers.Conv1D(units, 3, activation="relu")(embed(body_input))
    body_features = layers.GlobalMaxPooling1D()(body_features)

    x = layers.concatenate([title_features, body_features, tags_input])
    x = layers.Dense(32, activation="relu")(x)
    x = layers.Dropout(0.1)(x)

    priority_pred = layers.Dense(1, activation="sigmoid", name="priority")(x)
    department_pred = layers.Dense(N_DEPARTMENTS, name="department")(x)
    return keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
        name="tickets",
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=42)
    flags = parser.parse_args()

    keras.utils.set_random_seed(flags.seed)
    x, y = make_tickets(960)
    x_test, y_test = make_tickets(200, seed=1)

    model = build()
    model.compile(
        optimizer=keras.optimizers.RMSprop(3e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        metrics={"priority": ["accuracy"], "department": ["accuracy"]},
        loss_weights={"priority": 1.0, "department": 0.5},
    )
    model.fit(x, y, epochs=flags.epochs, batch_size=flags.batch_size, verbose=2)
    results = model.evaluate(x_test, y_test, return_dict=True, verbose=0)
    for name in sorted(results):
        print(f"{name:>24s}: {results[name]:.4f}")

    out = model.predict({k: v[:3] for k, v in x_test.items()}, verbose=0)
    print(out["priority"].ravel().round(3), tf.nn.softmax(out["department"]).numpy().argmax(-1))


if __name__ == "__main__":
    main()
