"""A transformer encoder decides which kind of bracket is closed more often in a string."""

import numpy as np
import tensorflow as tf
import keras
from keras import layers

keras.utils.set_random_seed(812)

PADDING, CLS = 0, 1
TOKENS = {"(": 2, ")": 3, "[": 4, "]": 5, "x": 6}
MAXLEN = 16


class Embed(layers.Layer):
    """Token vectors scaled up, plus learned positions."""

    def __init__(self, vocab, length, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.tokens = layers.Embedding(vocab, dim, embeddings_initializer="glorot_normal")
        self.length = length

    def build(self, input_shape):
        self.positions = self.add_weight(
            name="positions", shape=(1, self.length, self.dim), initializer=keras.initializers.TruncatedNormal(0.0, 0.1)
        )

    def call(self, ids):
        n = tf.shape(ids)[1]
        return self.tokens(ids) * tf.math.sqrt(tf.cast(self.dim, tf.float32)) + self.positions[:, :n, :]


class EncoderBlock(layers.Layer):
    def __init__(self, dim, heads, hidden, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.norm_a = layers.LayerNormalization(epsilon=1e-6)
        self.attention = layers.MultiHeadAttention(heads, key_dim=dim // heads, dropout=dropout)
        self.norm_b = layers.LayerNormalization()
        self.hidden = layers.Dense(hidden, activation="gelu")
        self.project = layers.Dense(dim)
        self.dropout = layers.Dropout(dropout)

    def call(self, x, visible=None, training=False):
        normed = self.norm_a(x)
        x = x + self.attention(query=normed, value=normed, attention_mask=visible, training=training)
        y = self.project(self.hidden(self.norm_b(x)))
        return x + self.dropout(y, training=training)


class BracketModel(keras.Model):
    def __init__(self, depth=2, dim=24, heads=3):
        super().__init__()
        self.embed = Embed(len(TOKENS) + 2, MAXLEN + 1, dim)
        self.blocks = [EncoderBlock(dim, heads, 2 * dim, name=f"block_{i}") for i in range(depth)]
        self.norm = layers.LayerNormalization(epsilon=1e-6)
        self.head = layers.Dense(1)

    def call(self, ids, training=None):
        real = tf.not_equal(ids, PADDING)
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, visible=real[:, tf.newaxis, :], training=training)
        x = self.norm(x)
        weight = tf.cast(real, x.dtype)[:, :, tf.newaxis]
        mean = tf.reduce_sum(x * weight, axis=1) / tf.reduce_sum(weight, axis=1)
        return self.head(tf.concat([x[:, 0], mean], axis=-1))


def make(n, seed):
    rng = np.random.default_rng(seed)
    ids = np.full((n, MAXLEN + 1), PADDING, dtype="int32")
    labels = np.zeros((n, 1), dtype="float32")
    for row in range(n):
        s = rng.choice(list("()[]x"), size=int(rng.integers(5, MAXLEN + 1)))
        ids[row, 0] = CLS
        ids[row, 1 : len(s) + 1] = [TOKENS[str(ch)] for ch in s]
        labels[row] = np.sum(s == ")") > np.sum(s == "]")
    return ids, labels


x_train, y_train = make(1600, 0)
x_val, y_val = make(300, 1)

model = BracketModel()
model.compile(
    optimizer=keras.optimizers.AdamW(learning_rate=2e-3, weight_decay=1e-4),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
)
history = model.fit(x_train, y_train, batch_size=64, epochs=4, validation_data=(x_val, y_val), verbose=2)

logits = model.predict(x_val, batch_size=100, verbose=0)
print("accuracy %.3f" % np.mean((logits > 0) == (y_val > 0.5)))
print("loss went from %.4f to %.4f" % (history.history["loss"][0], history.history["loss"][-1]))

# where does the class token look?
block = model.blocks[0]
h = block.norm_a(model.embed(x_val[:1]))
_, scores = block.attention(h, h, attention_mask=(x_val[:1] != PADDING)[:, None, :], return_attention_scores=True)
inverse = {v: k for k, v in TOKENS.items()}
for token, s in zip(x_val[0][1:], scores.numpy()[0, :, 0, 1:].mean(axis=0)):
    if token != PADDING:
        print(inverse[int(token)], "%.3f" % s)
