"""Losses of what other functions computed, and of whole loops: the numbers are torch's."""

from collections.abc import Iterator

import pytest
from proving_sides import double_precision
from training import assert_same
from translating import to_tf


@pytest.fixture(autouse=True, scope="module")
def double() -> Iterator[None]:
    with double_precision():
        yield


POLICY = """
from torch.distributions import Categorical

model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax(dim=-1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
saved = []

def prepare():
    model(features[:1])
"""
CHOOSE = """
def choose(state):
    chances = model(state)
    dist = Categorical(chances)
    action = chances.argmax(dim=1)
    saved.append(dist.log_prob(action))
    return action.sum().item()
"""
SUMMED = """
def finish():
    losses = []
    for i, log_prob in enumerate(saved):
        losses.append(-log_prob * (i + 1.0))
    optimizer.zero_grad()
    loss = torch.stack(losses).sum()
    loss.backward()
    optimizer.step()
    del saved[:]
    return loss.item()
"""
ONE_BY_ONE = """
def finish():
    total = 0.0
    optimizer.zero_grad()
    for i, log_prob in enumerate(saved):
        loss = (-log_prob * (i + 1.0)).mean()
        loss.backward()
        total += loss.item()
    optimizer.step()
    del saved[:]
    return total
"""
TRAIN = """
def train():
    found = []
    for episode in range(3):
        for step in range(4):
            found.append(choose(features[step:step + 1]))
        found.append(finish())
    return found
"""


@pytest.mark.parametrize("finish", [SUMMED, ONE_BY_ONE], ids=["summed", "one by one"])
def test_forward_passes_that_other_functions_keep(finish: str) -> None:
    code = assert_same(POLICY + CHOOSE + finish + TRAIN).code
    assert code.count("with running_tape:") == 2
    assert code.count("running_tape = tf.GradientTape()") == 1


def test_attributes_of_an_agent_that_hold_the_graph() -> None:
    code = assert_same("""
class Agent:
    def __init__(self):
        self.actor = nn.Linear(5, 3)
        self.optimizer = torch.optim.SGD(self.actor.parameters(), lr=0.1)
        self.log_probs = None

    def choose(self, state):
        chances = torch.softmax(self.actor(state), dim=-1)
        action = chances.argmax(dim=1)
        self.log_probs = chances.log().max(dim=1)[0]
        return action

    def learn(self, state):
        self.optimizer.zero_grad()
        value = self.actor(state).sum()
        loss = (value - self.log_probs.sum()) ** 2
        loss.backward()
        self.optimizer.step()
        return loss.item()

agent = Agent()
model = agent.actor

def prepare():
    model(features[:1])

def train():
    found = []
    for step in range(4):
        agent.choose(features[step:step + 1])
        found.append(agent.learn(features[step:step + 1] * 2))
    return found
""").code
    assert code.count("with running_tape:") == 2


def test_what_is_kept_as_numbers_needs_no_tape() -> None:
    code = to_tf(f"""{POLICY}
from torch.distributions import Categorical
memory = []

def choose(state):
    action = model(state).argmax().item()
    memory.append(action)
    return action

def learn(x):
    optimizer.zero_grad()
    loss = model(x).sum() * len(memory)
    loss.backward()
    optimizer.step()

choose(torch.randn(1, 5))
learn(torch.randn(4, 5))
""")
    assert "running_tape" not in code


def test_gradients_of_a_loop_add_up_to_the_step_after_it() -> None:
    code = assert_same("""
model = nn.Linear(5, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()

def prepare():
    model(features[:1])

def train():
    found = []
    for epoch in range(3):
        optimizer.zero_grad()
        for part in range(3):
            x, y = features[part * 4:part * 4 + 4], classes[part * 4:part * 4 + 4]
            loss = criterion(model(x), y) / 3
            loss.backward()
            found.append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    return found
""").code
    assert "total_loss += loss" in code


def test_a_closure_that_an_optimizer_evaluates_once() -> None:
    assert_same("""
model = nn.Linear(5, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()

def prepare():
    model(features[:1])

def train():
    found = []
    for epoch in range(3):
        def closure():
            optimizer.zero_grad()
            loss = criterion(model(features), classes)
            loss.backward()
            return loss
        found.append(optimizer.step(closure).item())
    return found
""")


@pytest.mark.parametrize("search", ["", ", line_search_fn='strong_wolfe'"])
def test_a_closure_that_an_optimizer_evaluates_several_times(search: str) -> None:
    code = assert_same(f"""
model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4{search})
criterion = nn.CrossEntropyLoss()

def prepare():
    model(features[:1])

def train():
    found = []
    for epoch in range(3):
        def closure():
            optimizer.zero_grad()
            loss = criterion(model(features), classes)
            found.append(loss.item())
            loss.backward()
            return loss
        loss = optimizer.step(closure)
        found.append(loss.item())
    return found
""").code
    assert "optimizer.step(closure)" in code
    assert ("strong_wolfe" in code) == bool(search)


def test_gradients_that_are_asked_for_after_the_tensor_is_made() -> None:
    assert_same("""
scale = torch.zeros(3)
scale.requires_grad = True
shift = torch.ones(3)
shift.requires_grad_(True)
optimizer = torch.optim.SGD([scale, shift], lr=0.1)

def train():
    found = []
    for epoch in range(3):
        loss = ((scale * 2 + shift - features[0, :3]) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
""")


def test_layers_take_single_vectors_and_batches() -> None:
    code = assert_same("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return torch.softmax(self.head(self.body(x)), dim=-1)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def prepare():
    model(torch.zeros(1, 5))

def train():
    found = []
    for step in range(3):
        state = torch.zeros(5) + step
        found.append(model(state)[0].item())
        loss = model(features).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found
""").code
    assert code.count("VectorDense(") == 3  # its definition takes layers.Dense


def test_classes_that_are_named_by_a_text() -> None:
    code = to_tf("""
class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        if kind in ["LSTM", "GRU"]:
            self.rnn = getattr(nn, kind)(5, 4, 1)
        self.out = nn.Linear(4, 2)

    def forward(self, x, state):
        x, state = self.rnn(x, state)
        return self.out(x), state

Net(input())
""")
    assert 'if kind == "LSTM":' in code and "getattr" not in code


def test_updates_by_hand_of_clipped_gradients() -> None:
    assert_same("""
model = nn.Linear(5, 3)
criterion = nn.CrossEntropyLoss()

def prepare():
    model(features[:1])

def train():
    found = []
    for epoch in range(3):
        model.zero_grad()
        loss = criterion(model(features), classes)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-0.5)
        found.append(loss.item())
    return found
""")


def test_things_of_which_nothing_is_known_leave_for_a_device() -> None:
    code = to_tf("""
def move(self, batch):
    x = batch["x"].to(self.device)
    return x.to(self.device, non_blocking=True)
""")
    assert ".to(" not in code


HANDED = """
def play():
    chances, values = [], []
    for step in range(4):
        state = features[step:step + 1]
        probs = model(state)
        chances.append(Categorical(probs).log_prob(probs.argmax(dim=1)))
        values.append(probs[:, 0])
    chances = torch.cat(chances)
    values = torch.cat(values)
    returns = torch.arange(4.0, dtype=torch.float64)
    return update(returns, chances, values)

def update(returns, chances, values):
    {cut}
    loss = -((returns - values) * chances).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()

def train():
    return [play() for _ in range(3)]
"""


@pytest.mark.parametrize("cut", ["returns = returns.detach()", "values = values.detach()"])
def test_a_loss_of_what_its_function_is_given(cut: str) -> None:
    code = assert_same(POLICY + HANDED.format(cut=cut)).code
    assert code.count("with running_tape:") == 2


def test_arguments_that_are_detached_at_once_need_no_tape() -> None:
    cut = "chances = chances.detach()\n    values = values.detach()"
    own = HANDED.replace("* chances)", "* model(features[:4])[:, 0])")
    code = assert_same(POLICY + own.format(cut=cut)).code
    assert "running_tape" not in code
