"""Gradients that a program reads by itself: `x.grad` after backward(), without an optimizer."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same
from translating import definition, reasons, to_tf


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


TWICE = """
def train():
    {make}
    found = []
    for _ in range({rounds}):
{body}
    return found
"""


def program(make: str, body: str, rounds: int = 1) -> str:
    lines = "\n".join(f"        {line}" for line in body.strip().splitlines())
    return "model = nn.Linear(5, 3)\n" + TWICE.format(make=make, rounds=rounds, body=lines)


STRAIGHT = {
    "a tensor that asks for its gradient later": """
x = features.clone()
x.requires_grad = True
loss = F.cross_entropy(model(x), classes)
model.zero_grad()
loss.backward()
found.append(x.grad.data.sign())
""",
    "asked for by a method, of an expression": """
x = features.clone().requires_grad_()
(model(x) ** 2).sum().backward()
found.append(x.grad * 2)
""",
    "two tensors, one pass": """
x = torch.ones(5, dtype=torch.float64, requires_grad=True)
y = torch.ones(5, dtype=torch.float64)
y.requires_grad_(True)
loss = (features * x * y ** 2).sum()
loss.backward()
found.append(x.grad)
found.append(y.grad.detach() + 1)
""",
    "two passes are summed up": """
x = torch.ones(5, dtype=torch.float64, requires_grad=True)
a = (x ** 2).sum()
b = (x ** 3 * features).sum()
a.backward()
first = x.grad.clone()
b.backward()
found.append(first)
found.append(x.grad)
""",
    "the same graph twice, emptied in between": """
x = torch.ones(5, dtype=torch.float64, requires_grad=True)
a = (x ** 3 * features).sum()
a.backward(retain_graph=True)
found.append(x.grad.sum())
x.grad.zero_()
found.append(x.grad.sum())
a.backward()
found.append(x.grad.mean())
""",
    "weighted by a vector": """
x = torch.ones(5, dtype=torch.float64, requires_grad=True)
y = x * 2 * features[0]
y.backward(features[1])
found.append(x.grad)
""",
}


@pytest.mark.parametrize("name", STRAIGHT)
def test_gradients_of_tensors(name: str) -> None:
    assert_same(program("pass", STRAIGHT[name]))


def test_a_picture_that_is_changed_by_its_own_gradient() -> None:
    body = """
x = x.detach()
x.requires_grad = True
loss = F.cross_entropy(model(x), classes)
loss.backward()
x = torch.clamp(x + 0.1 * x.grad.sign(), -1, 1)
found.append(loss.item())
"""
    assert_same(program("x = features.clone()", body, 3))


def test_updates_by_hand_with_emptied_gradients() -> None:
    body = """
loss = ((features @ w) ** 2).mean()
if w.grad is not None:
    w.grad.zero_()
loss.backward()
with torch.no_grad():
    w.sub_(0.1 * w.grad)
found.append(loss.item())
"""
    code = assert_same(f"""w = torch.ones(5, dtype=torch.float64, requires_grad=True)
def train():
    found = []
    for _ in range(4):
{"".join(f"        {line}" + chr(10) for line in body.strip().splitlines())}
    return found
""").code
    assert "w.assign_sub(0.1 * w_grad)" in code


PLAYERS = """
def start(*shape):
    return torch.autograd.Variable(0.5 * torch.ones(*shape), requires_grad=True)

G_params = [start(5, 4), start(4)]
D_params = [start(4, 1), start(1)]
params = G_params + D_params
G_solver = torch.optim.Adam(G_params, lr=0.01)
D_solver = torch.optim.Adam(D_params, lr=0.01)

def G(z):
    return torch.tanh(z @ G_params[0] + G_params[1])

def D(x):
    return x @ D_params[0] + D_params[1]

def reset_grad():
    for p in params:
        if p.grad is not None:
            data = p.grad.data
            p.grad = torch.autograd.Variable(data.new().resize_as_(data).zero_())

def train():
    found = []
    for _ in range(4):
        D_loss = (D(G(features)) ** 2).mean()
        D_loss.backward()
        D_solver.step()
        {first}
        G_loss = ((D(G(features)) - 1) ** 2).mean()
        G_loss.backward()
        G_solver.step()
        {second}
        found += [D_loss.item(), G_loss.item()]
    return found
"""


@pytest.mark.parametrize(
    "empty", ["reset_grad()", "for p in params: p.grad.zero_()",
              "for p in params:\n            if p.grad is not None: p.grad = None"],
)  # fmt: skip
def test_gradients_emptied_in_a_loop_of_the_program(empty: str) -> None:
    code = assert_same(PLAYERS.format(first=empty, second=empty)).code
    assert (empty == "reset_grad()") == ("def reset_grad" not in code)


def test_a_loop_over_other_variables_empties_nothing() -> None:
    empty = "for p in G_params: p.grad.zero_()"
    assert any("never set to zero" in r for r in reasons(PLAYERS.format(first=empty, second=empty)))


def test_a_gradient_gets_the_name_that_the_program_gives_it() -> None:
    code = to_tf("""
def attack(model, x, y):
    x.requires_grad = True
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    slope = x.grad.data
    return x + slope.sign()

attack(nn.Linear(3, 2), torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))
""")
    assert "    slope = tape.gradient(loss, x)\n    return x + tf.sign(slope)" in code
    assert "tape.watch(x)" in definition(code, "attack")


def test_where_there_is_no_gradient_yet_none_is_read() -> None:
    code = to_tf("""
x = torch.ones(3, requires_grad=True)
print(x.grad)
y = x * 2
y.sum().backward()
print(x.grad, y.grad)
""")
    assert "print(None)" in code
    assert "print(x_grad, None)" in code


NEVER = """
w = torch.ones(3, requires_grad=True)
for _ in range(3):
    loss = (w ** 2).sum()
    loss.backward()
    {line}
"""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("print(w.grad)", "never set to zero"),
        ("w.grad.clamp_(0, 1)", "changed in place"),
        ("w.grad = w.grad * 2", "set by hand"),
    ],
)
def test_what_is_not_followed_is_told(line: str, reason: str) -> None:
    assert any(reason in found for found in reasons(NEVER.format(line=line)))


BY_FUNCTION = """
def sgd(params, lr):
    {head}
        for param in params:
            param -= lr * param.grad
            param.grad.zero_()

def start():
    w, b = 0.5 * torch.ones(5, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    w = w * 1.0
    b = b * 1.0
    params = [w, b]
    for param in params:
        param.requires_grad_(True)
    return params

def train():
    found = []
    params = start()
    for _ in range(4):
        loss = ((features @ params[0] + params[1] - 1.0) ** 2).mean()
        loss.backward()
        sgd(params, lr=0.1)
        found.append(loss.item())
    return found
"""


def test_updates_in_a_function_of_the_program() -> None:
    code = assert_same(BY_FUNCTION.format(head="with torch.no_grad():")).code
    assert "def sgd" not in code
    assert "for gradient, param in zip(gradients, params):" in code


def test_an_update_whose_names_are_taken_stays_a_function() -> None:
    taken = BY_FUNCTION.format(head="with torch.no_grad():").replace(
        "found = []", "found, param = [], 1"
    )
    reason = "TensorFlow keeps no gradients with its variables: a tape gives a list"
    assert reason in reasons(taken)


@pytest.mark.parametrize(
    "made",
    [
        "[torch.zeros(5).requires_grad_() for _ in range(2)]",
        "[torch.ones(5).requires_grad_(), (torch.ones(5) * 0.1).requires_grad_(True)]",
    ],
)
def test_new_tensors_in_a_list_are_variables_where_they_ask_for_gradients(made: str) -> None:
    code = to_tf(
        f"""
w = {made}
optimizer = torch.optim.SGD(w, lr=0.1)
for i in range(3):
    loss = ((w[0] * w[1] - 2.0) ** 2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
    )
    assert code.count("tf.Variable(") == made.count("requires_grad_")
    assert "optimizer.apply_gradients(zip(gradients, w))" in code
