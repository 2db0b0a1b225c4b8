"""The mode planner: what train() and eval() set is said at every call that depends on it."""

import pytest
from translating import reasons, to_tf

NET = """
model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
plain = nn.Sequential(nn.Linear(3, 2))
x = torch.randn(8, 3)
"""


FROZEN = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.drop = nn.Dropout(0.5)

    def train(self, mode=True):
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, x):
        return self.drop(self.base(x))

model = Net()
x = torch.randn(8, 3)
model.eval()
print(model(x))
for epoch in range(2):
    model.train()
    print(model(x))
    model.eval()
    print(model(x))
"""


def test_a_train_of_its_own_puts_the_whole_model_in_training() -> None:
    code = to_tf(FROZEN)
    modes = [part[: part.index(")")] for part in code.split("(model(x, ")[1:]]
    assert modes == ["training=False", "training=True", "training=False"]


def test_parts_that_are_called_on_their_own_are_in_the_mode_of_the_whole() -> None:
    source = (
        FROZEN.partition("model = Net()")[0]
        + """
net = Net()
x = torch.randn(8, 3)
net.train(False)
print(net.drop(x))
"""
    )
    assert "net.drop(x, training=False)" in to_tf(source)


def calls(source: str) -> list[str]:
    """The arguments of every call of `model` in the translation, in their order."""
    code = to_tf(NET + source)
    assert ".train()" not in code
    assert ".eval()" not in code
    parts = code.split("model(")[1:]
    return [part[: part.index(")")] for part in parts]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("print(model(x))", ["x, training=True"]),
        ("model.eval()\nprint(model(x))", ["x, training=False"]),
        ("model.eval()\nmodel.train()\nprint(model(x))", ["x, training=True"]),
        ("model.train(False)\nprint(model(x))", ["x, training=False"]),
        ("model.train(mode=False)\nprint(model(x))", ["x, training=False"]),
        ("print(model.eval()(x))", None),
        ("m = model.eval()\nprint(model(x))", ["x, training=False"]),
        (
            "for e in range(2):\n    model.train()\n    print(model(x))\n"
            "    model.eval()\n    print(model(x))",
            ["x, training=True", "x, training=False"],
        ),
        (
            "def test():\n    model.eval()\n    return model(x)\n\nmodel.train()\ntest()\n"
            "print(model(x))",
            ["x, training=False", "x, training=False"],
        ),
        ("with torch.no_grad():\n    print(model(x))", ["x, training=True"]),
    ],
)
def test_the_mode_of_calls(source: str, expected: list[str] | None) -> None:
    found = calls(source)
    if expected is None:
        assert "training=False" in to_tf(NET + source)
    else:
        assert found == expected


def test_a_model_without_a_mode_is_called_as_it_was() -> None:
    assert "training" not in to_tf(f"{NET}\nplain.eval()\nprint(plain(x))\n")


def test_a_model_passed_to_functions() -> None:
    code = to_tf(f"""{NET}
def fit(net):
    net.train()
    return net(x)

def evaluate(net):
    net.eval()
    return net(x)

print(fit(model), evaluate(model))
""")
    assert code.index("net(x, training=True)") < code.index("net(x, training=False)")


def test_two_models_have_modes_of_their_own() -> None:
    code = to_tf(f"""{NET}
other = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
other.eval()
print(model(x), other(x))
""")
    assert "model(x, training=True)" in code
    assert "other(x, training=False)" in code


def test_a_mode_that_changes_is_kept_in_a_variable() -> None:
    code = to_tf(f"""{NET}
for phase in ["train", "val"]:
    if phase == "train":
        model.train()
    else:
        model.eval()
    print(model(x))
""")
    assert "training = True" in code
    assert "training = False" in code
    assert "model(x, training=training)" in code


def test_the_variable_does_not_take_a_name_of_the_program() -> None:
    code = to_tf(f"""{NET}
training = [1, 2]
for phase in ["train", "val"]:
    if phase == "train":
        model.train()
    else:
        model.eval()
    print(model(x), training)
""")
    assert "training = [1, 2]" in code
    assert "training=is_training" in code


def test_layers_inside_of_a_model_get_the_mode_it_is_called_with() -> None:
    code = to_tf("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.drop(x))

net = Net()
net.eval()
print(net(torch.randn(8, 3)))
""")
    assert "training=False" in code[code.index("net = Net()") :]
    inside = code[code.index("def call(") : code.index("net = Net()")]
    assert "self.fc(self.drop(x" in inside


def test_a_part_in_another_mode_is_left_to_a_person() -> None:
    [reason] = reasons("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))

    def forward(self, x):
        return self.body(x)

net = Net()
net.body.eval()
print(net(torch.randn(8, 3)))
""")
    assert "another mode than the rest" in reason


METHODS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(4, 2)

    def encode(self, x, *, scale=1.0):
        return self.drop(self.hidden(x)) * scale

    def embed(self, x):
        return self.encode(x)

    def head(self, h):
        return self.out(h)

    def forward(self, x):
        return self.head(self.embed(x))


net = Net()
x = torch.ones(6, 3)
"""


def test_methods_called_by_name_pass_the_mode_on() -> None:
    code = to_tf(METHODS + "net.embed(x)\nnet.eval()\nprint(net.head(net.embed(x)), net(x))\n")
    assert "def encode(self, x, *, scale=1.0, training=None):" in code
    assert "return self.drop(self.hidden(x, training=training), training=training) * scale" in code
    assert "return self.encode(x, training=training)" in code
    assert "def head(self, h):" in code
    assert "net.embed(x, training=True)" in code
    assert "print(net.head(net.embed(x, training=False)), net(x, training=False))" in code


def test_a_method_called_in_both_modes() -> None:
    code = to_tf(METHODS + "for on in (True, False):\n    net.train(on)\n    net.embed(x)\n")
    assert "training = on" in code
    assert "net.embed(x, training=training)" in code


KEPT = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 2)

    def train(self, mode=True):
        super().train(mode)
        self.body.eval()  # keeps its statistics
        return self

    def forward(self, x):
        return self.head(self.drop(self.body(x)))

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(2):
    {first}
    loss = (net(torch.randn(8, 3)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
{last}
"""


def test_a_part_that_train_keeps_in_evaluation_mode_is_called_so() -> None:
    code = to_tf(KEPT.format(first="net.train()", last=""))
    assert "self.head(self.drop(self.body(x, training=False), training=training))" in code
    assert "def call(self, x, training=None):" in code
    assert "def train(" not in code
    assert "net.train()" not in code


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("pass", ""),  # a new model is in training mode, all of it
        ("net.train()", "print(net.body(torch.randn(8, 3)))"),
        ("net.train()", "outer = nn.Sequential(net, nn.ReLU())\nouter(torch.randn(8, 3))"),
    ],
)
def test_a_part_that_may_run_in_training_mode_is_told(first: str, last: str) -> None:
    assert any("another mode" in r for r in reasons(KEPT.format(first=first, last=last)))


def test_a_function_that_is_also_given_an_unknown_model_says_its_mode() -> None:
    code = to_tf("""
def predict(model, x):
    model.eval()
    return model(x)

net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
predict(net, torch.ones(2, 3))
predict(unpickle("best"), torch.ones(2, 3))
""")
    assert "return model(x, training=False)" in code


def test_a_part_that_is_only_kept_is_told_its_mode_by_its_callers() -> None:
    code = to_tf("""
class Kept(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.module = model
        self.module.eval()

kept = Kept(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)))
print(kept.module(torch.randn(8, 3)))
""")
    assert "kept.module(tf.random.normal([8, 3]), training=False)" in code


BY_NAME = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.fc(x))

    def act(self, x):
        return self.forward(x).argmax(1)

net = Net()
x = torch.ones(4, 3)
print(net.act(x), net.forward(x))
net.eval()
print(net.act(x), net.forward(x))
"""


def test_forward_called_by_name_gets_the_mode() -> None:
    code = to_tf(BY_NAME)
    assert "return tf.argmax(self(x, training=training), axis=1)" in code
    assert "print(net.act(x, training=True), net(x, training=True))" in code
    assert "print(net.act(x, training=False), net(x, training=False))" in code
