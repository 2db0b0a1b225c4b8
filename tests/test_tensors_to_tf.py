"""Tensor operations from PyTorch to TensorFlow, as they are written."""

import pytest
from translating import reasons, to_tf, translate

from transpiler.findings import Grade

X = "x = torch.randn(4, 3)\ny = torch.randint(0, 3, (4,))\n"


def last(source: str) -> str:
    """The last line of the translation."""
    return to_tf(X + source).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("z = x.view(x.size(0), -1)", "z = tf.reshape(x, [-1, 3])"),
        ("_, z = torch.max(x.data, 1)", "z = tf.argmax(x, axis=1)"),
        ("z = x.max(1, keepdim=True)[1]", "z = tf.expand_dims(tf.argmax(x, axis=1), 1)"),
        ("z = (x.argmax(1) == y).sum().item()",
         "z = int(tf.reduce_sum(tf.cast(tf.argmax(x, axis=1) == y, tf.int64)))"),
        ("z = (x > 0) * x", "z = tf.cast(x > 0, tf.float32) * x"),
        ("z = y / 2", "z = tf.cast(y, tf.float32) / 2"),
        ("z = x[[2, 0]]", "z = tf.gather(x, [2, 0])"),
        ("z = x[torch.arange(4), y]", "z = tf.gather(x, y, axis=1, batch_dims=1)"),
        ("z = x[x > 0]", "z = tf.boolean_mask(x, x > 0)"),
        ("import numpy as np\nrows = np.arange(unknown)\nz = x[rows[:2]]",
         "z = tf.gather(x, rows[:2])"),
        ("z = x[torch.arange(4), unknown]", "z = tf.gather(x, unknown, axis=1, batch_dims=1)"),
        ("for i in range(4):\n    x[i] = w = torch.ones(3)",
         "    x = assign_at(x, i, w)"),
        ("x[x > 0] = 1", "x = tf.where(x > 0, 1.0, x)"),
        ("x[0, 1] = 5.0", "x = tf.tensor_scatter_nd_update(x, [[0, 1]], [5.0])"),
        ("x.mul_(2).add_(1)", "x = x * 2 + 1"),
        ("z = x @ x[0]", "z = tf.linalg.matvec(x, x[0])"),
        ("z = torch.matmul(x, x.t())", "z = tf.matmul(x, x, transpose_b=True)"),
        ("z = F.one_hot(y, 3).float()", "z = tf.one_hot(y, 3)"),
        ("z = torch.from_numpy(y.numpy()).float()", "z = tf.cast(y.numpy(), tf.float32)"),
        ("z = torch.LongTensor(4).random_(0, 3)",
         "z = tf.random.uniform([4], 0, 3, dtype=tf.int64)"),
        ("z = F.dropout(x, 0.5, training=False)", "z = x"),
        ("z = x.detach().cpu().numpy()", "z = x.numpy()"),
        ("z = x.to(torch.int64)", "z = tf.cast(x, tf.int64)"),
        ("z = y.long()", "z = y"),
        ("z = x.size(1)", "z = x.shape[1]"),
        ("d = -1 if y[0] > 0 else -2\nz = x.flip(d)", "z = tf.reverse(x, [d])"),
        ("z = x.numel()", "z = math.prod(x.shape)"),
        ("z = x.clamp(*(0, 1))", "z = tf.clip_by_value(x, 0, 1)"),
        ("low_high = [0.5, 2.0]\nz = x.clamp(*low_high)",
         "z = tf.clip_by_value(x, low_high[0], low_high[1])"),
        ("w = torch.zeros(3, requires_grad=True)", "w = tf.Variable(tf.zeros([3]))"),
        ("w = torch.zeros(3, requires_grad=True)\nw.data.clamp_(0, 1)",
         "w.assign(tf.clip_by_value(w, 0, 1))"),
        ("w = torch.zeros(3, requires_grad=True)\nwith torch.no_grad():\n    w -= x[0]",
         "w.assign_sub(x[0])"),
    ],
)  # fmt: skip
def test_line(source: str, expected: str) -> None:
    assert last(source) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "x, y = map(torch.autograd.Variable, (x, y))",
        "x = x.clone().cpu()",
        "x = x.to('cpu')",
        "x, y = x.cuda(), y.to('cuda').long()",
        "x = x.float()",
    ],
)
def test_statements_that_say_nothing_go(statement: str) -> None:
    assert to_tf(X + statement) == to_tf(X)


@pytest.mark.parametrize(
    "device", ["next(model.parameters()).device", "next((p.device for p in model.parameters()), 0)"]
)
def test_a_device_that_only_moves_batches_goes(device: str) -> None:
    source = "def run(model, loader):\n    place = {}\n    for x in loader:\n        x = x.to({})\n"
    code = to_tf((source + "        print(model(x))\n").format(device, "device=place"))
    assert code.endswith("def run(model, loader):\n    for x in loader:\n        print(model(x))\n")
    assert "place = tf.constant(0.0).device" in to_tf(
        source.format(device, "place") + "    return place"
    )


def test_one_type_of_tensors_for_all_devices() -> None:
    code = to_tf(
        "gpu = torch.cuda.is_available()\n"
        "Tensor = torch.cuda.FloatTensor if gpu else torch.FloatTensor\n"
        "ones = Tensor(3, 1).fill_(1.0)\n"
    )
    assert "Tensor = tf.float32" in code
    assert "ones = tf.ones([3, 1])" in code


def test_functions_without_callers_know_their_tensors_by_use() -> None:
    code = to_tf(
        "def accuracy(output, target):\n"
        "    pred = output.topk(1, dim=1)[1].t()\n"
        "    return pred.eq(target.view(1, -1)).float().mean()\n"
    )
    assert "tf.reduce_mean(tf.cast(pred == tf.reshape(target, [1, -1]), tf.float32))" in code


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(t):\n    t.view(-1)\n    t.add_(1)\n    return t", "the caller's tensor"),
        ("z = x.view(-1)\nx.add_(1)\nprint(z)", "`z` as well"),
        ("z = x[0]\nx[x > 0] = 1\nprint(z)", "`z` as well"),
        ("z = x[0]\nfor i in range(2):\n    print(z)\n    x[x > 0] = 1", "`z` as well"),
        ("z = x[0]\nx[x > 0] = 1\ndef f():\n    return z", "`z` as well"),
    ],
)
def test_other_names_for_a_changed_tensor_are_told(source: str, message: str) -> None:
    found = [f.message for f in translate(X + source).findings if f.grade is Grade.CAUTION]
    assert any(message in text for text in found)


@pytest.mark.parametrize(
    "source",
    [
        "z = x.clone()\nx.add_(1)\nprint(z)",
        "z = x[0]\nprint(z)\nx[x > 0] = 1\nz = 1\nprint(z)",
        "for i in range(2):\n    x[i] = 1.0\n    z = x.reshape(-1)\n    print(z)",
    ],
)
def test_copies_and_names_that_are_not_read_any_more_are_no_other_names(source: str) -> None:
    found = translate(X + source).findings
    assert not [f for f in found if f.grade is Grade.CAUTION]


def test_an_index_of_which_nothing_is_known_is_told() -> None:
    [told] = translate("import torch\ndef f(i):\n    return torch.ones(3)[i]\n").findings
    assert told.grade is Grade.CAUTION
    assert "what `i` is is not known" in told.message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("z = x.stride()", "strides"),
        ("z = x[0, :, None, y]", "slices between"),
        ("z = torch.add(x, x, out=x)", "`out`"),
        ("z = x.mul_(2)", "inside of an expression"),
        ("z = F.fold(x, (4, 4), 2)", "no equal"),
    ],
)
def test_what_has_no_equal_is_left_with_a_reason(source: str, reason: str) -> None:
    assert any(reason in text for text in reasons(X + source))


@pytest.mark.parametrize(
    "source",
    [
        "rows = list(map(torch.Tensor.cpu, [x]))",
        "z = x.scatter(unknown, y, 1.0)",
        "z = x.scatter(index=y, value=1.0)",
    ],
)
def test_what_is_not_given_is_told(source: str) -> None:
    assert reasons(X + source)


def test_tight_parentheses_leave_a_space() -> None:
    code = to_tf(
        "if(torch.is_tensor(a))and not(torch.is_tensor(b)):\n    c = (x.sum())if(y)else 1\n"
    )
    assert "if tf.is_tensor(a) and not tf.is_tensor(b):" in code


def test_a_shape_of_something_else_than_a_tensor_is_data() -> None:
    code = to_tf(
        "s = torch.Tensor(np.zeros((2, 3)).shape)\nt = torch.Tensor(torch.ones(2).size())\n"
    )
    assert "s = tf.constant(np.zeros((2, 3)).shape, dtype=tf.float32)" in code
    assert "t = tf.zeros(tf.ones([2]).shape)" in code


def test_receivers_of_which_nothing_is_known_are_told_by_their_use() -> None:
    code = to_tf("""
from somewhere import make, load

def f():
    y, z = make()
    loss = (y ** 2).mean() + z.sum(dim=1).mean()
    print(loss.detach())
""")
    assert "loss = tf.reduce_mean(y**2) + tf.reduce_mean(tf.reduce_sum(z, axis=1))" in code
    found = translate("from somewhere import load\n\nprint(load().mean())\n").findings
    assert [f.grade.value for f in found] == ["caution"]


def test_methods_of_super_that_give_the_module_back() -> None:
    code = to_tf("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def to(self, device):
        return super(Net, self).to(device)
""")
    assert "return self\n" in code


def test_a_method_of_a_tensor_that_may_be_none() -> None:
    code = to_tf("""
def expand(mask, n):
    if mask.dim() == 1:
        mask = mask.unsqueeze(1)
    return mask.expand(mask.size(0), n)

def run(x, mask=None):
    return x if x.size(0) > 9 else x * expand(mask, 3)

print(run(torch.ones(2, 3)), run(torch.ones(2, 3), torch.ones(2)))
""")
    assert "if len(mask.shape) == 1:" in code
    assert "mask = tf.expand_dims(mask, 1)" in code


def test_methods_that_only_modules_have_tell_a_module() -> None:
    code = to_tf("""
def follow(target, source, tau):
    for t, s in zip(target.parameters(), source.parameters()):
        t.data.copy_(t.data * (1.0 - tau) + s.data * tau)
""")
    assert "t.assign(t * (1.0 - tau) + s * tau)" in code


def test_states_of_something_unknown_are_told() -> None:
    keep = "def keep({0}, best):\n    {0}.load_state_dict(best)\n"
    for name in ("thing", "optimizer", "internet"):
        [reason] = reasons(keep.format(name))
        assert reason == f"whether `{name}` is a model or an optimizer is not known"
    for name in ("model", "target_net", "policy_network1", "best_model"):
        assert f"{name}.set_weights(best)" in to_tf(keep.format(name))


def test_changes_of_views_reach_the_tensor() -> None:
    code = to_tf("""
x = torch.zeros(2, 3)
x.view(-1).index_add_(0, torch.tensor([1, 4]), torch.ones(2))
x.reshape(-1).clamp_(0, 8)
""")
    assert "x = tf.reshape(" in code
    assert code.count("tf.shape(x)") == 2
    [reason] = reasons("x = torch.zeros(2, 3)\nx.t().mul_(2)\n")
    assert reason == "Tensor.mul_ changes a tensor that has no name of its own"


def test_sizes_of_legacy_constructors() -> None:
    code = to_tf("""
import gym

class Noisy(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = nn.Parameter(torch.FloatTensor(m, n))
        self.bias = nn.Parameter(torch.FloatTensor(m))

net = Noisy(4, gym.make("CartPole-v1").unwrapped.number * 2)
""")
    assert "self.bias = keras.Variable(tf.zeros([m]))" in code
