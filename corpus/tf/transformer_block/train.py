"""
Title: Brackets
Description: a transformer encoder decides which kind of bracket is closed more often.
"""

import numpy as np
import tensorflow as tf
import keras
from keras import layers

"""
## Setup
"""

keras.utils.set_random_seed(812)
VOCAB_SIZE = 7        # padding, class token, ( ) [ ] and a letter
MAXLEN = 16
TOKENS = {"(": 2, ")": 3, "[": 4, "]": 5, "x": 6}

"""
## The layers
"""


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim // num_heads)
        self.ffn = keras.Sequential(
            [layers.Dense(ff_dim, activation="gelu"), layers.Dense(embed_dim)]
        )
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs, keep, training=None):
        attn_output = self.att(inputs, inputs, attention_mask=keep, training=training)
        attn_output = self.dropout1(attn_output, training=training)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.ffn(out1)
        ffn_output = self.dropout2(ffn_output, training=training)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = tf.shape(x)[-1]
        positions = tf.range(start=0, limit=maxlen, delta=1)
        positions = self.pos_emb(positions)
        return self.token_emb(x) + positions


class BracketModel(keras.Model):
    def __init__(self, n_blocks=2, embed_dim=24, num_heads=3):
        super().__init__()
        self.embed = TokenAndPositionEmbedding(MAXLEN + 1, VOCAB_SIZE, embed_dim)
        self.blocks = [TransformerBlock(embed_dim, num_heads, 2 * embed_dim, rate=0.0) for _ in range(n_blocks)]
        self.head = layers.Dense(1)

    def call(self, ids, training=None):
        keep = tf.not_equal(ids, 0)[:, tf.newaxis, :]          # (batch, 1, time)
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, keep, training=training)
        real = tf.cast(tf.not_equal(ids, 0), x.dtype)[:, :, tf.newaxis]
        mean = tf.reduce_sum(x * real, axis=1) / tf.reduce_sum(real, axis=1)
        return self.head(tf.concat([x[:, 0], mean], axis=-1))  # the class token and the mean


"""
## Data: random strings; the label says whether more round than square brackets were closed
"""


def make(n, seed):
    rng = np.random.default_rng(seed)
    ids = np.zeros((n, MAXLEN + 1), dtype="int32")
    labels = np.zeros((n, 1), dtype="float32")
    for row in range(n):
        s = rng.choice(list("()[]x"), size=int(rng.integers(5, MAXLEN + 1)))
        ids[row, 0] = 1
        ids[row, 1 : len(s) + 1] = [TOKENS[str(ch)] for ch in s]
        labels[row] = np.sum(s == ")") > np.sum(s == "]")
    return ids, labels


"""
## Train and evaluate
"""

x_train, y_train = make(1600, 0)
x_val, y_val = make(300, 1)

model = BracketModel()
model.compile(
    optimizer=keras.optimizers.AdamW(learning_rate=3e-3, weight_decay=1e-4),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
)
history = model.fit(
    x_train, y_train, batch_size=64, epochs=5, validation_data=(x_val, y_val), verbose=2
)

logits = model.predict(x_val, batch_size=100, verbose=0)
print("accuracy %.3f" % np.mean((logits > 0) == (y_val > 0.5)))
print("loss went from %.4f to %.4f" % (history.history["loss"][0], history.history["loss"][-1]))
print(len(model.trainable_weights), "tensors,", sum(int(np.prod(w.shape)) for w in model.trainable_weights), "numbers")
