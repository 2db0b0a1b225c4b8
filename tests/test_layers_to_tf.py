"""What becomes of layers in their surroundings: containers, class tests, initial values."""

from __future__ import annotations

import textwrap

import pytest
from translating import reasons, to_tf

from transpiler.config import Config
from transpiler.convert import convert
from transpiler.findings import Grade

HEADER = "import torch\nimport torch.nn as nn\n"


def translate(source: str, fidelity: str = "fluent") -> str:
    """The translation as one line per statement; nothing may be left to do."""
    text = HEADER + textwrap.dedent(source)
    result = convert(text, "tf", config=Config(fidelity=fidelity, line_length=400))  # type: ignore[arg-type]
    manual = [f.message for f in result.findings if f.grade is Grade.MANUAL]
    assert not manual, f"{manual}\n{result.code}"
    return result.code


def in_module(init: str, forward: str = "return x") -> str:
    """A module whose `__init__` and `forward` hold these lines."""
    lines = ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        {line}" for line in textwrap.dedent(init).strip().splitlines()]
    lines += ["    def forward(self, x):"]
    lines += [f"        {line}" for line in textwrap.dedent(forward).strip().splitlines()]
    return "\n".join(lines) + "\n\nnet = Net()\n"


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("self.a = nn.ModuleList([nn.Linear(2, 3)])", "self.a = [layers.Dense(3)]"),
        (
            "self.a = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))",
            "self.a = [layers.Dense(2) for _ in range(3)]",
        ),
        ("self.a = nn.ModuleDict({'x': nn.Linear(2, 3)})", 'self.a = {"x": layers.Dense(3)}'),
        ("self.a = nn.ModuleList()", "self.a = []"),
        ("self.a = nn.Sequential()", "self.a = layers.Identity()"),
        ("self.a = nn.Parameter(torch.ones(3))", "self.a = keras.Variable(tf.ones([3]))"),
        ("self.register_buffer('a', torch.ones(3))", "self.a = tf.ones([3])"),
        ("self.register_parameter('a', None)", "self.a = None"),
    ],
)
def test_containers_and_parameters(init: str, expected: str) -> None:
    assert expected in translate(in_module(init))


def test_buffer_that_changes_is_a_variable() -> None:
    source = in_module("self.register_buffer('n', torch.zeros(1))", "self.n += 1\nreturn x")
    code = translate(source)
    assert "self.n = keras.Variable(tf.zeros([1]), trainable=False)" in code
    assert "self.n.assign" in code


def test_list_of_layers_that_a_loop_fills() -> None:
    code = translate(
        """
        def make(sizes, norm):
            layers = []
            for size in sizes:
                if size == "M":
                    layers.append(nn.MaxPool2d(2))
                else:
                    layers.append(nn.Conv2d(3, size, 3, padding=1))
            return nn.Sequential(*layers)

        net = make([3, "M", 3], False)
        net(torch.zeros(1, 3, 8, 8))
        """
    )
    assert "keras.Sequential([keras.layers.Permute((2, 3, 1)), *layers, " in code
    assert "keras.layers.Permute((3, 1, 2))])" in code


def test_elements_of_a_sequential() -> None:
    code = translate(
        """
        net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        last = net[-1]
        head = net[:2]
        count = len(net)
        for layer in net:
            print(layer)
        """
    )
    assert "last = net.layers[2]" in code or "last = net.layers[-1]" in code
    assert "head = keras.Sequential(net.layers[:2])" in code
    assert "count = len(net.layers)" in code
    assert "for layer in net.layers:" in code


def test_class_that_derives_from_sequential() -> None:
    block = textwrap.dedent(
        """
        class Block(nn.Sequential):
            def __init__(self, a, b):
                super().__init__(nn.Conv2d(a, b, 3, 2, 1), nn.ReLU())
        """
    )
    use = in_module("self.block = Block(3, 4)", "return self.block(x)")
    code = translate(f"{block}\n\n{use}net(torch.zeros(1, 3, 8, 8))\n")
    assert "class Block(keras.Sequential):" in code
    assert "super().__init__([layers.ZeroPadding2D(1), layers.Conv2D(b, 3, strides=2)" in code


LOOP = """
for m in self.modules():
    if isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        if m.bias is not None:
            nn.init.constant_(m.bias, 0)
    elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
        nn.init.ones_(m.weight)
"""


def test_initial_values_in_a_loop_over_modules() -> None:
    code = translate(in_module("self.conv = nn.Conv2d(3, 4, 3)" + LOOP))
    assert "if isinstance(m, layers.Conv2D):" in code
    assert (
        "m.kernel_initializer = keras.initializers.VarianceScaling("
        '2.0, "fan_out", "untruncated_normal")'
    ) in code
    assert "if m.use_bias:" in code
    assert "m.bias_initializer = keras.initializers.Zeros()" in code
    assert "isinstance(m, (layers.BatchNormalization, layers.GroupNormalization))" in code


@pytest.mark.parametrize(
    "test", ["isinstance(m, nn.Conv2d) or isinstance(m, nn.Linear)",
             "isinstance(m, (nn.Conv2d, nn.Linear))",
             "not (not isinstance(m, nn.Conv2d) and not isinstance(m, nn.Linear))"],
)  # fmt: skip
def test_initial_values_of_layers_of_either_class(test: str) -> None:
    loop = f"""
for m in self.modules():
    if {test}:
        m.weight.data.normal_(0.0, 0.01)
        if m.bias is not None:
            m.bias.detach().zero_()
"""
    code = translate(
        in_module("self.conv = nn.Conv2d(3, 4, 3)\nself.fc = nn.Linear(3, 4, bias=False)" + loop)
    )
    assert "m.kernel_initializer = keras.initializers.RandomNormal(0.0, 0.01)" in code
    assert "if m.use_bias:" in code
    assert "m.bias_initializer = keras.initializers.Zeros()" in code


def test_initial_values_by_class_name() -> None:
    code = translate(
        """
        def init(m):
            name = m.__class__.__name__
            if name.find("Linear") != -1:
                m.weight.data.normal_(0.0, 0.02)
                m.bias.data.fill_(0)

        net = nn.Sequential(nn.Linear(2, 3))
        net.apply(init)
        """
    )
    assert 'if name.find("Dense") != -1:' in code
    assert 'set_initializer(m, "weight", keras.initializers.RandomNormal(0.0, 0.02))' in code
    assert "for layer in net._flatten_layers():" in code


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("xavier_uniform_(w)", "GlorotUniform()"),
        ("xavier_normal_(w, gain=2.0)", 'VarianceScaling(4.0, "fan_avg", "untruncated_normal")'),
        ("kaiming_uniform_(w, nonlinearity='relu')", "HeUniform()"),
        ("kaiming_uniform_(w, a=math.sqrt(5))", 'VarianceScaling(1 / 3, "fan_in", "uniform")'),
        ("kaiming_normal_(w)", 'VarianceScaling(2.0, "fan_in", "untruncated_normal")'),
        ("normal_(w, std=0.1)", "RandomNormal(0.0, 0.1)"),
        ("trunc_normal_(w, std=0.02)", "RandomNormal(0.0, 0.02)"),
        ("uniform_(w, -0.1, 0.1)", "RandomUniform(-0.1, 0.1)"),
        ("orthogonal_(w)", "Orthogonal()"),
        ("constant_(w, 0.5)", "Constant(0.5)"),
        ("zeros_(w)", "Zeros()"),
    ],
)
def test_initializers(call: str, expected: str) -> None:
    function, _, arguments = call.partition("(w")
    init = f"self.fc = nn.Linear(2, 3)\nnn.init.{function}(self.fc.weight{arguments}"
    code = translate("import math\n" + in_module(init))
    assert f"self.fc.kernel_initializer = keras.initializers.{expected}" in code


def test_all_matrices_of_a_model() -> None:
    init = """
    self.fc = nn.Linear(2, 3)
    for p in self.parameters():
        if p.dim() > 1:
            nn.init.xavier_uniform_(p)
    """
    code = translate(in_module(init))
    assert 'set_initializer(layer, "matrix", keras.initializers.GlorotUniform())' in code


def test_tied_weights() -> None:
    init = """
    self.encoder = nn.Embedding(7, 4)
    self.decoder = nn.Linear(4, 7, bias=False)
    self.decoder.weight = self.encoder.weight
    """
    code = translate(in_module(init))
    assert "self.decoder = TiedDense(self.encoder, use_bias=False)" in code


def test_pretrained_weights() -> None:
    init = "self.e = nn.Embedding(7, 4)\nself.e.weight.data.copy_(torch.ones(7, 4))"
    code = translate(in_module(init))
    assert "self.e.embeddings_initializer = keras.initializers.Constant(tf.ones([7, 4]))" in code


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("out, _ = self.rnn(x)\nreturn out * 2", "layers.LSTM(4, return_sequences=True)"),
        ("return self.rnn(x)[0]", "layers.LSTM(4, return_sequences=True)"),
        ("out, state = self.rnn(x)\nreturn out, state", "StackedLSTM(4, batch_first=True)"),
    ],
)
def test_recurrent_layers(call: str, expected: str) -> None:
    assert expected in translate(in_module("self.rnn = nn.LSTM(3, 4, batch_first=True)", call))


def test_packed_sequence() -> None:
    forward = """
    n = torch.tensor([3, 2])
    p = nn.utils.rnn.pack_padded_sequence(x, n, batch_first=True)
    out, (h, c) = self.rnn(p)
    out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    return out, h
    """
    code = translate(in_module("self.rnn = nn.LSTM(3, 4, batch_first=True)", forward))
    assert "mask = tf.sequence_mask(n, tf.shape(x)[1])" in code
    assert "out, (h, c) = self.rnn(p, mask=mask)" in code


def test_first_parameter_taken_for_its_place() -> None:
    source = in_module(
        "self.fc = nn.Linear(2, 3)", "w = next(self.parameters())\nreturn w.new_zeros(2, 3)"
    )
    assert "next(" not in translate(source)


def test_loop_variables_are_bound() -> None:
    code = translate("shuffles = [nn.PixelShuffle(r) for r in (2, 3)]\n")
    assert "lambda x, r=r: pixel_shuffle(x, r)" in code


def test_exact_initial_values() -> None:
    code = translate("layer = nn.Linear(3, 4)\n", "exact")
    assert "kernel_initializer=torch_uniform(3), bias_initializer=torch_uniform(3)" in code


def test_a_class_derived_from_a_layer_is_told() -> None:
    """A callable in the layer's place could not be derived from."""
    source = """
import torch.nn as nn


class Masked(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, 2 * self.weight, self.bias)


layer = Masked(3, 2)
"""
    conversion = convert(source, "tf", path="train.py")
    assert "class Masked(nn.Linear):" in conversion.code
    assert any(
        f.grade is Grade.MANUAL and "derived from torch.nn.Linear" in f.message
        for f in conversion.findings
    )


def test_layers_added_by_keyword_make_a_sequential_grow() -> None:
    source = """
import torch.nn as nn

net = nn.Sequential()
for i, (a, b) in enumerate(zip([4, 3], [3, 2])):
    net.add_module(name="L%d" % i, module=nn.Linear(a, b))
"""
    code = convert(source, "tf").code
    assert "net = keras.Sequential()" in code
    assert "net.add(layers.Dense(b))" in code


def test_models_in_float64_are_made_so() -> None:
    both = "a = nn.Linear(3, 1).double()\nb = nn.Linear(3, 1)\nb = b.to(torch.float64)\n"
    code = to_tf(both)
    assert code.count('keras.config.set_floatx("float64")') == 1
    assert code.index("set_floatx") < code.index("a = layers.Dense(1)\nb = layers.Dense(1)")
    assert any(
        "only some" in r for r in reasons("a = nn.Linear(3, 1).double()\nb = nn.Linear(3, 1)")
    )
    assert any("not made here" in r for r in reasons("def f(net: nn.Module):\n    net.double()"))
