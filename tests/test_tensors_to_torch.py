"""Tensors of TensorFlow towards PyTorch: what no single rule shows."""

from __future__ import annotations

import textwrap

import pytest

from transpiler.convert import Conversion, convert
from transpiler.findings import Grade

HEAD = "import numpy as np\nimport tensorflow as tf\nfrom tensorflow.keras import backend as K\n"


def translated(source: str) -> Conversion:
    return convert(HEAD + textwrap.dedent(source), "torch")


def lines(source: str) -> list[str]:
    """The translated lines, without a finding for a person."""
    conversion = translated(source)
    assert [f.message for f in conversion.findings if f.grade is Grade.MANUAL] == []
    return [line for line in conversion.code.splitlines() if line]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("y = x.shape.as_list()", "y = list(x.shape)"),
        ("y = x.get_shape().as_list()[0]", "y = list(x.shape)[0]"),
        ("y = tf.shape(x)[0].numpy()", "y = x.shape[0]"),
        ("y = x.shape.ndims", "y = x.ndim"),
        ("y = x[:, tf.newaxis]", "y = x[:, None]"),
        ("y = x[..., ::-1]", "y = torch.flip(x, [-1])"),
        ("y = tf.einsum('ij,jk->ik', *[x, x])", 'y = torch.einsum("ij,jk->ik", *[x, x])'),
        ("y = K.int_shape(x)[1]", "y = x.shape[1]"),
        ("y = tf.reduce_mean(x).numpy()", "y = torch.mean(x).item()"),
        ("y = x / tf.sqrt(tf.cast(tf.shape(x)[-1], tf.float32))",
         "y = x / math.sqrt(float(x.shape[-1]))"),
        ("y = tf.cast(x > 0, x.dtype)", "y = (x > 0).to(x.dtype)"),
        ("kind = 'float32'\ny = tf.cast(x > 0, kind)", "y = (x > 0).to(getattr(torch, kind))"),
        ("y = tf.zeros([tf.shape(x)[0], 5])", "y = torch.zeros(x.shape[0], 5)"),
        ("y = np.mean(x)", "y = np.mean(x.detach().cpu().numpy())"),
        ("y = tf.maximum(0.0, x)", "y = torch.relu(x)"),
        ("y = tf.random.uniform([2], 0, 9, tf.int32)", "y = torch.randint(0, 9, [2])"),
        ("y = K.mean(K.square(x), axis=-1)", "y = torch.mean(torch.square(x), dim=-1)"),
        ("r = [float(v) for v in open('r')]\ny = r + x[:, 0]",
         "y = torch.tensor(r, dtype=torch.float32) + x[:, 0]"),
        ("y = x * np.ones(3)", "y = x * torch.as_tensor(np.ones(3), dtype=torch.float32)"),
    ],
)  # fmt: skip
def test_a_line(source: str, expected: str) -> None:
    assert lines(f"x = tf.random.normal((4, 3))\n{source}")[-1] == expected


def test_the_norm_that_was_meant() -> None:
    """TensorFlow refuses norms over three axes: the vector norm is written, and told."""
    conversion = translated("""
    x = tf.random.normal((2, 4, 4, 3))
    y = x / tf.norm(x, axis=[1, 2, 3], keepdims=True)
    """)
    assert "torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)" in conversion.code
    [finding] = conversion.findings
    assert finding.grade is Grade.CAUTION
    assert "raises an error in TensorFlow" in finding.message


def test_loops_that_only_count() -> None:
    code = "\n".join(
        lines("""
    for i in tf.range(3):
        print(i % 2)
    for i in tf.range(3):
        print(tf.cast(i, tf.float32))
    """)
    )
    assert "for i in range(3):" in code
    assert "for i in torch.arange(3):" in code


def test_strings_stay_with_a_person() -> None:
    conversion = translated('names = tf.constant(["a", "b"])')
    assert any("no tensors of strings" in f.message for f in conversion.findings)


def test_a_reason_for_what_has_no_equal() -> None:
    conversion = translated("x = tf.ragged.constant([[1], [2, 3]])")
    assert any("pad the rows" in f.message for f in conversion.findings)


def test_initializers_as_functions() -> None:
    code = "\n".join(
        lines("""
    make = tf.random_normal_initializer()
    w = tf.Variable(make(shape=(3, 4), dtype="float32"))
    """)
    )
    assert "make = lambda shape: nn.init.normal_(torch.empty(shape), std=0.05)" in code
    assert "make((3, 4))" in code
