"""`torch.autograd.grad` beside a training step: the numbers are torch's."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same
from translating import reasons, to_tf


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


CRITIC = """
from torch.autograd import Variable, grad

model = nn.Sequential({layers})
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
cuda = torch.cuda.is_available()

def prepare():
    model(features)

{helper}
def train():
    found = []
    for step in range(4):
        optimizer.zero_grad()
        real, fake = features[:6], features[6:] * (step + 1.0)
{body}
        loss = model(fake).mean() - model(real).mean() + 10 * penalty
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
"""
LAYERS = "nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)"
PENALTY = "penalty = ((gradients.norm(2, dim=1) - 1) ** 2).mean()"
INLINE = {
    "a tensor that asks, ones as weights, both sides of a condition": """
x = 0.3 * real + 0.7 * fake
x.requires_grad = True
scores = model(x)
if cuda:
    gradients = grad(outputs=scores, inputs=x, grad_outputs=torch.ones(scores.size()).cuda(),
                     create_graph=True, retain_graph=True, only_inputs=True)[0]
else:
    gradients = grad(outputs=scores, inputs=x, grad_outputs=torch.ones(scores.size()),
                     create_graph=True, retain_graph=True, only_inputs=True)[0]
""",
    "of an expression": """
x = (0.3 * real + 0.7 * fake).requires_grad_(True)
gradients = grad(model(x).sum(), x, create_graph=True)[0]
""",
    "with weights of its own": """
x = Variable(0.3 * real + 0.7 * fake, requires_grad=True)
scores = model(x)
gradients = torch.autograd.grad(scores, [x], grad_outputs=2 * torch.ones_like(scores),
                                create_graph=True)[0]
""",
    "under a condition": """
x = (0.3 * real + 0.7 * fake).requires_grad_()
scores = model(x).sum()
gradients = torch.zeros_like(x)
if step % 2 == 0:
    gradients = torch.autograd.grad(scores, x, create_graph=True)[0]
""",
    "of a gradient": """
x = (0.3 * real + 0.7 * fake).requires_grad_()
scores = model(x).sum()
slope = torch.autograd.grad(scores, x, create_graph=True)[0]
gradients = slope + torch.autograd.grad((slope ** 2).sum(), x, create_graph=True)[0]
""",
}


def critic(body: str, layers: str = LAYERS, helper: str = "") -> str:
    lines = "".join(f"        {line}\n" for line in [*body.strip().splitlines(), PENALTY])
    return CRITIC.format(layers=layers, body=lines, helper=helper)


@pytest.mark.parametrize("name", INLINE)
def test_gradients_among_the_statements_of_a_step(name: str) -> None:
    code = assert_same(critic(INLINE[name])).code
    assert "as inner_tape:" in code
    assert "x = tf.Variable(" not in code


@pytest.mark.parametrize("norm", ["nn.BatchNorm1d(8)", "nn.GroupNorm(2, 8)"])
def test_gradients_through_statistics_are_differentiated_again(norm: str) -> None:
    layers = f"nn.Linear(5, 8), {norm}, nn.Tanh(), nn.Linear(8, 1)"
    assert_same(critic(INLINE["of an expression"], layers), "fluent", tolerance=1e-4)
    assert_same(critic(INLINE["of an expression"], layers))


def test_in_a_function_that_wraps_what_it_is_given() -> None:
    helper = """
def slopes(net, real, fake):
    x = Variable(0.3 * real + 0.7 * fake, requires_grad=True)
    scores = net(x)
    ones = torch.ones(scores.size())
    return grad(outputs=scores, inputs=x, grad_outputs=ones.cuda() if cuda else ones,
                create_graph=True)[0]
"""
    code = assert_same(critic("gradients = slopes(model, real, fake)", helper=helper)).code
    assert "@tf.function" in code


def test_two_gradients_of_one_value_share_a_tape() -> None:
    code = to_tf("""
net = nn.Linear(2, 1)
def slopes(x, t):
    u = net(torch.cat([x, t], 1))
    u_x = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0]
    u_t = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)[0]
    return u_x + u_t
print(slopes(torch.ones(3, 1), torch.zeros(3, 1)))
""")
    assert code.count("tf.GradientTape(persistent=True)") == 1


def test_what_is_wrapped_passes_no_gradient() -> None:
    program = critic("gradients = Variable(model(real)) * model(fake)")
    assert "tf.stop_gradient(model(real" in assert_same(program).code


def test_a_value_computed_elsewhere_is_left() -> None:
    program = "def slope(y, x):\n    return torch.autograd.grad(y.sum(), x)[0]\n"
    [reason] = reasons(program)
    assert reason == "the statements that compute this gradient's value were not found"


def test_values_that_are_clamped_behind_the_back_of_their_gradients() -> None:
    program = critic("gradients = 3 * model(fake)\ngradients.data.clamp_(-0.1, 0.1)")
    code = "".join(assert_same(program).code.split())
    assert "tf.stop_gradient(tf.clip_by_value(" in code
