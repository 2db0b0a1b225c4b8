"""What modules register: `_modules` and its like."""

from __future__ import annotations

from translating import reasons, to_tf

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 2)
        self.b = nn.Linear(2, 2)

    def start(self, std):
        {loop}

    def forward(self, x):
        return self.b(self.a(x))

net = Net()
net.start(0.1)
"""


def test_loops_over_registered_modules() -> None:
    loop = "for m in self._modules:\n            print(self._modules[m])"
    assert "for m in self.layers:\n            print(m)" in to_tf(NET.format(loop=loop))
    loop = "for m in self._modules.values():\n            print(m)"
    assert "for m in self.layers:\n            print(m)" in to_tf(NET.format(loop=loop))


def test_one_module_by_its_name() -> None:
    assert 'print(getattr(self, "a"))' in to_tf(NET.format(loop='print(self._modules["a"])'))


def test_other_uses_are_told() -> None:
    assert reasons(NET.format(loop="print(len(self._modules))"))
    assert reasons(NET.format(loop="print(self._parameters, net._buffers)"))
