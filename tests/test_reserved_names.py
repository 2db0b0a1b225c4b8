"""Attributes of modules whose names Keras keeps for itself."""

from __future__ import annotations

from pathlib import Path

from translating import definition, to_tf

from transpiler.cli import main

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(x)

net = Net()
"""


def test_attributes_set_inside() -> None:
    code = to_tf(
        """
class Net(nn.Module):
    name = "net"

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.loss: float = 0.0
        self.losses, self.k = [], 2

    def metrics(self):
        return self.loss

    def forward(self, x):
        self.losses.append(self.k)
        return self.fc(x)

print(Net().metrics(), Net.name)
"""
    )
    net = definition(code, "Net")
    assert 'name_ = "net"' in net and "self.loss_: float = 0.0" in net
    assert "self.losses_, self.k = [], 2" in net and "self.losses_.append" in net
    assert "def metrics_(self):\n        return self.loss_" in net
    assert "print(Net().metrics_(), Net.name_)" in code


def test_attributes_set_from_outside() -> None:
    code = to_tf(
        NET
        + """
class Log:
    pass

seq = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
log = Log()
log.metrics = []
seq.metrics = log.metrics
setattr(net, "loss", 1.0)
net.stop_training = False
for model in (net, seq):
    model.metrics = [getattr(net, "loss")]
print(net.loss, seq.metrics, net.stop_training, log.metrics)
"""
    )
    assert "seq.metrics_ = log.metrics\n" in code
    assert 'setattr(net, "loss_", 1.0)' in code and 'getattr(net, "loss_")' in code
    assert "net.stop_training_ = False" in code and "model.metrics_ = [" in code
    assert "print(net.loss_, seq.metrics_, net.stop_training_, log.metrics)" in code


def test_attributes_set_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    header = "import torch\nfrom torch import nn\n"
    body = (
        NET.removesuffix("net = Net()\n") + "    def report(self):\n        return self.metrics\n"
    )
    (tmp_path / "src" / "model.py").write_text(header + body)
    (tmp_path / "src" / "train.py").write_text(
        "from model import Net\nnet = Net()\nnet.metrics = [1]\nprint(net.report(), net.metrics)\n"
    )
    main([str(tmp_path / "src"), "--to", "tf", "-o", str(tmp_path / "out")])
    assert "return self.metrics_" in (tmp_path / "out" / "model.py").read_text()
    train = (tmp_path / "out" / "train.py").read_text()
    assert "net.metrics_ = [1]\nprint(net.report(), net.metrics_)" in train
