"""Programs that were translated before: their emitted units go back to what they stand for."""

import pytest

from transpiler.config import Config
from transpiler.convert import convert

EXACT = Config(fidelity="exact")
TORCH = """import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

x, y = torch.randn(8, 3), torch.randn(8, 1)
data = TensorDataset(x, y)
model = nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.01)
print(data[0], torch.var(x, dim=1))
for inputs, targets in DataLoader(data, batch_size=4, shuffle=True):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
"""
KERAS = """import keras
import numpy as np
import tensorflow as tf

x, y = np.ones((8, 3), "float32"), np.ones((8,), "int64")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(learning_rate=0.1, beta_1=0.8)
metric = keras.metrics.SparseCategoricalAccuracy()
with tf.GradientTape() as tape:
    value = loss(y, model(x))
gradients = tape.gradient(value, model.trainable_variables)
optimizer.apply_gradients(zip(gradients, model.trainable_variables))
metric.update_state(y, model(x))
"""


def back(text: str, to: str) -> str:
    """A translation, translated back; nothing may be left to do."""
    there = convert(text, to, config=EXACT)  # type: ignore[arg-type]
    again = convert(there.code, "torch" if to == "tf" else "tf", config=EXACT)
    assert "TODO(transpile)" not in again.code
    return again.code


def test_units_of_tensorflow_go_back_to_torch() -> None:
    text = back(TORCH, "tf")
    assert "optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.01)" in text
    assert "DataLoader(data, batch_size=4, shuffle=True)" in text
    assert "model = nn.Linear(3, 1)" in text
    assert "torch.var(x, dim=1)" in text
    assert "class " not in text
    assert "import itertools" not in text


def test_units_of_torch_go_back_to_keras() -> None:
    text = back(KERAS, "torch")
    assert "class " not in text
    assert "optimizer = keras.optimizers.Adam(learning_rate=0.1, beta_1=0.8)" in text
    assert "metric = keras.metrics.SparseCategoricalAccuracy()" in text


def test_a_definition_of_the_programs_own_stays() -> None:
    there = convert(TORCH, "tf", config=EXACT).code
    changed = there.replace("count / self.batch_size", "count / self.batch_size + 0")
    assert changed != there
    assert "class DataLoader" in convert(changed, "torch", config=EXACT).code


def test_a_unit_under_another_name_is_known() -> None:
    text = "Subset = 3\nprint(Subset)\n" + TORCH
    there = convert(
        text.replace("data = ", "data = torch.utils.data.Subset(").replace(
            "(x, y)\n", "(x, y), [0, 1, 2])\n"
        ),
        "tf",
        config=EXACT,
    )
    assert "class TorchSubset" in there.code
    again = convert(there.code, "torch", config=EXACT).code
    assert "class " not in again
    assert "torch.utils.data.Subset(" in again


def test_layers_that_change_images_come_back() -> None:
    layers = [
        'keras.layers.RandomFlip("horizontal")',
        "keras.layers.RandomRotation((-0.1, 0.2))",
        "keras.layers.RandomZoom(0.1, 0.2)",
        'keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest")',
        "keras.layers.RandomContrast(0.2, value_range=(0, 1))",
    ]
    model = f"keras.Sequential([keras.Input((8, 8, 3)), {', '.join(layers)}])"
    text = back(f"import keras\n\nmodel = {model}\n", "torch")
    assert [line.strip(" ,") for line in text.splitlines() if "Random" in line] == [
        line.replace("keras.", "") for line in layers
    ]


def test_optimizers_with_schedules_that_wait_for_their_models_come_back() -> None:
    text = back(
        """import keras
import numpy as np
import pandas as pd

x = pd.DataFrame({"a": np.ones(8)}).to_numpy("float32")
normalize = keras.layers.Normalization(axis=-1)
normalize.adapt(x)
dense = keras.layers.Dense(1, kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1(0.1))
decay = keras.optimizers.schedules.InverseTimeDecay(0.01, decay_steps=5, decay_rate=1.0)
for optimizer in [keras.optimizers.SGD(0.05, momentum=0.9), keras.optimizers.Adam(decay)]:
    model = keras.Sequential([normalize, dense])
    model.compile(optimizer, "mse")
    model.fit(x, np.ones(8), verbose=0)
""",
        "torch",
    )
    assert "schedules.InverseTimeDecay(" in text
    assert "partial(keras.optimizers.SGD, learning_rate=0.05, momentum=0.9)" in text
    assert "partial(keras.optimizers.Adam, learning_rate=decay)" in text
    assert "layers.Normalization(" in text
    assert "bias_regularizer=" in text


def test_a_sequence_changes_its_order_and_back() -> None:
    """For sequences there and back are the same permutation."""
    text = back(
        "import keras\n\nmodel = keras.Sequential([keras.Input((6, 3)), keras.layers.Conv1D(4, 3), "
        "keras.layers.LSTM(5), keras.layers.Dense(2)])\n",
        "torch",
    )
    assert "Conv1D" in text
    assert "Permute" not in text


@pytest.mark.parametrize("call", ["torch_uniform(3)((2, 2))", "[torch_uniform][0](2)"])
def test_what_no_rule_could_say_keeps_its_definition(call: str) -> None:
    there = convert(TORCH, "tf", config=EXACT).code
    again = convert(f"{there}\nprint({call})\n", "torch", config=EXACT).code
    assert "def torch_uniform" in again
    assert "TODO(transpile)" in again


GROUPS = """import torch
from torch import nn

def run(model, groups):
    optimizer = torch.optim.SGD(groups, lr=2.0, momentum=0.5)
    train(model, optimizer)

def train(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(4, 3)).mean().backward()
    optimizer.step()

model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
train(model, torch.optim.Adam([
    {"params": model[0].parameters()}, {"params": model[1].parameters(), "lr": 0.1},
], betas=(0.8, 0.9)))
run(model, [{"params": [p], "weight_decay": 0.1} for p in model.parameters()])
"""


def test_parameter_groups_become_one_optimizer_again() -> None:
    text = back(GROUPS, "tf")
    assert "optimizer = torch.optim.SGD(groups, lr=2.0, momentum=0.5, weight_decay=" in text
    assert '"lr": 0.1}' in text.replace(",\n", "}")
    assert "optimizer.zero_grad()" in text
    assert "class " not in text
    assert "ParameterGroups" not in text
