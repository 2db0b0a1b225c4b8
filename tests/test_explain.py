"""The commands that tell what is translated."""

import pytest

from transpiler.cli import main
from transpiler.config import Config
from transpiler.explain import find_name
from transpiler.rulebook import load


def tell(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["nn.Linear", "Linear", "torch.nn.Linear", "torch.nn.modules.Linear"]
)
def test_a_layer_is_explained_by_any_of_its_names(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = tell(capsys, "explain", name)
    assert text.startswith("torch.nn.Linear\n")
    assert "keras.layers.Dense(" in text
    assert "weights: as kernels" in text
    assert "torch.nn.Linear(3, 4)\n          -> layers.Dense(4)\n" in text


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("F.relu", "torch.nn.functional.relu"),
        ("Adam", "torch.optim.Adam"),
        ("Tensor.view", "torch.Tensor.view"),
        ("layers.Dense", "keras.layers.Dense"),
        ("tf.keras.layers.Dense", "keras.layers.Dense"),
        ("DataLoader", "torch.utils.data.DataLoader"),
    ],
)
def test_short_names(short: str, full: str) -> None:
    assert find_name(short, load(Config().rules)) == full


def test_an_unknown_name_is_told_with_those_close_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "Conv2dd"]) == 2
    assert "Conv2dd: unknown; did you mean torch.nn.Conv2d" in capsys.readouterr().err


def test_a_known_name_without_a_rule_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = tell(capsys, "explain", "torch.hub.load_state_dict_from_url")
    assert "not translated" in text


def test_the_list_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    lines = tell(capsys, "rules").splitlines()
    assert "torch.nn.Linear -> keras.layers.Dense" in lines
    assert "keras.layers.Dense -> torch.nn.Linear" in lines
    only = tell(capsys, "rules", "--to", "tf").splitlines()
    assert set(only) < set(lines)
    assert "keras.layers.Dense -> torch.nn.Linear" not in only


def test_what_is_unsupported_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    for line in tell(capsys, "rules", "--unsupported").splitlines():
        name, _, reason = line.partition(": ")
        assert name
        assert reason
