"""`functools.partial` around torch's classes and functions."""

from __future__ import annotations

from keras_training import assert_twins
from proving_sides import double_precision
from training import assert_same
from translating import reasons, to_tf, translate

SOURCE = """
import functools
from functools import partial

conv = partial(nn.Conv2d, kernel_size=3, padding=1)


class Block(nn.Module):
    def __init__(self, dim, hidden, act=nn.ReLU, norm=nn.LayerNorm):
        super().__init__()
        self.norm = norm(dim)
        self.net = nn.Sequential(nn.Linear(dim, hidden), act(), nn.Linear(hidden, dim))

    def forward(self, x):
        return x + self.net(self.norm(x))


class Net(nn.Module):
    def __init__(self, block, norm_layer=None):
        super().__init__()
        norm_layer = norm_layer or functools.partial(nn.LayerNorm, eps=0.5)
        self.conv = conv(1, 4)
        self.block = block(4)
        self.norm = norm_layer(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.norm(self.block(self.conv(x).mean((2, 3)))))


model = Net(partial(Block, hidden=8, act=partial(nn.LeakyReLU, 0.3)))
optimizers = {"sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9)}
criterion = partial(F.cross_entropy, label_smoothing=0.1)


def images():
    return torch.stack([features] * 5, 1)[:, None]


def prepare():
    model(images())


def train():
    optimizer = optimizers["sgd"](model.parameters())
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = criterion(model(images()), classes)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""


def test_what_is_bound_stays_so() -> None:
    with double_precision():
        assert_same(SOURCE)
    code = translate(SOURCE).code
    assert "partial(keras.optimizers.SGD, learning_rate=0.1, momentum=0.9)" in code
    assert 'optimizers["sgd"]()' in code
    assert "act=layers.LeakyReLU)" in code  # whose slope is 0.3
    assert "label_smoothing=0.1)" in code


def test_calls_say_which_parameters_there_are() -> None:
    code = to_tf("""
from functools import partial
norm = partial(nn.LayerNorm, eps=1e-6)
a, b = norm(8), norm(8, eps=0.1)
""")
    assert (
        "norm = lambda normalized_shape, eps=1e-6: layers.LayerNormalization(epsilon=eps)" in code
    )


def test_what_can_not_be_bound_is_said() -> None:
    [reason] = reasons("from functools import partial\nmake = partial(nn.Linear, *sizes)\n")
    assert "unpacked" in reason


def test_partials_of_keras_layers_are_the_layers() -> None:
    """Each call is written with what the partial has given, or the call itself."""
    conversion = assert_twins(
        """
from functools import partial
Conv = partial(layers.Conv2D, kernel_size=3, padding="same", activation="relu")
Wide = partial(layers.Dense, 6, kernel_regularizer=keras.regularizers.l2(0.01))
model = keras.Sequential([layers.Input((8, 8, 1)), Conv(filters=4), Conv(2, kernel_size=1),
                          layers.Flatten(), Wide(), Wide(activation="tanh"), layers.Dense(1)])
x, y = rng.normal(size=(22, 8, 8, 1)), rng.normal(size=(22, 1))
model.compile("sgd", "mse")
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
losses = h.history["loss"]
p = model.predict(x, verbose=0)
""",
        "losses", "p",
    )  # fmt: skip
    assert "partial" not in conversion.code
