"""Recurrent layers of which only the last output is read become stock layers that give it alone."""

import re

import pytest

from transpiler import convert

SCRIPT = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.{layer}
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        {body}


net = Net()
print(net(torch.randn(2, 5, 8)))
"""


def translate(layer: str, body: str) -> tuple[str, str]:
    """How the layer is made, and the body of the method."""
    source = SCRIPT.format(layer=layer, body=body.replace("\n", "\n        "))
    code = convert(source, "tf").code
    made = re.search(r"self\.rnn = (.*?)\n        self\.fc", code, re.S)
    called = re.search(r"def call\(self, x\):\n(.*?)\n\n\nnet", code, re.S)
    assert made
    assert called
    return re.sub(r"\s+", " ", made[1]), "\n".join(x.strip() for x in called[1].split("\n"))


ONE = "(8, 16, batch_first=True)"
TWO = "(8, 16, num_layers=2, batch_first=True)"


@pytest.mark.parametrize(
    ("layer", "body", "made", "called"),
    [
        (
            f"LSTM{ONE}",
            "out, _ = self.rnn(x)\nreturn self.fc(out[:, -1])",
            "layers.LSTM(16)",
            "out = self.rnn(x)\nreturn self.fc(out)",
        ),
        (
            f"LSTM{ONE}",
            "out, (h, c) = self.rnn(x)\nout = self.fc(out[:, -1, :])\nreturn out",
            "layers.LSTM(16)",
            "out = self.rnn(x)\nout = self.fc(out)\nreturn out",
        ),
        (
            f"LSTM{ONE}",
            "_, (h, _) = self.rnn(x)\nreturn self.fc(h[-1])",
            "layers.LSTM(16)",
            "h = self.rnn(x)\nreturn self.fc(h)",
        ),
        (
            f"GRU{ONE}",
            "_, h = self.rnn(x)\nreturn self.fc(h.squeeze(0))",
            "layers.GRU(16)",
            "h = self.rnn(x)\nreturn self.fc(h)",
        ),
        (
            f"GRU{TWO}",
            "_, h = self.rnn(x)\nreturn self.fc(h[-1])",
            "keras.Sequential( [layers.GRU(16, return_sequences=True), layers.GRU(16)] )",
            "h = self.rnn(x)\nreturn self.fc(h)",
        ),
    ],
)
def test_the_last_output_alone(layer: str, body: str, made: str, called: str) -> None:
    assert translate(layer, body) == (made, called)


@pytest.mark.parametrize(
    ("layer", "body"),
    [
        (f"LSTM{ONE}", "out, _ = self.rnn(x)\nreturn self.fc(out)[:, -1]"),
        (f"LSTM{ONE}", "out, _ = self.rnn(x)\nprint(out.shape)\nreturn self.fc(out[:, -1])"),
        (f"LSTM{ONE}", "out, _ = self.rnn(x)\nreturn self.fc(out[:, 0])"),
        (f"LSTM{ONE}", "out, (h, c) = self.rnn(x)\nreturn self.fc(out[:, -1] + h[-1])"),
        (f"GRU{TWO}", "_, h = self.rnn(x)\nreturn self.fc(h[0])"),
        (
            f"LSTM{ONE}",
            "out, _ = self.rnn(x)\nif len(x):\n    out = out[:, -1]\nreturn self.fc(out)",
        ),
        (
            "GRU(8, 8, batch_first=True, bidirectional=True)",
            "out, _ = self.rnn(x)\nreturn self.fc(out[:, -1])",
        ),
    ],
)
def test_anything_else_keeps_all_steps_or_the_states(layer: str, body: str) -> None:
    made, _ = translate(layer, body)
    assert "return_sequences=True" in made or made.startswith("Stacked")
    assert not made.endswith("layers.GRU(16)] )")
