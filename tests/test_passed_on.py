"""`*args` and `**kwargs` that are only passed on to a layer of torch's."""

from __future__ import annotations

import pytest
from translating import definition, reasons, to_tf

BLOCK = """
class Block(nn.Module):
    def __init__(self, inside, outside, {stars}):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, bias=False, {passed})

    def forward(self, x):
        return F.relu(self.conv(x))
"""
KWARGS = BLOCK.format(stars="**kwargs", passed="**kwargs")


def test_keywords_of_all_calls_are_parameters() -> None:
    code = to_tf(
        KWARGS + "a = Block(3, 8, kernel_size=3)\nb = Block(8, 8, kernel_size=(1, 5), stride=2)\n"
    )
    block = definition(code, "Block")
    assert "def __init__(self, inside, outside, kernel_size, stride=1):" in block
    assert "layers.Conv2D(outside, kernel_size, strides=stride, use_bias=False)" in block


def test_what_goes_through_two_functions() -> None:
    code = to_tf(
        KWARGS
        + """
class Twice(nn.Module):
    def __init__(self, n, **options):
        super().__init__()
        self.one = Block(n, n, **options)
        self.two = Block(n, n, kernel_size=1)

    def forward(self, x):
        return self.two(self.one(x))

net = Twice(8, kernel_size=3, padding=1)
"""
    )
    assert "def __init__(self, inside, outside, kernel_size, padding=0):" in code
    assert "def __init__(self, n, kernel_size, padding=0):" in code
    assert "Block(n, n, kernel_size=kernel_size, padding=padding)" in code


def test_arguments_by_position() -> None:
    code = to_tf(
        """
def block(n, m, *args, **kwargs):
    return nn.Sequential(nn.Conv2d(n, m, *args, **kwargs), nn.BatchNorm2d(m), nn.ReLU())

net = nn.Sequential(block(3, 8, 3, padding=1), block(8, 8, 3, 2, padding=1), nn.Flatten())
"""
    )
    assert "def block(n, m, kernel_size, stride=1, padding=0):" in code


def test_calls_of_a_variable_that_may_hold_the_class() -> None:
    code = to_tf(
        KWARGS
        + """
class Net(nn.Module):
    def __init__(self, block=None):
        super().__init__()
        if block is None:
            block = Block
        self.a = block(3, 8, kernel_size=3, padding=1)
        self.b = Block(8, 8, kernel_size=1)

    def forward(self, x):
        return self.b(self.a(x))

net = Net()
"""
    )
    assert "def __init__(self, inside, outside, kernel_size, padding=0):" in code


@pytest.mark.parametrize(
    "text",
    [
        KWARGS,  # nobody says what is given
        BLOCK.format(stars="**kwargs", passed="**kwargs").replace("super().__init__()",
            "super().__init__()\n        self.kwargs = kwargs") + "Block(3, 8, kernel_size=3)\n",
        KWARGS + "Block(3, 8, kernel_size=3, **{'padding': 1})\n",
    ],
)  # fmt: skip
def test_what_is_not_known_is_left(text: str) -> None:
    assert any("unpacked" in reason for reason in reasons(text))
