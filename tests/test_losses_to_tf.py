"""Losses, translated inside whole training steps: values and gradients, as people write them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from proving_sides import double_precision
from training import CLASSES, FEATURES, RNG, assert_same

from transpiler.convert import Conversion


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


FLOATS = RNG.standard_normal((12, 3))
UNIT = RNG.uniform(0.05, 0.95, (12, 3))
BINARY = RNG.integers(0, 2, (12, 3)).astype(float)
SIGNS = np.sign(FLOATS)
SIGN = np.sign(FLOATS[:, 0])
INPUTS = {
    "features": FEATURES,
    "classes": np.where(np.arange(12) % 4 == 3, -100, CLASSES),
    "kept": CLASSES,
    "floats": FLOATS,
    "unit": UNIT,
    "chances": UNIT / UNIT.sum(1, keepdims=True),
    "binary": BINARY,
    "signs": SIGNS,
    "sign": SIGN,
    "column": BINARY[:, :1],
    "row": BINARY[:, 0],
    "weights": np.array([0.3, 1.0, 2.0]),
    "rows": RNG.uniform(0.5, 2.0, (12, 3)),
}

SCRIPT = """
model = nn.Linear(5, {width})
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
{setup}

def train():
    values = []
    for step in range(3):
        optimizer.zero_grad()
        output = model(features)
        {before}
        loss = {loss}
        {after}loss.backward()
        optimizer.step()
        values.append(loss)
    return values
"""


def script(
    loss: str, setup: str = "", before: str = "pass", after: str = "", width: int = 3
) -> str:
    return SCRIPT.format(loss=loss, setup=setup, before=before, after=after, width=width)


def check(
    loss: str, setup: str = "", before: str = "pass", after: str = "", width: int = 3
) -> Conversion:
    """The fluent translation trains the same: losses are written alike at both fidelities."""
    return assert_same(script(loss, setup, before, after, width), "fluent", INPUTS)


SUM = "loss = loss.sum()\n        "

OBJECTS = [
    ("nn.CrossEntropyLoss()", "kept", ""),
    ("nn.CrossEntropyLoss(weight=weights)", "kept", ""),
    ("nn.CrossEntropyLoss(weights)", "classes", ""),
    ("nn.CrossEntropyLoss(ignore_index=1)", "kept", ""),
    ("nn.CrossEntropyLoss(weight=weights, ignore_index=0)", "kept", ""),
    ("nn.CrossEntropyLoss(label_smoothing=0.1)", "kept", ""),
    ("nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=2)", "kept", ""),
    ("nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1)", "kept", ""),
    ("nn.CrossEntropyLoss(reduction='sum')", "kept", ""),
    ("nn.CrossEntropyLoss(size_average=False)", "kept", ""),
    ("nn.CrossEntropyLoss(reduction='none')", "kept", SUM),
    ("nn.CrossEntropyLoss(reduce=False)", "kept", SUM),
    ("nn.CrossEntropyLoss(ignore_index=1, reduction='none')", "kept", SUM),
    ("nn.CrossEntropyLoss()", "chances", ""),
    ("nn.CrossEntropyLoss(weight=weights)", "chances", ""),
    ("nn.MSELoss()", "floats", ""),
    ("nn.MSELoss(reduction='sum')", "floats", ""),
    ("nn.MSELoss(size_average=False)", "floats", ""),
    ("nn.MSELoss(size_average=True)", "floats", ""),
    ("nn.MSELoss(reduction='none')", "floats", SUM),
    ("nn.L1Loss()", "floats", ""),
    ("nn.L1Loss(reduction='sum')", "floats", ""),
    ("nn.SmoothL1Loss()", "floats", ""),
    ("nn.SmoothL1Loss(beta=0.5)", "floats", ""),
    ("nn.HuberLoss()", "floats", ""),
    ("nn.HuberLoss(delta=0.7)", "floats", ""),
    ("nn.BCEWithLogitsLoss()", "binary", ""),
    ("nn.BCEWithLogitsLoss(pos_weight=weights)", "binary", ""),
    ("nn.BCEWithLogitsLoss(weight=rows)", "binary", ""),
    ("nn.BCEWithLogitsLoss(reduction='sum')", "binary", ""),
    ("nn.SoftMarginLoss()", "signs", ""),
    ("nn.HingeEmbeddingLoss(margin=0.5)", "signs", ""),
    ("nn.MultiMarginLoss(margin=0.5)", "kept", ""),
    ("nn.MultiLabelSoftMarginLoss(weight=weights)", "binary", ""),
    ("nn.PoissonNLLLoss()", "unit", ""),
    ("nn.KLDivLoss(reduction='batchmean')", "chances", ""),
    ("nn.KLDivLoss(reduction='sum')", "chances", ""),
]


@pytest.mark.parametrize(
    ("made", "target", "after"), OBJECTS, ids=[f"{m}-{t}" for m, t, _ in OBJECTS]
)
def test_object(made: str, target: str, after: str) -> None:
    check(f"criterion(output, {target})", f"criterion = {made}", after=after)


def test_fluent_spellings() -> None:
    """Where a stock loss is equal, it is what a reader sees."""
    expected = {
        ("nn.CrossEntropyLoss()", "kept"): "SparseCategoricalCrossentropy(from_logits=True)",
        ("nn.CrossEntropyLoss(ignore_index=1)", "kept"): "ignore_class=1",
        ("nn.MSELoss()", "floats"): "keras.losses.MeanSquaredError()",
        ("nn.L1Loss()", "floats"): "keras.losses.MeanAbsoluteError()",
        ("nn.BCEWithLogitsLoss()", "binary"): "keras.losses.BinaryCrossentropy(from_logits=True)",
    }
    for (made, target), text in expected.items():
        source = script(f"criterion(output, {target})", f"criterion = {made}")
        code = assert_same(source, "fluent", INPUTS).code
        assert text in code, code
        assert f"criterion({target}, output)" in code


def test_padding_of_minus_100() -> None:
    """Where the program names torch's default ignore_index, the stock loss is told of it."""
    code = check("criterion(output, classes)", "PAD = -100\ncriterion = nn.CrossEntropyLoss()").code
    assert "ignore_class=-100" in code
    check("F.cross_entropy(output, classes)", "PAD = -100")


FUNCTIONS = [
    "F.cross_entropy(output, kept)",
    "F.cross_entropy(input=output, target=kept)",
    "F.cross_entropy(output, kept, weights)",
    "F.cross_entropy(output, classes, ignore_index=-100)",
    "F.cross_entropy(output, kept, reduction='sum')",
    "F.cross_entropy(output, kept, size_average=False)",
    "F.cross_entropy(output, kept, reduction='none').mean()",
    "F.cross_entropy(output, kept, label_smoothing=0.2)",
    "F.cross_entropy(output, chances)",
    "F.nll_loss(F.log_softmax(output, dim=1), kept)",
    "F.nll_loss(F.log_softmax(output, dim=1), kept, weight=weights)",
    "F.nll_loss(F.log_softmax(output, dim=1), kept, ignore_index=2)",
    "F.nll_loss(F.log_softmax(output, dim=1), kept, reduction='sum')",
    "F.nll_loss(F.log_softmax(output, dim=1), kept, size_average=False)",
    "nn.NLLLoss(weight=weights, ignore_index=1)(F.log_softmax(output, dim=-1), kept)",
    "F.mse_loss(output, floats)",
    "F.mse_loss(output, floats, reduction='sum')",
    "F.mse_loss(output, floats, reduction='none').sum()",
    "F.mse_loss(output, floats, size_average=False)",
    "F.l1_loss(output, floats)",
    "F.smooth_l1_loss(output, floats)",
    "F.huber_loss(output, floats, delta=0.5)",
    "F.binary_cross_entropy_with_logits(output, binary)",
    "F.binary_cross_entropy_with_logits(output, binary, pos_weight=weights)",
    "F.binary_cross_entropy_with_logits(output, binary, size_average=False)",
    "F.binary_cross_entropy(torch.sigmoid(output), binary)",
    "F.binary_cross_entropy(torch.sigmoid(output), binary, reduction='sum')",
    "F.binary_cross_entropy(torch.sigmoid(output), binary, size_average=False)",
    "F.binary_cross_entropy(torch.sigmoid(output), binary, weight=rows)",
    "nn.BCELoss()(torch.sigmoid(output), binary)",
    "nn.BCELoss(reduction='sum')(torch.sigmoid(output), binary)",
    "F.kl_div(F.log_softmax(output, dim=1), chances, reduction='batchmean')",
    "F.kl_div(F.log_softmax(output, dim=1), chances, reduction='sum')",
    "F.kl_div(F.log_softmax(output, 1), F.log_softmax(floats, 1), None, None, 'sum', "
    "log_target=True)",
    "nn.CrossEntropyLoss()(output, kept)",
    "nn.MSELoss()(output, floats)",
    "nn.MSELoss()(input=output, target=floats)",
    "F.margin_ranking_loss(output[:, 0], output[:, 1], sign, margin=0.1)",
    "F.triplet_margin_loss(output, floats, unit, margin=0.5)",
    "F.cosine_embedding_loss(output, floats, sign, margin=0.2)",
    "F.gaussian_nll_loss(output, floats, unit)",
    "F.poisson_nll_loss(output, unit, log_input=True)",
    "F.soft_margin_loss(output, signs)",
]


@pytest.mark.parametrize("loss", FUNCTIONS)
def test_function(loss: str) -> None:
    check(loss)


THREE = [
    ("nn.TripletMarginLoss(margin=0.5, p=2)", "output, floats, unit"),
    ("nn.TripletMarginLoss(swap=True)", "output, floats, unit"),
    ("nn.MarginRankingLoss(0.2)", "output[:, 0], output[:, 1], sign"),
    ("nn.CosineEmbeddingLoss()", "output, floats, sign"),
    ("nn.GaussianNLLLoss()", "output, floats, unit"),
]


@pytest.mark.parametrize(("made", "given"), THREE)
def test_three_inputs(made: str, given: str) -> None:
    check(f"criterion({given})", f"criterion = {made}")


def test_column_and_row_targets() -> None:
    """(n, 1) against (n, 1) is stock; (n, 1) against (n,) is torch's broadcast to (n, n)."""
    code = check("criterion(output, column)", "criterion = nn.BCEWithLogitsLoss()", width=1).code
    assert "keras.losses.BinaryCrossentropy(from_logits=True)" in code
    check("criterion(output.squeeze(), row)", "criterion = nn.BCEWithLogitsLoss()", width=1)
    check("criterion(output.squeeze(1), row)", "criterion = nn.BCEWithLogitsLoss()", width=1)
    check("criterion(output.view(-1), row)", "criterion = nn.MSELoss()", width=1)
    check("criterion(output, row.view(-1, 1))", "criterion = nn.BCEWithLogitsLoss()", width=1)
    check("criterion(output, row.unsqueeze(1))", "criterion = nn.MSELoss()", width=1)
    check("criterion(output, row)", "criterion = nn.MSELoss()", width=1)


HOLDERS = {
    "chosen by an if": """
name = "mse"
if name == "mse":
    criterion = nn.MSELoss()
else:
    criterion = nn.L1Loss()
""",
    "conditional expression": "criterion = nn.MSELoss() if features.shape[0] > 3 else nn.L1Loss()",
    "list": "criteria = [nn.MSELoss(), nn.L1Loss()]\ncriterion = criteria[0]",
    "dict": 'losses = {"mse": nn.MSELoss(), "l1": nn.L1Loss()}\ncriterion = losses["mse"]',
    "classes in a dict": (
        'losses = {"mse": nn.MSELoss, "l1": nn.L1Loss}\ncriterion = losses["mse"]()'
    ),
    "made by a function": "def make():\n    return nn.MSELoss()\n\ncriterion = make()",
    "function kept": "criterion = F.mse_loss",
    "moved": "criterion = nn.MSELoss().to('cpu')",
    "class alias": "Loss = nn.MSELoss\ncriterion = Loss()",
}


@pytest.mark.parametrize("setup", HOLDERS.values(), ids=HOLDERS)
def test_holders(setup: str) -> None:
    check("criterion(output, floats)", setup)


def test_kept_in_self() -> None:
    source = """
class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = nn.CrossEntropyLoss()
        self.mse = nn.MSELoss(reduction="sum")
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self, x, y, z):
        self.optimizer.zero_grad()
        out = self.model(x)
        loss = self.criterion(out, y) + 0.1 * self.mse(out, z)
        loss.backward()
        self.optimizer.step()
        return loss

model = nn.Linear(5, 3)
trainer = Trainer(model)

def train():
    return [trainer.step(features, kept, floats) for _ in range(3)]
"""
    assert_same(source, "fluent", INPUTS)


def test_loss_inside_the_model() -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 3)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x, y):
        out = self.fc(x)
        return out, self.criterion(out, y)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(features, kept)

def train():
    values = []
    for _ in range(3):
        out, loss = model(features, kept)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss)
    return values
"""
    assert_same(source, "fluent", INPUTS)


SUBCLASSES = {
    "of a loss": """
class Weighted(nn.MSELoss):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, input, target):
        return self.factor * super().forward(input, target)

criterion = Weighted(2.0)
""",
    "of a loss with F": """
class Scaled(nn.MSELoss):
    def forward(self, input, target):
        return 3 * F.mse_loss(input, target, reduction="sum")

criterion = Scaled()
""",
    "of Module": """
class Focal(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma
        self.mse = nn.MSELoss(reduction="none")

    def forward(self, input, target):
        error = self.mse(input, target)
        return (error ** self.gamma).mean()

criterion = Focal()
""",
    "with a loss in it": """
class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.MSELoss()
        self.second = nn.L1Loss()

    def forward(self, input, target):
        return self.first(input, target) + self.second(input, target)

criterion = Both()
""",
}


@pytest.mark.parametrize("setup", SUBCLASSES.values(), ids=SUBCLASSES)
def test_subclass(setup: str) -> None:
    check("criterion(output, floats)", setup)


IMAGES = {
    "features": RNG.standard_normal((2, 4, 3, 5)),
    "classes": RNG.integers(0, 3, (2, 3, 5)),
    "weights": INPUTS["weights"],
}


@pytest.mark.parametrize(
    "made",
    [
        "nn.CrossEntropyLoss()",
        "nn.CrossEntropyLoss(weights)",
        "nn.CrossEntropyLoss(ignore_index=0)",
    ],
)
def test_pixels(made: str) -> None:
    """Logits of (N, C, H, W) against (N, H, W): classes lie along axis 1."""
    source = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        return self.conv(x)

model = Net()
criterion = {made}
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    return model(features)

def train():
    values = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = criterion(model(features), classes)
        loss.backward()
        optimizer.step()
        values.append(loss)
    return values
"""
    assert_same(source, "fluent", IMAGES)
