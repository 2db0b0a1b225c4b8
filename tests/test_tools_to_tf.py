"""TensorBoard, padded sequences and gradient scaling: what stands beside a training loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from transpiler.convert import convert
from transpiler.findings import Grade

SCRIPT = """
import torch
import torch.nn as nn
from torch.cuda.amp import GradScaler, autocast
from torch.nn.utils.rnn import pad_sequence
from torch.utils.tensorboard import SummaryWriter

writer = SummaryWriter(log_dir="runs/first")
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = GradScaler()
criterion = nn.CrossEntropyLoss()
x, y = torch.randn(8, 4), torch.randint(0, 2, (8,))
for epoch in range(3):
    optimizer.zero_grad()
    with autocast():
        loss = criterion(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    writer.add_scalar("Loss/train", loss.item(), epoch)
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, epoch)
    writer.add_histogram("weight", model.weight, epoch)
writer.add_image("noise", torch.rand(3, 4, 5), 0)
writer.close()
torch.save({"model": model.state_dict(), "scaler": scaler.state_dict()}, "last.pt")
scaler.load_state_dict(torch.load("last.pt")["scaler"])
padded = pad_sequence([torch.ones(3, 2), torch.ones(5, 2)], batch_first=True, padding_value=-1.0)
"""


def test_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversion = convert(SCRIPT, "tf", path="train.py")
    assert not [f for f in conversion.findings if f.grade is Grade.MANUAL]
    code = conversion.code
    assert "scaler" not in code and "autocast" not in code
    assert 'tf.summary.scalar("Loss/train", float(loss), step=epoch)' in code
    assert any("16 bits" in f.hint or "float32" in f.message for f in conversion.findings)
    file = tmp_path / "train_tf.py"
    file.write_text(code)
    monkeypatch.chdir(tmp_path)
    written: list[tuple[str, tuple[int, ...]]] = []
    for kind in ("scalar", "histogram", "image"):  # they need the tensorboard package

        def record(name: str, value: object, step: int) -> None:
            written.append((name, tuple(tf.convert_to_tensor(value).shape)))

        monkeypatch.setattr(tf.summary, kind, record)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, str(file), "exec"), names)
    assert names["padded"].shape == (2, 5, 2)  # type: ignore[attr-defined]
    assert float(names["padded"][0, 4, 1]) == -1.0  # type: ignore[index]
    assert [name for name, _ in written[:3]] == ["Loss/train", "both/a", "both/b"]
    assert written[-1] == ("noise", (1, 4, 5, 3))
    assert list((tmp_path / "runs" / "first").glob("events*"))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("import torchvision\nnet = torchvision.models.resnet50(pretrained=True)", "ResNet50"),
        ("from torchvision import datasets\nd = datasets.CelebA('.')", "class of your own"),
    ],
)
def test_what_is_left_comes_with_advice(code: str, advice: str) -> None:
    left = [f for f in convert(code, "tf").findings if f.grade is Grade.MANUAL]
    assert len(left) == 1 and advice in left[0].message + left[0].hint
