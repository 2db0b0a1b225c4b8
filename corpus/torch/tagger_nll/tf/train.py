import functools
import keras
import tensorflow as tf
from keras import layers
import numpy as np


def assign_at(x, index, value):
    """x with value written at x[index]; index holds integers and slices."""
    places = tf.reshape(tf.range(tf.size(x)), tf.shape(x))[index]
    value = tf.cast(value, x.dtype)
    value = tf.reshape(value, tf.shape(value)[max(value.ndim - places.ndim, 0) :])
    value = tf.broadcast_to(value, tf.shape(places))
    flat = tf.tensor_scatter_nd_update(
        tf.reshape(x, [-1]), tf.reshape(places, [-1, 1]), tf.reshape(value, [-1])
    )
    return tf.reshape(flat, tf.shape(x))


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean", axis=-1):
    """torch's nll_loss: the mean divides by the weights of the targets that count."""
    log_p = keras.ops.moveaxis(input, axis, -1)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    weights = (
        tf.ones_like(log_p[..., 0]) if weight is None else tf.gather(weight, index)
    )
    weights = tf.where(counts, weights, tf.zeros_like(weights))
    loss = -weights * tf.gather(log_p, index, axis=-1, batch_dims=len(index.shape))
    if reduction == "mean":
        return tf.reduce_sum(loss) / tf.reduce_sum(weights)
    return reduce_loss(loss, reduction)


class TorchOptimizer(keras.optimizers.Optimizer):
    """Steps counted per variable, dense gradients and weight decay as in torch.optim."""

    def __init__(
        self, learning_rate, slots, weight_decay=0.0, decoupled=False, **kwargs
    ):
        super().__init__(learning_rate, **kwargs)
        self.slots = slots  # state tensors of each variable: name -> initial value
        self.decay = weight_decay
        self.decoupled = decoupled

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.steps = [
            self.add_variable((), dtype="float64", name="step") for _ in variables
        ]
        self.states = [
            [
                self.add_variable_from_reference(
                    v, name, keras.initializers.Constant(np.float64(value))
                )
                for name, value in self.slots.items()
            ]
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = tf.convert_to_tensor(gradient)  # adds up repeated embedding rows
        lr = tf.cast(learning_rate, tf.float64)
        if self.decay and self.decoupled:
            variable.assign(variable * tf.cast(1 - lr * self.decay, variable.dtype))
        elif self.decay:
            gradient = gradient + self.decay * variable
        t = self.steps[index].value.assign_add(1)
        self.update(variable, gradient, lr, t, *[s.value for s in self.states[index]])


class TorchAdagrad(TorchOptimizer):
    """torch.optim.Adagrad: accumulator from 0, eps outside the root, lr_decay."""

    def __init__(
        self,
        learning_rate=1e-2,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        **kwargs,
    ):
        slots = {"sum": initial_accumulator_value}
        super().__init__(learning_rate, slots, weight_decay, **kwargs)
        self.lr_decay = lr_decay
        self.eps = eps

    def update(self, p, g, lr, t, total):
        total.assign_add(g * g)
        step_size = tf.cast(lr / (1 + (t - 1) * self.lr_decay), g.dtype)
        p.assign_sub(step_size * g / (tf.sqrt(total) + self.eps))


# Tag the words of generated sentences. Padding has the tag -1 and does not count; the frequent
# tag O weighs less than the others.

tf.random.set_seed(1)
np.random.seed(1)

EMB, HID = 12, 10
PAD_TAG = -1
TAGS = ["O", "PER", "LOC", "NUM"]

lexicon = {
    "PER": ["anna", "bo", "chen", "dara", "rose", "paris"],
    "LOC": ["oslo", "lima", "kyoto", "paris", "rose"],
    "NUM": ["two", "ten", "forty"],
}
# "rose" and "paris" may be people or places (or a verb): only their neighbours tell
templates = [
    "yesterday PER went to LOC",
    "PER bought NUM apples in LOC",
    "in LOC there are NUM bridges",
    "mrs PER lives in LOC",
    "the sun rose over LOC",
    "mrs PER met PER near LOC",
    "the train to LOC leaves at NUM",
    "NUM friends of PER saw NUM ships",
]


def make_sentence(noise=0.04):
    words, tags = [], []
    for token in templates[np.random.randint(len(templates))].split():
        tag = token if token in lexicon else "O"
        words.append(str(np.random.choice(lexicon[token])) if tag != "O" else token)
        if np.random.rand() < noise:  # careless annotators
            tag = TAGS[np.random.randint(len(TAGS))]
        tags.append(TAGS.index(tag))
    return words, tags


sentences = [make_sentence() for _ in range(440)]
word2id = {"<pad>": 0}
for words, _ in sentences:
    for w in words:
        word2id.setdefault(w, len(word2id))


def to_batch(sents):
    longest = max(len(words) for words, _ in sents)
    x = tf.cast(tf.zeros([len(sents), longest]), tf.int64)
    y = tf.fill(
        tf.shape(tf.zeros([len(sents), longest], dtype=tf.int64)),
        tf.cast(PAD_TAG, tf.zeros([len(sents), longest], dtype=tf.int64).dtype),
    )
    for i, (words, tags) in enumerate(sents):
        x = assign_at(
            x,
            np.s_[i, : len(words)],
            tf.constant([word2id[w] for w in words], dtype=tf.int64),
        )
        y = assign_at(y, np.s_[i, : len(tags)], tf.constant(tags, dtype=tf.int64))
    return x, y


class Tagger(keras.Model):

    def __init__(self, n_words, emb, hid, n_tags):
        super(Tagger, self).__init__()
        self.embed = layers.Embedding(n_words, emb)
        self.rnn = layers.Bidirectional(layers.LSTM(hid, return_sequences=True))
        self.out = layers.Dense(n_tags)

    def call(self, x):
        h = self.rnn(self.embed(x))
        return tf.nn.log_softmax(self.out(h), axis=2)


model = Tagger(len(word2id), EMB, HID, len(TAGS))
class_weight = tf.constant([0.4, 1.0, 1.0, 1.5])
criterion = functools.partial(nll_loss, weight=class_weight, ignore_index=PAD_TAG)
optimizer = TorchAdagrad(learning_rate=0.05)

train, held_out = sentences[:400], sentences[400:]


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        log_probs = model(x)
        # (N, T, C) -> (N, C, T), where NLLLoss wants the classes
        loss = criterion(log_probs, y)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for epoch in range(5):
    np.random.shuffle(train)
    total = 0
    for b in range(0, len(train), 25):
        x, y = to_batch(train[b : b + 25])
        loss = train_step(x, y)
        total += float(loss)
    print("epoch", epoch, "loss", total / (len(train) // 25))

x, y = to_batch(held_out)
log_probs = model(x)
mask = y != PAD_TAG
right = tf.cast(
    tf.boolean_mask(tf.argmax(log_probs, axis=-1), mask) == tf.boolean_mask(y, mask),
    tf.float32,
)
print(
    "tag accuracy: %.4f over %d words"
    % (float(tf.reduce_mean(right)), int(tf.reduce_sum(tf.cast(mask, tf.int64))))
)
nll = nll_loss(
    tf.reshape(log_probs, [-1, 4]),
    tf.reshape(y, [-1]),
    ignore_index=PAD_TAG,
    reduction="none",
)
for ix, tag in enumerate(TAGS):
    print(
        "  %-4s mean nll %.4f"
        % (tag, tf.reduce_mean(tf.boolean_mask(nll, tf.reshape(y, [-1]) == ix)))
    )
words = held_out[0][0]
print(
    [
        (w, TAGS[t])
        for w, t in zip(words, tf.argmax(log_probs[0], axis=1).numpy().tolist())
    ]
)
