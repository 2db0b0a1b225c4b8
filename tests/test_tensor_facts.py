"""The facts of tensor expressions, against what PyTorch itself gives."""

from typing import Any

import libcst as cst
import pytest

from transpiler import rulebook
from transpiler.convert import convert
from transpiler.infer.interpreter import Interpreter
from transpiler.infer.values import Const, Tensor, Value, items_of

torch = pytest.importorskip("torch")

SETUP = """
import torch
import torch.nn.functional as F
x = torch.randn(2, 3, 4)
y = torch.randint(0, 5, (2, 3))
m = torch.randn(4, 4)
image = torch.randn(2, 3, 8, 9)
"""
EXPRESSIONS = """
x.view(2, -1) | x.view(x.size(0), -1) | x.reshape((-1, 4)) | torch.flatten(x, 1) | x.flatten()
x.permute(0, 2, 1) | x.transpose(1, 2) | m.t() | m.T | x.unsqueeze(-1) | x[:, 0] | x[..., None]
x.unsqueeze(1).squeeze(1) | x[:, :1].expand(-1, 5, -1) | x.repeat(2, 1, 1) | torch.cat([x, x], 1)
torch.stack([x, x], dim=2) | x.split(2, dim=1) | x.chunk(2, dim=-1) | x.unbind(0) | x.sum()
x.sum(1) | x.sum(dim=-1, keepdim=True) | x.mean([1, 2]) | y.sum() | (x > 0).sum() | x.max(1)
x.max(1).indices | torch.max(x, 2, keepdim=True)[0] | torch.max(x, x) | x.argmax(1) | x.std(0)
x.norm(2, dim=1) | x.topk(2) | x.sort(1) | y == 1 | x * y.unsqueeze(-1) | torch.where(x > 0, x, 0)
x.long() | x.type(torch.LongTensor) | y.float() | y.to(torch.float64) | x.to("cpu") | y / 2
torch.matmul(x, m) | torch.bmm(x, x.transpose(1, 2)) | x @ m | torch.einsum("bij,jk->bik", x, m)
torch.tensor([[1.0, 2], [3, 4]]) | torch.tensor([1, 2]) | torch.FloatTensor([1, 2]) | torch.eye(3)
torch.zeros(2, 3, dtype=torch.long) | torch.arange(5) | torch.linspace(0, 1, 5) | x.size() | x.dim()
x.shape[1] | x.numel() | x.new_zeros(3, 4) | torch.ones_like(y) | torch.randperm(4) | y * 1.5
torch.full((2, 2), 3.0) | torch.full((2, 2), 1) | x.index_select(1, torch.tensor([0, 2])) | x.all()
torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij") | torch.softmax(x, dim=1) | x[y > 9]
F.one_hot(y, 5) | F.max_pool2d(image, 2) | F.pad(image, (1, 2)) | x[0, ..., 1]
F.interpolate(image, scale_factor=2) | x[:, y[0] > 9]
F.adaptive_avg_pool2d(image, 1) | F.avg_pool2d(image, 3, 2, 1) | F.normalize(x, dim=1)
F.conv2d(image, torch.randn(5, 3, 3, 3), padding=1) | F.linear(x, torch.randn(7, 4)) | x[[0, 1]]
"""
CASES = [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in line.split(" | ")]


def told(value: Value) -> Any:
    """A fact as plain data."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype
    if isinstance(value, Const):
        return value.value
    items = items_of(value)
    assert items is not None
    return [told(i) for i in items]


def true(value: Any) -> Any:
    """A value as plain data of the same form."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), str(value.dtype).removeprefix("torch.")
    return [true(v) for v in value] if isinstance(value, list | tuple) else value


def agree(fact: Any, value: Any) -> bool:
    """Whether a fact says nothing that is not so; sizes that depend on values are unknown."""
    if isinstance(fact, tuple) and isinstance(fact[0], tuple):
        same = len(fact[0]) == len(value[0])
        return same and fact[1] == value[1] and all(
            a in (None, b) for a, b in zip(fact[0], value[0], strict=True)
        )  # fmt: skip
    if isinstance(fact, list):
        return len(fact) == len(value) and all(map(agree, fact, value))
    return bool(fact == value)


@pytest.mark.parametrize("expression", CASES)
def test_fact(expression: str) -> None:
    source = f"{SETUP}result = {expression}\n"
    frame = Interpreter(rulebook.load().knowledge).run(cst.parse_module(source))
    names: dict[str, Any] = {}
    exec(compile(source, "<torch>", "exec"), names)
    assert agree(told(frame.values["result"]), true(names["result"]))


def test_other_classes_of_tensors_say_nothing_of_their_dtype() -> None:
    source = "import torch\nx = torch.nn.UninitializedBuffer()\nx.sum()\n"
    findings = convert(source, "tf").findings
    assert any("UninitializedBuffer" in f.rule for f in findings)


def test_a_permutation_of_another_rank_is_no_error() -> None:
    convert("import torch\nx = torch.randn(2, 3)\ny = x.permute(0, 2, 1)\n", "tf")
