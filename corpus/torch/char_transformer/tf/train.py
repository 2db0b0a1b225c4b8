"""
Character-level language model on generated rhymes: a small pre-norm transformer decoder
with the attention spelled out.
"""

import math

import keras
import tensorflow as tf
from keras import layers


def set_initializer(layer, role, initializer):
    """Let a layer's parameters start with an initializer, whether it is built or not.

    role is "weight" or "bias" as torch names them, "matrix" or "vector" by their axes.
    """
    if isinstance(layer, keras.Sequential):  # a convolution and its padding
        for inner in layer.layers:
            set_initializer(inner, role, initializer)
        return
    if role == "weight":
        layer = getattr(
            layer, "embedding", layer
        )  # a dense layer that shares its table
    for inner in getattr(layer, "rnns", []):
        set_initializer(inner, role, initializer)
    layer = getattr(layer, "cell", layer)
    names = {
        "weight": ["kernel", "recurrent", "depthwise", "embeddings", "gamma", "alpha"],
        "bias": ["bias", "beta"],
        "matrix": ["kernel", "recurrent", "depthwise", "embeddings"],
        "vector": ["bias", "beta", "gamma", "alpha"],
    }[role]
    if role in ("bias", "vector") and hasattr(layer, "unit_forget_bias"):
        layer.unit_forget_bias = False
    for name in names:
        if hasattr(layer, f"{name}_initializer"):
            setattr(layer, f"{name}_initializer", initializer)
            variable = getattr(layer, name, None) if layer.built else None
            if isinstance(variable, keras.Variable):
                variable.assign(initializer(variable.shape, variable.dtype))


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


keras.utils.set_random_seed(1337)
device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"

# model
d_model = 48
n_heads = 4
n_layers = 2
context = 32
# training
batch_size = 16
steps = 80
warmup = 10
max_lr = 3e-3
min_lr = 3e-4


def write_rhymes(n):
    who = ["the cat", "a fox", "my dog", "one owl", "the old crow"]
    did = ["sat on", "ran to", "hid in", "saw", "sang of"]
    what = ["the mat", "a hat", "the moon", "a tall tree", "the sea"]
    rows = []
    for _ in range(n):
        i, j, k = tf.random.uniform([3], 0, 5, dtype=tf.int64).numpy().tolist()
        rows.append(f"{who[i]} {did[j]} {what[k]}.")
    return "\n".join(rows)


class Tokenizer:
    def __init__(self, text):
        self.itos = sorted(set(text))
        self.stoi = {c: i for i, c in enumerate(self.itos)}

    def __len__(self):
        return len(self.itos)

    def encode(self, s):
        return tf.constant([self.stoi[c] for c in s], dtype=tf.int64)

    def decode(self, ids):
        return "".join(self.itos[int(i)] for i in ids)


class Attention(layers.Layer):
    def __init__(self, d_model, n_heads, context):
        super().__init__()
        self.h = n_heads
        self.d_k = d_model // n_heads
        self.to_q = layers.Dense(d_model, use_bias=False)
        self.to_kv = layers.Dense(2 * d_model, use_bias=False)
        self.out = layers.Dense(d_model)
        # True above the diagonal: what a position must not see
        future = tf.cast(
            tf.cast(tf.ones([context, context], dtype=tf.bool), tf.uint8)
            - tf.linalg.band_part(
                tf.cast(tf.ones([context, context], dtype=tf.bool), tf.uint8), -1, 0
            ),
            tf.bool,
        )
        self.future = future

    def heads(self, t):
        b, n, _ = t.shape
        return tf.transpose(tf.reshape(t, [-1, n, self.h, self.d_k]), [0, 2, 1, 3])

    def call(self, x):
        b, n, d = x.shape
        k, v = tf.split(self.to_kv(x), 2, axis=-1)
        q, k, v = self.heads(self.to_q(x)), self.heads(k), self.heads(v)
        scores = tf.matmul(q, k, transpose_b=True) / math.sqrt(self.d_k)
        scores = tf.where(self.future[:n, :n], float("-inf"), scores)
        weights = tf.nn.softmax(scores)
        merged = tf.reshape(
            tf.transpose(tf.matmul(weights, v), [0, 2, 1, 3]), [-1, n, d]
        )
        return self.out(merged)


class DecoderLayer(layers.Layer):
    def __init__(self, d_model, n_heads, context):
        super().__init__()
        self.norm1 = layers.LayerNormalization(epsilon=1e-5)
        self.norm2 = layers.LayerNormalization(epsilon=1e-6)
        self.attention = Attention(d_model, n_heads, context)
        self.feed_forward = keras.Sequential(
            [
                layers.Dense(4 * d_model),
                layers.Activation(lambda x: tf.nn.gelu(x, approximate=True)),
                layers.Dense(d_model),
            ]
        )

    def call(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class RhymeModel(keras.Model):
    def __init__(self, vocab):
        super().__init__()
        self.token = layers.Embedding(vocab, d_model)
        self.position = layers.Embedding(context, d_model)
        self.start = keras.Variable(tf.zeros([d_model]))
        self.layers_ = [
            DecoderLayer(d_model, n_heads, context) for _ in range(n_layers)
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5)
        self.to_logits = layers.Dense(vocab, use_bias=False)
        for layer in (self.token, self.position, self.to_logits):
            set_initializer(layer, "weight", keras.initializers.RandomNormal(0.0, 0.04))

    def call(self, ids):
        n = ids.shape[1]
        x = self.token(ids) + self.position(tf.range(n, dtype=tf.int64)) + self.start
        for layer in self.layers_:
            x = layer(x)
        return self.to_logits(self.norm(x))


def loss_on(model, ids):
    """ids: (batch, context + 1); every character predicts the next one."""
    logits = model(ids[:, :-1])
    return tf.reduce_mean(
        keras.losses.sparse_categorical_crossentropy(
            tf.reshape(ids[:, 1:], [-1]),
            tf.reshape(logits, [-1, logits.shape[-1]]),
            from_logits=True,
        )
    )


def windows(corpus, count):
    starts = tf.random.uniform(
        [count], 0, corpus.shape[0] - context - 1, dtype=tf.int64
    )
    return tf.stack([corpus[s : s + context + 1] for s in starts.numpy().tolist()])


def lr_at(step):
    if step < warmup:
        return max_lr * (step + 1) / warmup
    t = (step - warmup) / (steps - warmup)
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * t))


def sample(model, tok, prompt, length, k=5):
    ids = tf.expand_dims(tok.encode(prompt), 0)
    while ids.shape[1] < length:
        logits = model(ids[:, -context:])[:, -1]
        top = tf.math.top_k(logits, k).values
        logits = tf.where(logits < top[:, -1:], -float("inf"), logits)
        nxt = multinomial(tf.nn.softmax(logits), 1)
        ids = tf.concat([ids, nxt], axis=1)
    return tok.decode(ids[0])


text = write_rhymes(400)
tok = Tokenizer(text)
corpus = tok.encode(text)
cut = int(0.9 * len(corpus))
train_ids, valid_ids = corpus[:cut], corpus[cut:]

model = RhymeModel(len(tok))
optimizer = keras.optimizers.AdamW(
    learning_rate=max_lr, weight_decay=0.1, beta_1=0.9, beta_2=0.95, epsilon=1e-08
)

for step in range(steps):
    optimizer.learning_rate = lr_at(step)
    with tf.GradientTape() as tape:
        loss = loss_on(model, windows(train_ids, batch_size))
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    gradients, norm = tf.clip_by_global_norm(gradients, 1.0)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    if step % 10 == 0 or step == steps - 1:
        valid = loss_on(model, windows(valid_ids, 64))
        print(
            f"step {step:3d} | loss {float(loss):.4f} | valid {float(valid):.4f} "
            f"| grad norm {norm.numpy().item():.3f} | lr {float(optimizer.learning_rate):.5f}"
        )

print(sample(model, tok, "the", 80))
print(
    f"{sum(math.prod(p.shape) for p in model.trainable_variables)} parameters, {len(tok)} characters"
)
