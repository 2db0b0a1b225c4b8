"""Declarative rules: calls are matched however they are written, and never on a guess."""

from pathlib import Path

import pytest
from translating import TORCH, reasons, to_tf

from transpiler.config import Config
from transpiler.convert import convert
from transpiler.matching import is_method, spelling_name, template_arguments
from transpiler.syntax import code


def layer(call: str, before: str = "") -> str:
    """The translation of one expression."""
    text = to_tf(f"{before}\nlayer = {call}\n")
    found = text[text.index("layer = ") + len("layer = ") :]
    return " ".join(found.split()).replace("( ", "(").replace(", )", ")").replace(" )", ")")


@pytest.mark.parametrize(
    "call",
    [
        "nn.BatchNorm2d(8, eps=1e-3, momentum=0.2)",
        "nn.BatchNorm2d(8, 1e-3, 0.2)",
        "nn.BatchNorm2d(momentum=0.2, eps=0.001, num_features=8)",
        "nn.BatchNorm2d(8, 1e-3, 0.2, True, True)",
        "torch.nn.BatchNorm2d(8, track_running_stats=True, momentum=2 / 10, eps=1e-3)",
    ],
)
def test_however_arguments_are_given(call: str) -> None:
    found = layer(call)
    assert found.startswith("layers.BatchNormalization(")
    assert "epsilon=0.001" not in found, "Keras's own default is left out"
    assert "momentum=0.8" in found


@pytest.mark.parametrize(
    ("momentum", "expected"),
    [
        ("0.1", "momentum=0.9"),
        ("0.05", "momentum=0.95"),
        ("0.003", "momentum=0.997"),
        ("0.01", None),
        ("m", "momentum=1 - m"),
        ("m / 2", "momentum=1 - m / 2"),
        ("m - 0.5", "momentum=1 - (m - 0.5)"),
    ],
)
def test_an_expression_is_solved_in_decimals(momentum: str, expected: str | None) -> None:
    found = layer(f"nn.BatchNorm2d(8, momentum={momentum})", "m = float(input())")
    if expected is None:
        assert "momentum" not in found, "0.99 is Keras's own default"
    else:
        assert f"{expected}," in found or f"{expected})" in found


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("nn.LeakyReLU()", "negative_slope=0.01"),
        ("nn.LeakyReLU(0.3)", "LeakyReLU()"),
        ("nn.LeakyReLU(0.30)", "LeakyReLU()"),
        ("nn.LeakyReLU(3 / 10)", "LeakyReLU("),
        ("nn.Linear(3, 4)", "Dense(4)"),
        ("nn.Linear(3, 4, bias=True)", "Dense(4)"),
        ("nn.Linear(3, 4, bias=False)", "Dense(4, use_bias=False)"),
        ("nn.Linear(3, 4, bias=b)", "Dense(4, use_bias=b)"),
    ],
)
def test_what_is_a_default_on_either_side(call: str, expected: str) -> None:
    assert expected in layer(call, "b = bool(input())")


def test_an_argument_of_which_nothing_is_said_does_not_vanish() -> None:
    [reason] = reasons("layer = nn.Linear(3, 4, no_such_argument=2)\nlayer(torch.zeros(2, 3))")
    assert "nn.Linear" in reason


def test_templates_bind_by_the_catalogue() -> None:
    receiver, patterns = template_arguments("torch.Tensor.sum(x, axis, keepdim=keep)")
    assert receiver is not None
    assert code(receiver) == "x"
    assert {name: code(node) for name, node in patterns.items()} == {
        "dim": "axis",
        "keepdim": "keep",
    }


def test_a_template_that_the_catalogue_contradicts_is_an_error() -> None:
    with pytest.raises(ValueError, match="no_such_argument"):
        template_arguments("torch.nn.Linear(a, b, no_such_argument=c)")


def test_names_of_spellings() -> None:
    assert spelling_name("torch.nn.Linear(a, b)") == "torch.nn.Linear"
    assert spelling_name("torch.pi") == "torch.pi"
    assert is_method("torch.Tensor.view")
    assert is_method("torch.optim.Optimizer.step")
    assert not is_method("torch.nn.functional.relu")


# ---- rules of the user's own -------------------------------------------------------------------


def with_rule(tmp_path: Path, rule: str, source: str) -> tuple[str, list[str]]:
    path = tmp_path / "our_rules.py"
    path.write_text(f"from transpiler.rule import Rule, Unfit, rewrites\n{rule}\n")
    config = Config(rules=(str(path),))
    result = convert(TORCH + source, "tf", config=config)
    return result.code, [f.message for f in result.findings]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("torch.heaviside(a, 3.0)", "tf.experimental.numpy.heaviside(a, 3.0)"),
        ("torch.heaviside(values=b, input=a)", "tf.experimental.numpy.heaviside(a, b)"),
        ("torch.heaviside(a + b, b)", "tf.experimental.numpy.heaviside(a + b, b)"),
        ("-torch.heaviside(a, b)", "-tf.experimental.numpy.heaviside(a, b)"),
    ],
)
def test_a_new_rule(tmp_path: Path, call: str, expected: str) -> None:
    rule = (
        'RULE = Rule("heaviside", torch="torch.heaviside(x, y)",'
        ' keras="tf.experimental.numpy.heaviside(x, y)")'
    )
    source = f"a, b = torch.ones(2), torch.ones(2)\nx = {call}\n"
    text, findings = with_rule(tmp_path, rule, source)
    assert f"x = {expected}\n" in text
    assert not findings


def test_operators_of_a_spelling_keep_apart_what_was_apart(tmp_path: Path) -> None:
    rule = 'RULE = Rule("xlogy", torch="torch.xlogy(x, y)", keras="x * tf.math.log(y)")'
    source = "a = torch.ones(2)\nx = torch.xlogy(a + 1, a - 1)\n"
    text, _ = with_rule(tmp_path, rule, source)
    assert "x = (a + 1) * tf.math.log(a - 1)\n" in text


def test_a_constant_of_a_spelling_must_be_met(tmp_path: Path) -> None:
    rule = (
        'RULE = Rule("roll", torch="torch.geqrf(x, out=None)", keras="tf.linalg.qr(x)",'
        ' when=lambda site: site.rank(site.arg("input")) == 2)'
    )
    source = "a = torch.ones(2, 2)\nx = torch.geqrf(a)\n"
    text, findings = with_rule(tmp_path, rule, source)
    assert "x = tf.linalg.qr(a)\n" in text
    assert not findings
    text, findings = with_rule(tmp_path, rule, source.replace("ones(2, 2)", "ones(2, 2, 2)"))
    assert "x = torch.geqrf(a)\n" in text
    assert "# TODO(transpile): " in text
    assert findings


def test_of_several_rules_the_first_that_fits_is_taken(tmp_path: Path) -> None:
    rule = """
@rewrites("torch.geqrf", to="tf")
def never(site):
    raise Unfit("not this one")


@rewrites("torch.geqrf", to="tf")
def second(site):
    return site.fill("tf.linalg.qr(x)", x=site.arg("input"))
"""
    text, findings = with_rule(tmp_path, rule, "x = torch.geqrf(torch.ones(2, 2))\n")
    assert "x = tf.linalg.qr(tf.ones([2, 2]))\n" in text
    assert not findings
