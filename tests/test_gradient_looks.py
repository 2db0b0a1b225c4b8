"""Gradients that are read or changed by hand between backward() and step(): torch's numbers."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same


@pytest.fixture(autouse=True, scope="module")
def in_double_precision() -> Iterator[None]:
    with double_precision():
        yield


PROGRAM = """
model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(features)

{helper}
def train():
    found = []
    for step in range(4):
        loss = F.cross_entropy(model(features), classes)
        optimizer.zero_grad()
        loss.backward()
{body}
        found.append(loss.item())
    return found
"""
BODIES = {
    "the total norm": """
total = 0
for p in model.parameters():
    norm = p.grad.data.norm(2)
    total += norm.item() ** 2
found.append(total ** 0.5)
optimizer.step()
""",
    "in a comprehension, before they are clipped and after": """
found += [p.grad.abs().mean().item() for p in model.parameters()]
torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
found.append(sum((p.grad ** 2).sum() for p in model.parameters()).item())
optimizer.step()
""",
    "beside the parameters, which the step changes": """
for p in model.parameters():
    found.append((p.grad.norm() / p.data.norm()).item())
optimizer.step()
""",
    "by name, every other round": """
optimizer.step()
if step % 2 == 0:
    norms = {n: p.grad.norm().item() for n, p in model.named_parameters()}
    for name, param in model.named_parameters():
        if param.grad is not None:
            found.append(param.grad.abs().max().item())
    found.append(norms["0.weight"])
""",
    "clamped and scaled by hand": """
for group in optimizer.param_groups:
    for p in group['params']:
        p.grad.data.mul_(0.5)
for p in model.parameters():
    p.grad.clamp_(min=-0.01, max=0.02)
optimizer.step()
""",
    "clamped by a function of the optimizer": """
clip_gradient(optimizer, 0.01)
optimizer.step()
""",
}
HELPER = """
def clip_gradient(optimizer, grad_clip):
    for group in optimizer.param_groups:
        for param in group['params']:
            if param.grad is not None:
                param.grad.data.clamp_(-grad_clip, grad_clip)
"""


@pytest.mark.parametrize("name", BODIES)
def test_gradients_at_hand(name: str) -> None:
    body = "".join(f"        {line}\n" for line in BODIES[name].strip().splitlines())
    helper = HELPER if "clip_gradient" in body else ""
    code = assert_same(PROGRAM.format(body=body, helper=helper)).code
    assert "clip_gradient" not in code


def test_a_look_that_can_wait_leaves_the_step_traced() -> None:
    body = """
        for p in model.parameters():
            found.append(p.grad.norm().item())
        optimizer.step()
"""
    code = assert_same(PROGRAM.format(body=body, helper="")).code
    assert "loss, gradients = train_step(" in code
    assert "for gradient in gradients:" in code
