"""torch.autograd.Function: operations with gradients of their own train the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same
from translating import reasons


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


LOOP = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(features[:1])

def train():
    found = []
    for epoch in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(features), classes)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
"""


def test_a_straight_through_gradient() -> None:
    code = assert_same("""
class Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx, grad_output):
        x, = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[x.abs() > 0.5] = 0
        return grad_input

binarize = Binarize.apply

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(5, 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(binarize(self.hidden(x)))

model = Net()
""" + LOOP).code  # fmt: skip
    assert "@tf.function" in code
    assert "class Binarize(Function):" in code


def test_settings_among_the_arguments_and_several_tensors() -> None:
    assert_same("""
class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, weight, bias=None):
        ctx.save_for_backward(x, weight)
        ctx.factor = factor
        return factor * x.mm(weight.t()) + bias

    @staticmethod
    def backward(ctx, grad_output):
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = -grad_output.mm(weight)
        if ctx.needs_input_grad[2]:
            grad_weight = 2 * ctx.factor * grad_output.t().mm(x)
        if ctx.needs_input_grad[3]:
            grad_bias = grad_output.sum(0)
        return grad_x, None, grad_weight, grad_bias

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.weight = nn.Parameter(torch.ones(3, 4) / 2)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return Scaled.apply(torch.tanh(self.first(x)), 0.7, self.weight, self.bias)

model = Net()
""" + LOOP)  # fmt: skip


def test_a_forward_without_its_context_is_told() -> None:
    [reason] = reasons("""
class Twice(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return 2 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad
""")
    assert "takes no context" in reason
