"""Learning-rate schedules inside whole training loops: rates and losses, step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


SCRIPT = """
from torch.optim import lr_scheduler

model = nn.Linear(5, 3)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.{optimizer}
{made}

def train():
    values = []
    for epoch in range(12):
        for batch in range(2):
            x, y = features[batch * 6 : batch * 6 + 6], classes[batch * 6 : batch * 6 + 6]
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            {per_batch}
            values.append(loss)
        {per_epoch}
        values.append(optimizer.param_groups[0]["lr"])
    return values
"""
SGD = "SGD(model.parameters(), lr=0.1, momentum=0.9)"
ADAM = "Adam(model.parameters(), lr=0.01)"


def script(
    made: str, *, per_batch: str = "pass", per_epoch: str = "pass", optimizer: str = SGD
) -> str:
    return SCRIPT.format(made=made, per_batch=per_batch, per_epoch=per_epoch, optimizer=optimizer)


EPOCHS = [
    "StepLR(optimizer, step_size=3, gamma=0.5)",
    "StepLR(optimizer, 4)",
    "MultiStepLR(optimizer, milestones=[2, 7], gamma=0.3)",
    "ExponentialLR(optimizer, gamma=0.9)",
    "CosineAnnealingLR(optimizer, T_max=5)",
    "CosineAnnealingLR(optimizer, 12, eta_min=1e-4)",
    "CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=2, eta_min=1e-3)",
    "LambdaLR(optimizer, lr_lambda=lambda epoch: 0.95 ** epoch)",
    "LambdaLR(optimizer, lambda e: min(1.0, (e + 1) / 5))",
    "LinearLR(optimizer, start_factor=0.3, total_iters=4)",
    "ConstantLR(optimizer, factor=0.5, total_iters=3)",
    "PolynomialLR(optimizer, total_iters=8, power=2.0)",
]


@pytest.mark.parametrize("made", EPOCHS)
def test_per_epoch(made: str) -> None:
    assert_same(script(f"scheduler = lr_scheduler.{made}", per_epoch="scheduler.step()"))


@pytest.mark.parametrize(
    ("second", "per_epoch"),
    [
        ("MultiStepLR(optimizer, milestones=[3, 6], gamma=0.1)", "first.step(); second.step()"),
        ("CosineAnnealingLR(optimizer, 14, eta_min=1e-3)", "first.step(); second.step()"),
        ("LinearLR(optimizer, 0.3, total_iters=4)", "second.step() if epoch < 5 else first.step()"),
        ("LambdaLR(optimizer, lambda e: 0.9 ** e)", "second.step() if epoch < 5 else first.step()"),
    ],
)
def test_schedules_of_one_optimizer_go_on_from_each_other(second: str, per_epoch: str) -> None:
    made = "first = lr_scheduler.ExponentialLR(optimizer, 0.9)\nsecond = lr_scheduler." + second
    code = assert_same(script(made, per_epoch=per_epoch)).code
    assert "first = ChainedSchedule(" in code


def test_a_rate_set_by_hand_is_gone_on_from() -> None:
    hand = "scheduler.step(); optimizer.param_groups[0]['lr'] *= 0.5 if epoch == 4 else 1.0"
    made = "scheduler = lr_scheduler.StepLR(optimizer, 3, gamma=0.5)"
    assert "ChainedSchedule(" in assert_same(script(made, per_epoch=hand)).code


def test_one_schedule_or_another_under_the_same_name_is_alone() -> None:
    made = """if len(features) > 3:
    scheduler = lr_scheduler.StepLR(optimizer, 3, gamma=0.5)
else:
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)"""
    code = assert_same(script(made, per_epoch="scheduler.step()")).code
    assert "ChainedSchedule" not in code


BATCHES = [
    "OneCycleLR(optimizer, max_lr=0.2, steps_per_epoch=2, epochs=12)",
    "OneCycleLR(optimizer, max_lr=0.2, total_steps=24, pct_start=0.2, anneal_strategy='linear')",
    "CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=5)",
    "CosineAnnealingLR(optimizer, T_max=24)",
]


@pytest.mark.parametrize("made", BATCHES)
def test_per_batch(made: str) -> None:
    assert_same(script(f"scheduler = lr_scheduler.{made}", per_batch="scheduler.step()"))


def test_one_cycle_moves_beta() -> None:
    made = "scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=24)"
    assert_same(script(made, per_batch="scheduler.step()", optimizer=ADAM))


@pytest.mark.parametrize(
    "made",
    [
        "ReduceLROnPlateau(optimizer, patience=1)",
        "ReduceLROnPlateau(optimizer, mode='min', factor=0.5, patience=0, threshold=0.05)",
        "ReduceLROnPlateau(optimizer, 'max', factor=0.5, patience=1, min_lr=1e-3)",
    ],
)
def test_plateau(made: str) -> None:
    assert_same(script(f"scheduler = lr_scheduler.{made}", per_epoch="scheduler.step(loss)"))


def test_last_rate() -> None:
    made = "scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)"
    assert_same(
        script(
            made, per_epoch="scheduler.step()\n        values.append(scheduler.get_last_lr()[0])"
        )
    )


def test_warm_up_then_cosine() -> None:
    made = """
warm = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=9)
scheduler = lr_scheduler.SequentialLR(optimizer, schedulers=[warm, cosine], milestones=[3])
"""
    assert_same(script(made, per_epoch="scheduler.step()"))


def test_function_of_the_program() -> None:
    made = """
def warmup(step):
    if step < 4:
        return (step + 1) / 4
    return 0.5 ** ((step - 4) // 3)

scheduler = lr_scheduler.LambdaLR(optimizer, warmup)
"""
    assert_same(script(made, per_batch="scheduler.step()", optimizer=ADAM))


GROUPS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(self.a(x))

model = Net()
optimizer = torch.optim.SGD([{"params": model.a.parameters()},
                             {"params": model.b.parameters(), "lr": 0.02}], lr=0.1, momentum=0.9)
SCHEDULER

def train():
    values = []
    for epoch in range(10):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(features), classes)
        loss.backward()
        optimizer.step()
        scheduler.step()
        values.append(loss)
        values += [optimizer.param_groups[1]["lr"], *scheduler.get_last_lr()]
        values += [group["lr"] for group in optimizer.param_groups]
        for index, group in enumerate(optimizer.param_groups):
            values.append(index + group["lr"])
    return values
"""


@pytest.mark.parametrize(
    "made",
    [
        "StepLR(optimizer, 3, gamma=0.5)",
        "OneCycleLR(optimizer, max_lr=0.05, total_steps=12)",
        "OneCycleLR(optimizer, max_lr=[0.05, 0.2], total_steps=12)",
        "ReduceLROnPlateau(optimizer, patience=0, min_lr=0.01)",
        "LambdaLR(optimizer, lr_lambda=[lambda e: 0.9**e, lambda e: 1 / (1 + e)])",
    ],
)
def test_groups_have_rates_of_their_own(made: str) -> None:
    step = "scheduler.step(1.0)" if "Plateau" in made else "scheduler.step()"
    source = GROUPS.replace("SCHEDULER", f"scheduler = torch.optim.lr_scheduler.{made}")
    assert_same(source.replace("scheduler.step()", step))


def test_rate_by_hand_for_all_groups() -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(self.a(x))

model = Net()
optimizer = torch.optim.SGD([{"params": model.a.parameters()},
                             {"params": model.b.parameters(), "lr": 0.02}], lr=0.1, momentum=0.9)

def adjust(optimizer, epoch):
    lr = 0.1 * 0.5 ** (epoch // 2)
    for param_group in optimizer.param_groups:
        param_group["lr"] = lr

def train():
    values = []
    for epoch in range(10):
        if epoch > 3:
            adjust(optimizer, epoch)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(features), classes)
        loss.backward()
        optimizer.step()
        values.append(loss)
    return values
"""
    assert_same(source)
