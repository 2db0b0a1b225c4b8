"""Own attention beside MultiHeadAttention, tied weights, a buffer, norms and accumulation."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(0)
VOCABULARY, LENGTH, WIDTH = 11, 6, 8
text = tf.random.uniform((64, LENGTH + 1), 0, VOCABULARY, dtype=tf.int64)


class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm1 = layers.LayerNormalization(epsilon=1e-5)
        self.attention = layers.MultiHeadAttention(2, WIDTH // 2, dropout=0.1)
        self.norm2 = layers.LayerNormalization(epsilon=1e-5)
        self.mlp = keras.Sequential(
            [layers.Dense(16, "gelu"), layers.Dropout(0.1), layers.Dense(WIDTH)]
        )

    def call(self, x, mask, training=None):
        y = self.norm1(x)
        y = self.attention(y, y, attention_mask=~mask, training=training)
        x = x + y
        return x + self.mlp(self.norm2(x), training=training)


class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.tokens = layers.Embedding(VOCABULARY, WIDTH)
        self.places = tf.Variable(tf.random.normal((LENGTH, WIDTH)) * 0.1)
        self.mask = tf.constant(np.triu(np.ones((LENGTH, LENGTH), bool), 1))
        self.blocks = [Block() for _ in range(2)]
        self.head_bias = self.add_weight(shape=(VOCABULARY,), initializer="zeros")

    def call(self, ids, training=None):
        x = self.tokens(ids) * math.sqrt(WIDTH) + self.places
        for block in self.blocks:
            x = block(x, self.mask, training=training)
        return tf.matmul(x, self.tokens.embeddings, transpose_b=True) + self.head_bias


model = Model()
optimizer = keras.optimizers.SGD(learning_rate=0.1)
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def gradients_of(batch):
    with tf.GradientTape() as tape:
        loss = criterion(batch[:, 1:], model(batch[:, :-1], training=True))
        scaled = loss / 2
    variables = [*model.trainable_variables, model.places]
    return loss, [tf.convert_to_tensor(g) for g in tape.gradient(scaled, variables)]


for step in range(12):
    total = None
    for _ in range(2):
        batch = tf.gather(text, tf.random.shuffle(tf.range(64))[:8])
        loss, found = gradients_of(batch)
        total = found if total is None else [a + b for a, b in zip(total, found)]
    optimizer.apply_gradients(zip(total, [*model.trainable_variables, model.places]))
    if step % 4 == 0:
        print(f"{step}: {float(loss):.4f}")
