"""Channels-last inside: transposes only where the order of axes matters, and never where not."""

import pytest
from translating import definition, to_tf

IN, OUT = "[0, 2, 3, 1]", "[0, 3, 1, 2]"


def net(init: str, forward: str, use: str = "print(net(torch.randn(2, 3, 8, 8)))") -> str:
    lines = "\n".join(f"        {line}" for line in init.split("\n"))
    body = "\n".join(f"        {line}" for line in forward.split("\n"))
    return to_tf(
        f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n{lines}\n\n"
        f"    def forward(self, x):\n{body}\n\nnet = Net()\n{use}\n"
    )


def inside(init: str, forward: str) -> str:
    text = definition(net(init, forward), "Net")
    return text[text.index("def call(") :]


CONVOLUTIONS = (
    "self.a = nn.Conv2d(3, 4, 3)\nself.n = nn.BatchNorm2d(4)\nself.b = nn.Conv2d(4, 4, 3)"
)


def test_one_transpose_at_the_entry_and_one_at_the_exit() -> None:
    text = inside(CONVOLUTIONS, "return self.b(F.relu(self.n(self.a(x))) + 1)")
    assert text.count(IN) == 1
    assert text.count(OUT) == 1
    assert text.index(IN) < text.index("self.a(") < text.index(OUT)


def test_a_mean_over_space_needs_no_transpose_but_other_axes() -> None:
    text = inside(CONVOLUTIONS, "return self.a(x).mean(dim=(2, 3))")
    assert text.count("transpose") == 1
    assert "tf.reduce_mean(" in text
    assert "axis=[1, 2]" in text


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("torch.cat([h, h], dim=1)", "axis=-1"),
        ("torch.cat([h, h], 2)", "axis=1"),
        ("torch.softmax(h, 2)", "axis=1"),
        ("h.sum(1, keepdim=True)", "axis=-1"),
        ("h.sum(-1, keepdim=True)", "axis=2"),
        ("h.max(dim=1, keepdim=True)[0]", "axis=-1"),
    ],
)
def test_axes_are_renumbered(expression: str, expected: str) -> None:
    text = inside(CONVOLUTIONS, f"h = self.a(x)\nreturn self.b({expression}.expand(2, 4, 6, 6))")
    line = next(row for row in text.splitlines() if expected in row)
    assert "transpose" not in line or line.index(expected) < line.index("transpose")


def test_the_last_axis_of_channels_is_the_default() -> None:
    text = inside(CONVOLUTIONS, "return self.b(torch.softmax(self.a(x), 1))")
    assert "self.b(tf.nn.softmax(self.a(x)))" in text


@pytest.mark.parametrize(
    "read", ["h.view(h.size(0), -1)", "h.flatten(1)", "torch.flatten(h, 1)", "h.reshape(2, -1)"]
)
def test_positions_are_read_in_torch_s_order(read: str) -> None:
    text = inside(
        f"{CONVOLUTIONS}\nself.fc = nn.Linear(144, 2)", f"h = self.a(x)\nreturn self.fc({read})"
    )
    assert text.count(OUT) == 1
    assert "tf.reshape(tf.transpose(h, [0, 3, 1, 2]), [" in text


def test_a_size_of_the_batch_is_read_without_a_transpose() -> None:
    use = "n = int(input())\nprint(net(torch.randn(2, 3, n, n)))"
    text = net(CONVOLUTIONS, "x = self.a(x)\nreturn torch.flatten(x, 1)", use)
    assert "return tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [tf.shape(x)[0], -1])" in text


def test_a_value_of_a_single_place_needs_no_transpose_to_be_flattened() -> None:
    text = inside(
        f"{CONVOLUTIONS}\nself.p = nn.AdaptiveAvgPool2d(1)\nself.fc = nn.Linear(4, 2)",
        "return self.fc(torch.flatten(self.p(self.a(x)), 1))",
    )
    assert OUT not in text


def test_sizes_are_those_of_torch_s_axes() -> None:
    text = inside(CONVOLUTIONS, "h = self.a(x)\nreturn h * h.size(1) * h.shape[2]")
    assert "shape[-1]" in text or "shape[3]" in text
    assert "shape[1]" in text


def test_both_sides_of_an_operator_come_in_one_order() -> None:
    text = inside(CONVOLUTIONS, "h = self.a(x)\nreturn self.b(h + torch.ones(2, 4, 6, 6))")
    row = next(row for row in text.splitlines() if "tf.ones(" in row)
    assert "tf.transpose(tf.ones([2, 4, 6, 6]), [0, 2, 3, 1])" in " ".join(text.split()), row


def test_a_sequential_permutes_where_it_changes_over() -> None:
    code = to_tf(
        "net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),"
        " nn.Linear(36, 2))\nprint(net(torch.randn(2, 3, 8, 8)))\n"
    )
    flat = " ".join(code.split())
    assert flat.index("Permute((2, 3, 1))") < flat.index("Conv2D(")
    assert flat.index("MaxPool") < flat.index("Permute((3, 1, 2))") < flat.index("Flatten()")
    assert code.count("Permute") == 2
    assert "transpose" not in code


def test_modules_that_only_modules_call_stay_channels_last() -> None:
    code = to_tf("""
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return x + F.relu(self.conv(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block(), Block())

    def forward(self, x):
        return self.blocks(x)

print(Net()(torch.randn(2, 3, 8, 8)))
""")
    assert "transpose" not in definition(code, "Block")
    assert code.count(IN) == 1
    assert code.count(OUT) == 1


def test_a_program_without_spatial_layers_has_no_transposes() -> None:
    code = to_tf("""
lstm = nn.LSTM(3, 4, batch_first=True)
out, _ = lstm(torch.randn(2, 5, 3))
loss = F.mse_loss(out, torch.randn(2, 5, 4))
print(out.mean(1), nn.LayerNorm(4)(out), loss, nn.L1Loss()(out, out * 2))
""")
    assert "transpose" not in code


LOSSES = """
conv = nn.Conv2d(3, 5, 3, padding=1)
x = torch.randn(2, 3, 8, 8)
target = torch.randn(2, 5, 8, 8)
classes = torch.zeros(2, 8, 8, dtype=torch.long)
"""


@pytest.mark.parametrize(
    "loss",
    [
        "F.mse_loss(conv(x), target)",
        "nn.MSELoss()(conv(x), target)",
        "F.l1_loss(target, conv(x))",
        "F.binary_cross_entropy_with_logits(conv(x), target)",
        "F.smooth_l1_loss(conv(x), target, reduction='sum')",
        "F.cross_entropy(conv(x), target.softmax(1))",
    ],
)
def test_losses_compare_in_one_order_and_have_none(loss: str) -> None:
    code = to_tf(f"{LOSSES}\nloss = {loss}\nprint(loss, loss.item())\n")
    used = " ".join(code[code.index("\nloss = ") :].split())
    assert used.count(IN) == 2, "the image, and the target: both channels-last"
    assert OUT not in used, "a number has no axes"


def test_classes_are_last_and_elements_in_torch_s_order() -> None:
    code = to_tf(f"""{LOSSES}
each = F.cross_entropy(conv(x), classes, reduction="none")
print(F.cross_entropy(conv(x), classes), each, each[0, 1, 2], nn.CrossEntropyLoss()(x, classes))
""")
    used = " ".join(code[code.index("\neach = ") :].split())
    assert OUT not in used
    assert "[0, 2, 1]" not in used
    assert "tf.transpose(x, [0, 2, 3, 1])" in used


def test_axes_that_the_program_moves_as_channels_last_does() -> None:
    """Around layers that work channels-last the moves of both cancel."""
    code = to_tf("""
conv, norm, line = nn.Conv2d(3, 5, 3), nn.LayerNorm(5), nn.Conv1d(8, 5, 1)
image, steps = torch.randn(2, 8, 8, 3), torch.randn(2, 6, 8)
x = conv(image.permute(0, 3, 1, 2))
x = norm(x.permute(0, 2, 3, 1))
steps = steps.transpose(1, 2)
y = line(steps).transpose(1, 2)
print(x, y, torch.bmm(y, y.transpose(1, 2)))
""")
    assert code.count("transpose") == 1, "the product's alone"
    assert "x = conv(image)" in code
    assert "x = norm(x)" in code
    assert "y = line(steps)" in code


def test_norms_of_values_of_unknown_rank_keep_their_order() -> None:
    """GroupNorm says no rank: what the convolution gives is channels-last all the same."""
    code = to_tf("""
class Block(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv, self.norm, self.change = nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), change

    def forward(self, x):
        y = self.conv(x)
        y = y if self.change is None else y * self.change
        return self.norm(y)
""")
    assert "self.norm(y)" in " ".join(code.split())
    assert "self.norm(tf.transpose" not in code
