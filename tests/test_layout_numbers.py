"""What stands around a convolution computes the same, however its axes are ordered inside."""

from typing import Any

import numpy as np
import pytest
from translating import to_tf

torch = pytest.importorskip("torch")
tf = pytest.importorskip("tensorflow")

PROGRAM = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
BODY

net = Net()
out = net(torch.zeros(2, 3, 6, 8))
"""
BODIES = [
    "return x.mean([2, 3])",
    "return F.softmax(x, dim=1)",
    "return x.sum(1)",
    "return x.max(1)[0]",
    "v, i = x.max(1)\nreturn v * i",
    "return x - x.max(dim=1, keepdim=True)[0]",
    "return x.argmax(1)",
    "return x.mean(1, keepdim=True).expand(-1, 4, -1, -1) * x",
    "n, c, h, w = x.shape\nreturn x.view(n, c * h, w)",
    "n, c, h, w = x.size()\nreturn x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)",
    "return x.view(2, 2, 2, 6, 8).permute(0, 2, 1, 3, 4).contiguous().view(2, 4, 6, 8)",
    "return x.repeat(1, 2, 1, 1)",
    "return F.pad(x, (1, 2, 3, 0))",
    "return torch.cat([x, x * 2], 1)",
    "return torch.stack([x, x])",
    "a, b = x.chunk(2, dim=1)\nreturn a * b",
    "return x.flatten(1)",
    "return x.permute(0, 2, 3, 1).reshape(-1, 4)",
    "y = x.permute(0, 2, 3, 1)\nreturn (y * 2).permute(0, 3, 1, 2) * x",
    "return x.permute(0, 2, 3, 1).sum(1)",
    "return self.conv(x[:, :3].permute(0, 2, 3, 1).permute(0, 3, 1, 2)).flatten(1)",
    "return x[:, 1]",
    "return x[:, :, 1:3].contiguous() * 2",
    "return self.conv(x[:, :3].clone())",
    "return F.interpolate(x, size=x.shape[2:])",
    "return x.std(dim=(2, 3))",
    "return F.normalize(x, dim=1)",
    "return x.flip(3)",
    "return F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1)",
    "return F.avg_pool2d(x, x.size()[2:]).squeeze()",
    "return x.unsqueeze(1)",
    "x = x.mean(1, keepdim=True)\nx.squeeze_(1)\nreturn x * 2",
    "x = x.mean((2, 3), keepdim=True)\nx.squeeze_(-1).squeeze_(-1)\nreturn x * 2",
    "x = x * 2\nx.relu_()\nreturn self.conv(x[:, :3]).sum(1)",
    "return x.topk(2, dim=1)[0]",
    "s = torch.sigmoid(x.mean((2, 3))).view(x.size(0), 4, 1, 1)\nreturn x * s.expand_as(x)",
    "return x.shape[1] * x.size(2) * x.mean()",
    "return F.unfold(x, 3)",
    "x = x.view(x.shape[0], x.shape[1], -1)\nreturn torch.bmm(x, x.transpose(1, 2))",
    "return torch.roll(x, 1, 2)",
    "y = torch.ones_like(x)\nreturn (x + y).sum((1, 2))",
]


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "<program>", "exec"), names)
    return names


@pytest.mark.parametrize("body", BODIES)
def test_same_numbers(body: str) -> None:
    """At once, and in a graph that does not know how long batches are."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    source = PROGRAM.replace("BODY", lines)
    code = to_tf(source)
    header = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
    theirs, ours = run(header + source)["net"], run(code)["net"]
    kernel, bias = (p.detach().numpy() for p in theirs.conv.parameters())
    ours.conv.set_weights([kernel.transpose(2, 3, 1, 0), bias])
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8)).astype("float32")
    expected = theirs(torch.tensor(x)).detach().numpy()
    graph = tf.function(ours.call, input_signature=[tf.TensorSpec([None, 3, 6, 8])])
    for found in (ours(tf.constant(x)), graph(tf.constant(x))):
        assert found.shape == expected.shape, code
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=code)
