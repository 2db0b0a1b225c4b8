"""Functional API: two inputs (words of a news wire and its marks), two outputs
(is it urgent, and for which desk), shared embedding for headline and article."""

import argparse

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

VOCAB = 60
HEAD_LEN, TEXT_LEN = 6, 18
N_FLAGS, N_DESKS = 5, 4


def make_wires(n, seed=0):
    """Words below 40 are noise; every desk has its own five words above."""
    rng = np.random.default_rng(seed)
    desk = rng.integers(0, N_DESKS, n)
    headline = rng.integers(1, 40, (n, HEAD_LEN))
    article = rng.integers(1, 40, (n, TEXT_LEN))
    rows = np.arange(n)
    for _ in range(4):
        article[rows, rng.integers(0, TEXT_LEN, n)] = 40 + 5 * desk + rng.integers(0, 5, n)
    headline[rows, rng.integers(0, HEAD_LEN, n)] = 40 + 5 * desk + rng.integers(0, 5, n)
    marks = rng.integers(0, 2, (n, N_FLAGS)).astype("float32")
    score = marks @ np.array([1.5, -1.0, 0.5, 0.8, -0.4]) + 0.3 * desk - 0.6
    urgent = (score + rng.normal(0, 0.3, n) > 0).astype("float32")
    x = {"headline": headline, "article": article, "marks": marks}
    y = {"urgent": urgent[:, None], "desk": keras.utils.to_categorical(desk, N_DESKS)}
    return x, y


def build(embedding_dim=12, units=16):
    headline_input = keras.Input(shape=(None,), dtype="int32", name="headline")
    article_input = keras.Input(shape=(None,), dtype="int32", name="article")
    marks_input = keras.Input(shape=(N_FLAGS,), name="marks")

    # one table of words for both texts
    embed = layers.Embedding(VOCAB, embedding_dim)
    headline_features = layers.GlobalAveragePooling1D()(embed(headline_input))
    article_features = layers.Conv1D(units, 3, activation="relu")(embed(article_input))
    article_features = layers.GlobalMaxPooling1D()(article_features)

    x = layers.concatenate([headline_features, article_features, marks_input])
    x = layers.Dense(32, activation="relu")(x)
    x = layers.Dropout(0.1)(x)

    urgent_pred = layers.Dense(1, activation="sigmoid", name="urgent")(x)
    desk_pred = layers.Dense(N_DESKS, name="desk")(x)
    return keras.Model(
        inputs=[headline_input, article_input, marks_input],
        outputs={"urgent": urgent_pred, "desk": desk_pred},
        name="wires",
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=42)
    opts = parser.parse_args()

    keras.utils.set_random_seed(opts.seed)
    x, y = make_wires(960)
    x_test, y_test = make_wires(200, seed=1)

    model = build()
    model.compile(
        optimizer=keras.optimizers.RMSprop(3e-3),
        loss={
            "urgent": keras.losses.BinaryCrossentropy(),
            "desk": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        metrics={"urgent": ["accuracy"], "desk": ["accuracy"]},
        loss_weights={"urgent": 1.0, "desk": 0.5},
    )
    model.fit(x, y, epochs=opts.epochs, batch_size=opts.batch_size, verbose=2)
    results = model.evaluate(x_test, y_test, return_dict=True, verbose=0)
    for name in sorted(results):
        print(f"{name:>24s}: {results[name]:.4f}")

    out = model.predict({k: v[:3] for k, v in x_test.items()}, verbose=0)
    print(out["urgent"].ravel().round(3), tf.nn.softmax(out["desk"]).numpy().argmax(-1))


if __name__ == "__main__":
    main()
