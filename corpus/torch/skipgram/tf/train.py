"""word2vec (skip-gram, negative sampling) on a generated corpus with two topics."""

import sys
from collections import Counter

import numpy as np
import math
import keras
import tensorflow as tf
from keras import layers


def vector_norm(x, p=2, axis=None, keepdims=False):
    """torch.norm: no gradient, rather than NaN, where it is 0."""
    if p == math.inf:
        return tf.reduce_max(tf.abs(x), axis, keepdims)
    if p == 1:
        return tf.reduce_sum(tf.abs(x), axis, keepdims)
    power = tf.reduce_sum(x * x if p == 2 else tf.abs(x) ** p, axis, keepdims)
    safe = tf.where(power > 0, power, tf.ones_like(power))
    root = tf.sqrt(safe) if p == 2 else safe ** (1 / p)
    return tf.where(power > 0, root, tf.zeros_like(power))


def cosine_similarity(x, y, axis=1, eps=1e-8):
    """torch's cosine_similarity: each norm is at least eps."""
    x_norm = tf.maximum(vector_norm(x, 2, axis), eps)
    y_norm = tf.maximum(vector_norm(y, 2, axis), eps)
    return tf.reduce_sum(x * y, axis) / (x_norm * y_norm)


def split_by_size(x, size, axis=0):
    """torch.split: parts of the given size, the last one smaller if need be."""
    whole, rest = divmod(x.shape[axis], size)
    return tf.split(x, [size] * whole + [rest] * (rest > 0), axis)


def multinomial(weights, num_samples, replacement=False):
    """torch.multinomial: indices drawn with the given weights, by default each one once."""
    logits = tf.math.log(weights[None] if weights.shape.rank == 1 else weights)
    if replacement:
        index = tf.random.categorical(logits, num_samples)
    else:  # the largest of logits + Gumbel noise are a sample without replacement
        noise = -tf.math.log(
            -tf.math.log(tf.random.uniform(tf.shape(logits), dtype=logits.dtype))
        )
        index = tf.cast(tf.math.top_k(logits + noise, num_samples).indices, tf.int64)
    return index[0] if weights.shape.rank == 1 else index


WINDOW, NEG, DIM = 2, 5, 16
BATCH, EPOCHS = 256, 3


def corpus(n_sentences=500, seed=4):
    rng = np.random.RandomState(seed)
    topics = {
        "kitchen": "pan oven salt soup knife bread butter spoon".split(),
        "harbour": "ship anchor sail tide rope captain wave dock".split(),
    }
    glue = "the a of with near and".split()
    for _ in range(n_sentences):
        words = topics["kitchen" if rng.rand() < 0.5 else "harbour"]
        yield [
            rng.choice(glue) if rng.rand() < 0.3 else rng.choice(words)
            for _ in range(rng.randint(5, 10))
        ]


class SkipGram(keras.Model):
    def __init__(self, n_words, dim):
        super(SkipGram, self).__init__()
        self.center = layers.Embedding(n_words, dim)
        self.context = layers.Embedding(n_words, dim)
        self.center.embeddings_initializer = keras.initializers.RandomUniform(
            -0.5 / dim, 0.5 / dim
        )
        self.context.embeddings_initializer = keras.initializers.Zeros()

    def call(self, center, positive, negative):
        v = self.center(center)  # B, D
        u = self.context(positive)  # B, D
        n = self.context(negative)  # B, K, D
        pos_score = tf.math.log_sigmoid(tf.reduce_sum(v * u, axis=1))
        neg_score = tf.reduce_sum(
            tf.math.log_sigmoid(
                -tf.squeeze(tf.matmul(n, tf.expand_dims(v, 2)), axis=2)
            ),
            axis=1,
        )
        return -tf.reduce_mean(pos_score + neg_score)

    def most_similar(self, ix, k):
        w = tf.stop_gradient(self.center.embeddings)
        sims = cosine_similarity(tf.expand_dims(w[ix], 0), w, axis=1)
        return (
            tf.cast(tf.math.top_k(sims, k + 1).indices, tf.int64)[1:].numpy().tolist()
        )


@tf.function
def train_step(model, optimizer, c, o, neg):
    with tf.GradientTape() as tape:
        loss = model(c, o, neg)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


def main():
    tf.random.set_seed(4)
    sents = list(corpus())
    counts = Counter(w for s in sents for w in s)
    vocab = [w for w, _ in counts.most_common()]
    index = {w: i for i, w in enumerate(vocab)}

    pairs = []
    for s in sents:
        ids = [index[w] for w in s]
        for i, c in enumerate(ids):
            for j in range(max(0, i - WINDOW), min(len(ids), i + WINDOW + 1)):
                if i != j:
                    pairs.append((c, ids[j]))
    pairs = tf.constant(pairs, dtype=tf.int64)
    print(len(vocab), "words,", pairs.shape[0], "pairs")

    freq = tf.constant([counts[w] for w in vocab], dtype=tf.float32)
    noise = freq**0.75
    noise /= tf.reduce_sum(noise)

    model = SkipGram(len(vocab), DIM)
    optimizer = keras.optimizers.Adam(learning_rate=0.01, epsilon=1e-7)
    step = 0
    for epoch in range(EPOCHS):
        perm = tf.random.shuffle(tf.range(pairs.shape[0], dtype=tf.int64))
        for batch in split_by_size(perm, BATCH):
            c, o = tf.unstack(tf.gather(pairs, batch), axis=1)
            neg = tf.reshape(
                multinomial(noise, batch.shape[0] * NEG, replacement=True), [-1, NEG]
            )
            loss = train_step(model, optimizer, c, o, neg)
            step += 1
            if step % 10 == 0:
                sys.stdout.write("epoch %d step %d loss %.4f\n" % (epoch, step, loss))

    for word in ("soup", "anchor", "captain", "bread"):
        print(
            word, "->", ", ".join(vocab[i] for i in model.most_similar(index[word], 4))
        )
    model(
        tf.zeros((1,), tf.int64), tf.zeros((1,), tf.int64), tf.zeros((1, 5), tf.int64)
    )
    np.savetxt(
        "vectors.tsv", model.center.embeddings.numpy(), delimiter="\t", fmt="%.5f"
    )


if __name__ == "__main__":
    main()
