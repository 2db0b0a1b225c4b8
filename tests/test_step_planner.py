"""The step planner: each optimizer step gets the gradients that torch would have summed up."""

import black
import pytest
from translating import definition, reasons, to_tf, translate

ONE = """
model = nn.Linear(3, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
"""
STEP = """@tf.function
def train_step():
    with tf.GradientTape() as tape:
        loss = criterion(y, model(x))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))"""


def step_of(loop: str, before: str = ONE) -> str:
    return definition(to_tf(before + loop), "train_step")


@pytest.mark.parametrize(
    "loop",
    [
        "optimizer.zero_grad()\nloss = criterion(model(x), y)\nloss.backward()\noptimizer.step()",
        "loss = criterion(model(x), y)\noptimizer.zero_grad()\nloss.backward()\noptimizer.step()",
        "loss = criterion(model(x), y)\nloss.backward()\noptimizer.step()\noptimizer.zero_grad()",
        "model.zero_grad()\nloss = criterion(model(x), y)\nloss.backward()\noptimizer.step()",
        "loss = criterion(model(x), y)\nloss.backward()\noptimizer.step()\nmodel.zero_grad()",
        "optimizer.zero_grad(set_to_none=True)\nloss = criterion(model(x), y)\n"
        "torch.autograd.backward(loss)\noptimizer.step()",
        "optimizer.zero_grad()\nmodel.zero_grad()\nloss = criterion(model(x), y)\n"
        "loss.backward()\noptimizer.step()",
    ],
)
def test_wherever_gradients_are_emptied_each_step_has_one_loss(loop: str) -> None:
    body = loop.replace("\n", "\n    ")
    assert step_of(f"for epoch in range(3):\n    {body}\n") == STEP


def test_gradients_emptied_by_a_function_of_the_program() -> None:
    code = to_tf(f"""{ONE}
def clear():
    optimizer.zero_grad()

for epoch in range(3):
    clear()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
""")
    assert definition(code, "train_step") == STEP


def test_gradients_that_are_never_emptied_are_not_guessed_at() -> None:
    [reason] = reasons(f"""{ONE}
for epoch in range(3):
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
""")
    assert "never set to zero" in reason


def test_a_single_step_outside_of_a_loop_stays_there() -> None:
    code = to_tf(f"{ONE}\nloss = criterion(model(x), y)\nloss.backward()\noptimizer.step()\n")
    assert code.endswith("""
with tf.GradientTape() as tape:
    loss = criterion(y, model(x))
gradients = tape.gradient(loss, model.trainable_variables)
optimizer.apply_gradients(zip(gradients, model.trainable_variables))
""")


def test_backward_may_start_from_other_gradients_than_ones() -> None:
    step = step_of("""
for epoch in range(3):
    optimizer.zero_grad()
    error = model(x) - y
    error.backward(torch.ones(8, 1))
    optimizer.step()
""")
    assert "output_gradients=tf.ones([8, 1])" in step


def test_two_losses_before_a_step_are_summed() -> None:
    code = step_of("""
for epoch in range(3):
    optimizer.zero_grad()
    first = criterion(model(x), y)
    first.backward()
    second = model(x).abs().mean()
    second.backward()
    optimizer.step()
""")
    assert "tape.gradient([first, second], model.trainable_variables)" in code
    assert code.count("GradientTape") == 1


def test_a_loss_before_the_emptying_does_not_count() -> None:
    code = to_tf(f"""{ONE}
for epoch in range(3):
    first = criterion(model(x), y)
    first.backward()
    optimizer.zero_grad()
    second = model(x).abs().mean()
    second.backward()
    optimizer.step()
""")
    assert "gradient(second, model.trainable_variables)" in code
    assert "gradient(first" not in code
    assert "[first, second]" not in code


ACCUMULATED = """
for i in range(8):
    loss = criterion(model(x), y) / 4
    loss.backward()
    if (i + 1) % 4 == 0:
        {inside}
"""


@pytest.mark.parametrize(
    "inside",
    [
        "optimizer.step()\n        optimizer.zero_grad()",
        "optimizer.step()\n        model.zero_grad()",
    ],
)
def test_gradients_over_rounds_are_summed(inside: str) -> None:
    code = to_tf(ONE + ACCUMULATED.format(inside=inside))
    loop = code[code.index("for i in range(8)") :]
    assert loop.index("gradients = train_step()") < loop.index(
        "accumulated = add_gradients(accumulated, gradients)"
    )
    assert "apply_gradients(zip(accumulated, model.trainable_variables))" in loop
    assert loop.index("apply_gradients") < loop.index("accumulated = None")
    assert "accumulated = None" in code[: code.index("@tf.function")]
    assert "apply_gradients" not in definition(code, "train_step")


def test_gradients_summed_by_an_inner_loop_are_those_of_the_summed_loss() -> None:
    code = to_tf(f"""{ONE}
for epoch in range(3):
    optimizer.zero_grad()
    for i in range(4):
        loss = criterion(model(x), y)
        loss.backward()
    optimizer.step()
""")
    assert "total_loss += loss" in code
    assert "tape.gradient(total_loss, model.trainable_variables)" in code


def test_a_loss_computed_under_set_grad_enabled() -> None:
    code = to_tf(f"""{ONE}
for phase in ["train", "val"]:
    optimizer.zero_grad()
    with torch.set_grad_enabled(phase == "train"):
        loss = criterion(model(x), y)
        if phase == "train":
            loss.backward()
            optimizer.step()
    print(loss.item())
""")
    step = definition(code, "train_step")
    assert step.index("loss = criterion(y, model(x))") < step.index("if phase == ")
    inside = step[step.index("if phase == ") :]
    assert "        gradients = tape.gradient(" in inside
    assert "        optimizer.apply_gradients(" in inside
    assert "set_grad_enabled" not in code
    assert "accumulated" not in code


GAN = """
G, D = nn.Linear(4, 3), nn.Linear(3, 1)
bce = nn.BCEWithLogitsLoss()
opt_d = torch.optim.SGD(D.parameters(), lr=0.1)
opt_g = torch.optim.SGD(G.parameters(), lr=0.1)
real = torch.randn(8, 3)
one, zero = torch.ones(8, 1), torch.zeros(8, 1)
for i in range(5):
    fake = G(torch.randn(8, 4))
    opt_d.zero_grad()
    loss_d = bce(D(real), one) + bce(D(fake{cut}), zero)
    loss_d.backward({retain})
    opt_d.step()
    opt_g.zero_grad()
    loss_g = bce(D(fake), one)
    loss_g.backward()
    opt_g.step()
"""


@pytest.mark.parametrize(("cut", "retain"), [(".detach()", ""), ("", "retain_graph=True")])
def test_a_gan_gives_each_network_its_own_loss(cut: str, retain: str) -> None:
    step = step_of(GAN.format(cut=cut, retain=retain), "")
    assert "d_tape.gradient(loss_d, D.trainable_variables)" in step
    assert "g_tape.gradient(loss_g, G.trainable_variables)" in step
    assert ("tf.stop_gradient(fake)" in step) == bool(cut)
    # The generator's tape runs where its images are made; the critic has stepped when it is asked.
    assert step.index("as g_tape") < step.index("fake = G(")
    assert step.index("opt_d.apply_gradients") < step.index("loss_g = ")


def test_losses_of_a_discriminator_in_two_backward_passes_are_summed() -> None:
    step = step_of(
        """
D = nn.Linear(3, 1)
bce = nn.BCEWithLogitsLoss()
opt = torch.optim.SGD(D.parameters(), lr=0.1)
real, fake = torch.randn(8, 3), torch.randn(8, 3)
for i in range(5):
    D.zero_grad()
    loss_real = bce(D(real), torch.ones(8, 1))
    loss_real.backward()
    loss_fake = bce(D(fake), torch.zeros(8, 1))
    loss_fake.backward()
    opt.step()
""",
        "",
    )
    assert "tape.gradient([loss_real, loss_fake], D.trainable_variables)" in step


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("opt1", "opt2", ("step1_gradients", "step2_gradients")),
        ("optimizer_1", "optimizer_2", ("step1_gradients", "step2_gradients")),
        ("opt_enc", "opt_dec", ("enc_gradients", "dec_gradients")),
        ("encoder_optimizer", "decoder_optimizer", ("encoder_gradients", "decoder_gradients")),
    ],
)
def test_one_loss_and_two_optimizers(first: str, second: str, names: tuple[str, str]) -> None:
    step = step_of(
        f"""
a, b = nn.Linear(3, 3), nn.Linear(3, 1)
{first} = torch.optim.SGD(a.parameters(), lr=0.1)
{second} = torch.optim.Adam(b.parameters(), lr=0.1)
x, y = torch.randn(8, 3), torch.randn(8, 1)
for _ in range(4):
    {first}.zero_grad()
    {second}.zero_grad()
    loss = ((b(a(x)) - y) ** 2).mean()
    loss.backward()
    {first}.step()
    {second}.step()
""",
        "",
    )
    assert f"{names[0]}, {names[1]} = tape.gradient(" in step
    assert "loss, [a.trainable_variables, b.trainable_variables]" in step
    assert f"{first}.apply_gradients(zip({names[0]}, a.trainable_variables))" in step
    assert f"{second}.apply_gradients(zip({names[1]}, b.trainable_variables))" in step
    assert step.count("GradientTape") == 1


def test_two_losses_of_two_networks_have_a_tape_each() -> None:
    step = step_of(
        """
a, b = nn.Linear(3, 1), nn.Linear(3, 1)
opt1 = torch.optim.SGD(a.parameters(), lr=0.1)
opt2 = torch.optim.SGD(b.parameters(), lr=0.1)
x = torch.randn(8, 3)
for _ in range(4):
    opt1.zero_grad()
    one = a(x).mean()
    one.backward()
    opt1.step()
    opt2.zero_grad()
    two = b(x).mean()
    two.backward()
    opt2.step()
""",
        "",
    )
    assert step.count("GradientTape") == 2
    assert "gradient(one, a.trainable_variables)" in step
    assert "gradient(two, b.trainable_variables)" in step


def test_gradients_are_clipped_between_the_loss_and_the_step() -> None:
    step = step_of("""
for _ in range(4):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
""")
    places = [step.index(t) for t in ("tape.gradient", "clip_by_global_norm", "apply_gradients")]
    assert places == sorted(places)
    assert "0.5" in step


TRAINER = """
class Trainer:
    def __init__(self, model, lr):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        self.criterion = nn.MSELoss()

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

trainer = Trainer(nn.Linear(3, 1), 0.1)
print(trainer.step(torch.randn(8, 3), torch.randn(8, 1)))
"""


def test_the_method_of_a_trainer() -> None:
    code = to_tf(TRAINER)
    assert "tape.gradient(loss, self.model.trainable_variables)" in code
    assert "self.optimizer.apply_gradients(" in code
    assert "@tf.function" in code
    traced = code[code.index("@tf.function") :].split("def ", 2)[1]
    assert "float(" not in traced, "a traced function can not make a Python number"


def test_a_step_of_another_file_takes_what_it_needs_as_parameters() -> None:
    code = to_tf("""
def train(model, loader, optimizer, criterion):
    for data, target in loader:
        optimizer.zero_grad()
        loss = criterion(model(data), target)
        loss.backward()
        optimizer.step()
        print(loss.item())

model = nn.Linear(3, 1)
train(model, [(torch.randn(4, 3), torch.randn(4, 1))],
      torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
""")
    step = definition(code, "train_step")
    header = step[step.index("def ") : step.index(":")]
    for name in ("model", "optimizer", "criterion", "data", "target"):
        assert name in header
    assert step.endswith("return loss")


def test_a_step_with_effects_on_the_host_stays_where_it_is() -> None:
    conversion = translate(f"""{ONE}
losses = []
for epoch in range(3):
    optimizer.zero_grad()
    output = model(x)
    losses.append(output.detach().numpy().mean())
    loss = criterion(output, y)
    loss.backward()
    optimizer.step()
""")
    assert "with tf.GradientTape() as tape:" in conversion.code
    lifted = "@tf.function" in conversion.code
    if lifted:  # then the line on the host has to stand outside of the step
        assert "losses.append" not in definition(conversion.code, "train_step")
    else:
        assert any("eager" in f.message for f in conversion.findings)


def test_the_step_begins_with_the_sums_and_lists_that_it_fills() -> None:
    code = to_tf("""
import torch
from torch import nn
cell, head = nn.RNNCell(4, 8), nn.Linear(8, 1)
optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.1)
x = torch.randn(16, 5, 4)
for epoch in range(3):
    seen = 0
    outputs = []
    state = torch.zeros(x.size(0), 8)
    loss = 0
    for t in range(5):
        state = cell(x[:, t], state)
        outputs.append(head(state))
        loss += outputs[-1].square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.data, len(outputs))
""")
    step = definition(code, "train_step")
    assert "def train_step():" in step
    assert step.index("outputs = []") < step.index("loss = 0") < step.index("with tf.GradientTape")
    assert "seen = 0" not in step
    assert "loss, outputs = train_step()" in code or "outputs, loss = train_step()" in code
    assert "print(loss, len(outputs))" in code  # an attribute of what is a number only at first


def test_backward_without_a_step_is_not_dropped() -> None:
    [reason] = reasons(f"{ONE}\nfor _ in range(2):\n    optimizer.step()\n")
    assert reason


def test_the_output_is_black_s() -> None:
    accumulated = ACCUMULATED.format(inside="optimizer.step()\n        optimizer.zero_grad()")
    for source in (ONE + accumulated, GAN.format(cut=".detach()", retain=""), TRAINER):
        code = to_tf(source)
        assert black.format_str(code, mode=black.Mode()) == code


def test_batches_that_a_function_draws_stay_outside_of_the_step() -> None:
    code = to_tf(f"""{ONE}
data = torch.randn(20, 3)

def get_batch():
    ix = torch.randint(12, (8,))
    return torch.stack([data[i] for i in ix]), y

for epoch in range(3):
    xb, yb = get_batch()
    loss = criterion(model(xb), yb)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""")
    assert "get_batch" not in definition(code, "train_step")


def test_comprehensions_over_tensors_are_not_traced() -> None:
    code = to_tf(f"""{ONE}
def rows():
    return torch.stack([model(row.unsqueeze(0)) for row in x])

for epoch in range(3):
    loss = rows().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""")
    assert "@tf.function" not in code


def test_models_made_in_a_loop_are_built_before_their_step_is_traced() -> None:
    code = to_tf("""
x, y = torch.randn(8, 3), torch.randn(8, 1)
for fold in range(3):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""")
    built = code.index("model.build((None, 3))")
    assert built < code.index("optimizer.build(model.trainable_variables)")
    assert code.index("@tf.function") < built


CRITIC = """
G, D = nn.Linear(4, 3), nn.Linear(3, 1)
opt_d = torch.optim.SGD(D.parameters(), lr=0.1)
opt_g = torch.optim.SGD(G.parameters(), lr=0.1)
real = torch.randn(8, 3)
for i in range(5):
    {start}
    z = torch.randn(8, 4)
    fake = G(z){cut}
    loss_d = D(fake).mean() - D(real).mean()
    loss_d.backward()
    opt_d.step()
    {after}
    if i % 2 == 0:
        {inside}
        loss_g = -D({images}).mean()
        loss_g.backward()
        opt_g.step()
        print(loss_d.item(), loss_g.item())
"""


@pytest.mark.parametrize(
    ("start", "cut", "after", "inside"),
    [
        ("opt_d.zero_grad()", ".detach()", "", "opt_g.zero_grad()"),
        ("opt_d.zero_grad()", "", "", "opt_g.zero_grad()"),
        ("opt_d.zero_grad()", "", "opt_g.zero_grad()", ""),
        ("opt_d.zero_grad()\n    opt_g.zero_grad()", ".detach()", "", ""),
        ("opt_d.zero_grad()", ".detach().requires_grad_()", "", "G.zero_grad()"),
    ],
)
def test_a_step_every_few_rounds_is_one_of_its_own(
    start: str, cut: str, after: str, inside: str
) -> None:
    after, inside = after or "pass", inside or "pass"
    code = to_tf(CRITIC.format(start=start, cut=cut, after=after, inside=inside, images="G(z)"))
    assert "tape.gradient(loss_d, D.trainable_variables)" in definition(code, "d_step")
    assert "tape.gradient(loss_g, G.trainable_variables)" in definition(code, "g_step")
    assert "loss_d = d_step(z)" in code or "loss_d = d_step(fake)" in code
    assert "        loss_g = g_step(z)\n        print(" in code


@pytest.mark.parametrize(
    ("start", "cut", "after", "inside", "images"),
    [
        # The generator's images are made before the condition.
        ("opt_d.zero_grad()", "", "pass", "opt_g.zero_grad()", "fake"),
        # The critic's loss leaves gradients of the generator, which nobody empties before its step.
        ("opt_d.zero_grad()", "", "pass", "pass", "G(z)"),
        # The generator's loss leaves gradients of the critic to its next step.
        ("pass", ".detach()", "opt_d.zero_grad()", "opt_g.zero_grad()", "G(z)"),
    ],
)
def test_what_passes_between_a_condition_and_its_surroundings_is_not_lost(
    start: str, cut: str, after: str, inside: str, images: str
) -> None:
    assert reasons(CRITIC.format(start=start, cut=cut, after=after, inside=inside, images=images))


def test_two_updates_under_conditions_of_their_own() -> None:
    code = to_tf(
        """
G, D = nn.Linear(4, 3), nn.Linear(3, 1)
opt_d = torch.optim.SGD(D.parameters(), lr=0.1)
opt_g = torch.optim.SGD(G.parameters(), lr=0.1)
real = torch.randn(8, 3)
for i in range(5):
    z = torch.randn(8, 4)
    opt_d.zero_grad()
    opt_g.zero_grad()
    if i % 3 == 0:
        loss_g = -D(G(z)).mean()
        loss_g.backward()
        opt_g.step()
        opt_d.zero_grad()
    if i % 2 == 0:
        loss_d = D(G(z).detach()).mean() - D(real).mean()
        loss_d.backward()
        opt_d.step()
"""
    )
    assert "    if i % 3 == 0:\n        g_step(z)\n" in code
    assert "    if i % 2 == 0:\n        d_step(z)\n" in code


@pytest.mark.parametrize(
    ("helper", "call"),
    [
        ("def reset():\n    for net in nets:\n        net.zero_grad()\n", "reset()"),
        ("", "for net in nets:\n        net.zero_grad()"),
        ("", "for solver in [opt_d, opt_g]:\n        solver.zero_grad()"),
    ],
)
def test_gradients_emptied_in_a_loop_over_models(helper: str, call: str) -> None:
    code = to_tf(f"""
G, D = nn.Linear(4, 3), nn.Linear(3, 1)
nets = [G, D]
opt_d = torch.optim.SGD(D.parameters(), lr=0.1)
opt_g = torch.optim.SGD(G.parameters(), lr=0.1)
{helper}
for i in range(5):
    z = torch.randn(8, 4)
    loss_d = D(G(z)).mean() - D(torch.randn(8, 3)).mean()
    loss_d.backward()
    opt_d.step()
    {call}
    loss_g = -D(G(z)).mean()
    loss_g.backward()
    opt_g.step()
    {call}
""")
    assert "g_tape.gradient(loss_g, G.trainable_variables)" in definition(code, "train_step")
    assert "for net" not in code and "for solver" not in code


def test_backward_that_is_asked_about_some_inputs() -> None:
    """Gradients reach only those: the other model steps on its own loss."""
    code = to_tf("""
a, b = nn.Linear(3, 3), nn.Linear(3, 1)
first = torch.optim.SGD(a.parameters(), lr=0.1)
second = torch.optim.SGD(b.parameters(), lr=0.1)
x = torch.randn(8, 3)
for _ in range(3):
    y = b(a(x))
    one, two = y.mean(), y.square().mean()
    first.zero_grad()
    one.backward(inputs=list(a.parameters()), retain_graph=True)
    second.zero_grad()
    two.backward(inputs=list(b.parameters()))
    first.step()
    second.step()
""")
    assert "gradient(one, a.trainable_variables)" in code
    assert "gradient(two, b.trainable_variables)" in code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("p.grad = p.grad / (p.grad.abs().max() + 1e-6)",
         "p / (tf.reduce_max(tf.abs(p)) + 1e-6) for p in gradients"),
        ("p.grad /= 2", "p / 2 for p in gradients"),
        ("if p.grad is not None:\n            p.grad.data = 0.5 * p.grad.data",
         "0.5 * p for p in gradients"),
    ],
)  # fmt: skip
def test_gradients_changed_in_a_loop(body: str, expected: str) -> None:
    code = step_of(f"""
for _ in range(5):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    for p in model.parameters():
        {body}
    optimizer.step()
""")
    assert expected in " ".join(code.split())


def test_gradients_changed_under_a_condition_are_left() -> None:
    left = reasons(f"""{ONE}
for _ in range(5):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    for p in model.parameters():
        if p.grad.norm() > 1:
            p.grad /= 2
    optimizer.step()
""")
    assert left


def test_an_attribute_that_changes_is_seen_behind_its_methods() -> None:
    code = to_tf("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.spread = torch.ones(2)

    def forward(self, x):
        return self.fc(x) * self.spread.expand_as(self.fc(x))

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for i in range(3):
    loss = net(torch.ones(4, 3)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    net.spread = torch.ones(2) * i
""")
    assert "@tf.function" not in code
