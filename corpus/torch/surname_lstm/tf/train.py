import keras
import numpy as np
import tensorflow as tf
from keras import layers
import random
import string


class PaddedEmbedding(layers.Embedding):
    """torch's Embedding with padding_idx: that row starts as zeros and gets no gradient."""

    def __init__(self, input_dim, output_dim, padding_idx, **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.padding_idx = padding_idx % input_dim

    def build(self, input_shape=None):
        super().build(input_shape)
        rows = tf.range(self.input_dim)[:, None] != self.padding_idx
        table = tf.convert_to_tensor(self.embeddings)
        self.embeddings.assign(tf.where(rows, table, tf.zeros_like(table)))

    def call(self, ids):
        rows = super().call(ids)
        return tf.where(
            (ids != self.padding_idx)[..., None], rows, tf.stop_gradient(rows)
        )


class RecurrentStack(layers.Layer):
    """Called as torch's layers: outputs and states of shape (layers * directions, batch, units)."""

    def __init__(
        self,
        units,
        num_layers=1,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        **options,
    ):
        super().__init__()
        self.supports_masking = True
        self.batch_first = batch_first
        self.directions = 2 if bidirectional else 1
        self.dropout = layers.Dropout(dropout)  # between the layers only
        options |= {"return_sequences": True, "return_state": True}
        self.rnns = [  # layer 0 forward, layer 0 backward, layer 1 forward, ...
            self.make(units, go_backwards=backward, **options)
            for _ in range(num_layers)
            for backward in [False, True][: self.directions]
        ]

    def build(self, input_shape):
        width = input_shape[-1]
        for place, rnn in enumerate(self.rnns):
            if place >= self.directions:
                width = self.directions * rnn.cell.units
            rnn.build((None, None, width))

    def call(self, x, state=None, mask=None):
        x = x if self.batch_first else tf.transpose(x, [1, 0, 2])
        finals = []
        while len(finals) < len(self.rnns):
            if finals:
                x = self.dropout(x)
            outputs = []
            for rnn in self.rnns[len(finals) :][: self.directions]:
                start = None
                if state is not None:
                    start = [s[len(finals)] for s in tf.nest.flatten(state)]
                y, *final = rnn(x, initial_state=start, mask=mask)
                outputs.append(tf.reverse(y, [1]) if rnn.go_backwards else y)
                finals.append(final)
            x = tf.concat(outputs, -1)
            if mask is not None:
                x = tf.where(mask[..., None], x, tf.zeros_like(x))
        states = [tf.stack(s) for s in zip(*finals)]
        x = x if self.batch_first else tf.transpose(x, [1, 0, 2])
        return x, tuple(states) if len(states) > 1 else states[0]


class StackedLSTM(RecurrentStack):
    """torch.nn.LSTM's interface over keras.layers.LSTM (one bias per layer, not two)."""

    def make(self, units, **options):
        return layers.LSTM(units, **options)


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


class TorchRMSprop(TorchOptimizer):
    """torch.optim.RMSprop: eps outside the root, learning rate outside the momentum."""

    def __init__(
        self,
        learning_rate=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
        **kwargs,
    ):
        slots = {"square_avg": 0.0, "grad_avg": 0.0, "momentum_buffer": 0.0}
        super().__init__(learning_rate, slots, weight_decay, **kwargs)
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered

    def update(self, p, g, lr, t, v, mean, buffer):
        v.assign(self.alpha * v + (1 - self.alpha) * g * g)
        square = v
        if self.centered:
            mean.assign_add((g - mean) * (1 - self.alpha))
            square = v - mean * mean
        g = g / (tf.sqrt(square) + self.eps)
        if self.momentum:
            g = buffer.assign(self.momentum * buffer + g)
        p.assign_sub(tf.cast(lr, g.dtype) * g)


def topk_along(x, k, dim=-1, largest=True):
    """torch.topk along any axis: values and indices, the best first."""
    moved = keras.ops.moveaxis(x, dim, -1)
    values, index = tf.math.top_k(moved if largest else -moved, k)
    values = keras.ops.moveaxis(values if largest else -values, -1, dim)
    return values, tf.cast(keras.ops.moveaxis(index, -1, dim), tf.int64)


"""
Which (made up) language does this name come from?
Character level LSTM.
"""

SYLLABLES = {
    "Varnish": ["var", "nor", "sk", "ol", "ek", "ov", "in", "mir"],
    "Ellian": ["el", "la", "ri", "ae", "th", "iel", "no", "wen"],
    "Okuro": ["ka", "to", "mi", "yu", "ko", "shi", "ra", "no"],
    "Brund": ["gr", "und", "ho", "lf", "ber", "st", "ein", "man"],
}
all_categories = sorted(SYLLABLES)
n_categories = len(all_categories)
all_letters = string.ascii_lowercase
PAD = 0
vocab = {c: i + 1 for i, c in enumerate(all_letters)}


class CharLSTM(keras.Model):

    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers, num_classes):
        super(CharLSTM, self).__init__()
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.embedding = PaddedEmbedding(vocab_size, embed_dim, padding_idx=PAD)
        self.lstm = StackedLSTM(
            hidden_dim, num_layers=num_layers, batch_first=True, dropout=0.2
        )
        self.fc = layers.Dense(num_classes)

    def init_hidden(self, batch_size, device):
        h0 = tf.zeros([self.num_layers, batch_size, self.hidden_dim])
        c0 = tf.zeros([self.num_layers, batch_size, self.hidden_dim])
        return h0, c0

    def call(self, x):
        # x: (batch, seq_len)
        hidden = self.init_hidden(x.shape[0], x.device)
        emb = self.embedding(x)
        out, hidden = self.lstm(emb, hidden)
        out = out[:, -1, :]
        return self.fc(out)


def make_name(category):
    return "".join(
        random.choice(SYLLABLES[category]) for _ in range(random.randint(2, 4))
    )


def name_to_tensor(name, max_len):
    ids = [vocab[ch] for ch in name][:max_len]
    ids = [PAD] * (
        max_len - len(ids)
    ) + ids  # pad on the left, so that the last step is a letter
    return tf.constant(ids, dtype=tf.int64)


def make_dataset(n, max_len=12):
    xs, ys = [], []
    for i in range(n):
        label = i % n_categories
        xs.append(name_to_tensor(make_name(all_categories[label]), max_len))
        ys.append(label)
    return tf.stack(xs), tf.constant(ys, dtype=tf.int64)


def accuracy(model, x, y):
    scores = model(x, training=False)
    correct = tf.reduce_sum(tf.cast(tf.argmax(scores, axis=1) == y, tf.float32))
    return float(correct) / y.shape[0]


def iterate(x, y, batch_size):
    order = list(range(x.shape[0]))
    random.shuffle(order)
    for start in range(0, len(order), batch_size):
        sel = order[start : start + batch_size]
        yield tf.gather(x, sel), tf.gather(y, sel)


@tf.function
def train_step(model, criterion, optimizer, batch_x, batch_y):
    with tf.GradientTape() as tape:
        scores = model(batch_x, training=True)
        loss = criterion(batch_y, scores)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


def main():
    random.seed(1234)
    keras.utils.set_random_seed(1234)
    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"

    x_train, y_train = make_dataset(600)
    x_test, y_test = make_dataset(120)

    model = CharLSTM(
        vocab_size=len(all_letters) + 1,
        embed_dim=16,
        hidden_dim=48,
        num_layers=2,
        num_classes=n_categories,
    )
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = TorchRMSprop(learning_rate=0.002, alpha=0.95)

    print_every = 10
    total_loss = 0
    n_iter = 0
    for epoch in range(1, 5):
        for batch_x, batch_y in iterate(x_train, y_train, 32):
            loss = train_step(model, criterion, optimizer, batch_x, batch_y)

            total_loss += float(loss)
            n_iter += 1
            if n_iter % print_every == 0:
                print("%d %d%% %.4f" % (n_iter, epoch * 25, total_loss / print_every))
                total_loss = 0
        print("Epoch %d, test accuracy %.3f" % (epoch, accuracy(model, x_test, y_test)))

    def predict(name):
        logits = model(tf.expand_dims(name_to_tensor(name, 12), 0), training=False)
        topv, topi = topk_along(tf.nn.softmax(logits, axis=1), 2)
        print("\n> " + name)
        for k in range(2):
            print("(%.2f) %s" % (float(topv[0][k]), all_categories[int(topi[0][k])]))

    predict("norskov")
    predict("elariel")
    predict("yukimiko")


if __name__ == "__main__":
    main()
