"""State that lives on between calls: hidden states of modules, optimizers of functions, weights."""

from translating import definition, reasons, to_tf

TAGGER = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 5)
        self.hidden = torch.zeros(1, 2, 5)

    def forward(self, x):
        out, self.hidden = self.rnn(x, self.hidden)
        return out

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in [torch.randn(4, 2, 3)] * 3:
    model.hidden = model.hidden.detach()
    optimizer.zero_grad()
    loss = model(x).mean()
    loss.backward()
    optimizer.step()
"""


def test_a_module_that_keeps_its_hidden_state_is_built_by_its_first_call() -> None:
    code = to_tf(TAGGER)
    assert "def build(self, input_shape):" in definition(code, "Net")
    assert "tf.function" not in code


def test_an_attribute_that_is_only_left_for_others_needs_no_build() -> None:
    code = to_tf(TAGGER.replace("self.rnn(x, self.hidden)", "self.rnn(x)"))
    assert "def build" not in definition(code, "Net")


TWICE = """
def fit(model, lr):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for epoch in range(3):
        x = torch.randn(4, 2)
        loss = model(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

fit(nn.Linear(2, 1), 0.1)
"""


def test_a_function_that_trains_again_defines_its_step_inside() -> None:
    assert "\n@tf.function" in to_tf(TWICE)
    again = definition(to_tf(TWICE + "fit(nn.Linear(2, 1), 0.01)\n"), "fit")
    assert "    @tf.function\n    def train_step(x):" in again
    assert "loss = train_step(x)" in again or "train_step(x)" in again


SOFT = """
a, b = nn.Linear(2, 1), nn.Linear(2, 1)
a(torch.randn(3, 2)), b(torch.randn(3, 2))
old, new = a.state_dict(), b.state_dict()
"""


def test_loops_over_a_state_run_over_its_positions() -> None:
    code = to_tf(f"""{SOFT}
for key in new:
    old[key] = new[key] * 0.1 + old[key] * 0.9
a.load_state_dict(old)
b.load_state_dict({{k: v.clone() for k, v in old.items()}})
""")
    assert "for key in range(len(new)):" in code
    assert "for v in old]" in code and ".items()" not in code


def test_entries_of_a_state_by_their_names_are_told() -> None:
    reason = "a model's state is a list of arrays here, without names"
    assert reasons(f"{SOFT}\nprint(old['weight'])\n") == [reason]
    assert reasons(f"{SOFT}\nfor k, v in old.items():\n    print(k)\n") == [reason]


COPIED = """
import copy

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, 1)

    def forward(self, x):
        return self.fc(x)

net = Net(3).to("cpu")
"""


def test_a_copy_of_a_new_module_is_another_one_with_its_state() -> None:
    code = to_tf(
        f"{COPIED}old = copy.deepcopy(net)\nprint(net(torch.ones(2, 3)), old(torch.ones(2, 3)))\n"
    )
    assert "old = Net(3)\n" in code
    assert code.index("net(tf.zeros") < code.index("old.set_weights(net.get_weights())")


def test_other_copies_of_modules_are_made_again() -> None:
    code = to_tf(f"{COPIED}nets = [copy.deepcopy(net) for _ in range(2)]\n")
    assert "nets = [copied(net) for _ in range(2)]" in code
    assert "class Net(Copyable, keras.Model):" in code


def test_a_module_that_asks_for_values_is_built_by_its_first_call() -> None:
    asks = "if (x > 0).all():\n            x = -x\n        return self.rnn(x)[0]"
    code = to_tf(
        TAGGER.replace("out, self.hidden = self.rnn(x, self.hidden)\n        return out", asks)
    )
    assert "pass  # no trial run of call, which depends on values" in code


def test_a_copy_keeps_what_it_is_put_into_at_once() -> None:
    code = to_tf("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(2, 1), nn.Dropout(0.1)

    def forward(self, x):
        return self.drop(self.fc(x))

import copy
net = Net()
slow = copy.deepcopy(net).eval().requires_grad_(False)
x = torch.randn(3, 2)
print(net(x), slow(x))
for p, q in zip(net.parameters(), slow.parameters()):
    q.data = 0.9 * q.data + 0.1 * p.data
""")
    assert "slow = Net()" in code and "slow.trainable = False" in code
    assert "slow(x, training=False)" in code
    assert "zip(net.trainable_variables, slow.weights)" in code


AVERAGED = """
class Average:
    def __init__(self, model, slow):
        self.slow = slow

    def update(self, model):
        {body}

fast, slow = nn.Linear(2, 1), nn.Linear(2, 1)
fast(torch.randn(3, 2)), slow(torch.randn(3, 2))
average = Average(fast, slow)
average.update(fast)
"""


def test_entries_of_a_state_that_are_changed_are_the_models_own() -> None:
    code = to_tf(AVERAGED.format(body="""state = model.state_dict()
        for k, v in self.slow.state_dict().items():
            if v.dtype.is_floating_point:
                v *= 0.9
                v += 0.1 * state[k].detach()"""))  # fmt: skip
    assert "for k, v in enumerate(self.slow.weights):" in code
    assert "v.assign(v * 0.9)" in code and "state[k]" in code
    code = to_tf(AVERAGED.format(body="""
        for v, w in zip(self.slow.state_dict().values(), model.state_dict().values()):
            v.copy_(0.9 * v + 0.1 * w)"""))  # fmt: skip
    assert "zip(self.slow.weights, model.weights)" in code and "v.assign(" in code


def test_parameters_in_a_dict_are_assigned_to() -> None:
    code = to_tf(AVERAGED.format(body="""own = dict(self.slow.named_parameters())
        for name, p in model.named_parameters():
            own[name].mul_(0.9).add_(p.data, alpha=0.1)"""))  # fmt: skip
    assert "own[name].assign(own[name] * 0.9 + 0.1 * " in code
