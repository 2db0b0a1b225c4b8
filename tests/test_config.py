"""Configuration is found, checked key by key, and errors carry their place."""

from pathlib import Path

import pytest

from transpiler.config import Config, ConfigError, find_config, load_config


def write(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_everything_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("")
    path = write(
        tmp_path,
        '[tool.transpile]\nfidelity = "exact"\nrules = ["ours.py"]\nline-length = 100\n'
        'exclude = ["old/*"]\n',
    )
    assert load_config(path) == Config("exact", (str(tmp_path / "ours.py"),), 100, ("old/*",))


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\nx = 1\n"])
def test_without_a_table_the_defaults_hold(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path, text)) == Config()


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("[tool.transpile]\nfidelty = 'exact'\n", 2, 1, "unknown key 'fidelty'; known are"),
        ("[tool.transpile]\n\n  line_length = 3\n", 3, 3, "it is spelled 'line-length'"),
        ("[tool.transpile]\nfidelity = 'most'\n", 2, 1, "fluent"),
        ("[tool.transpile]\nline-length = 'wide'\n", 2, 1, "a positive number"),
        ("[tool.transpile]\nline-length = true\n", 2, 1, "a positive number"),
        ("[tool.transpile]\nexclude = 'old'\n", 2, 1, "a list of strings"),
        ("[tool.transpile]\nrules = ['none.py']\n", 2, 1, "no such rule file: none.py"),
        ("[tool]\ntranspile = 3\n", 2, 1, "a table"),
        ("[tool]\ntranspile.colour = 3\n", 2, 11, "unknown key 'colour'"),
        ("[x]\ncolour = 1\n[tool.transpile]\ncolour = 3\n", 4, 1, "unknown key 'colour'"),
        ("[tool.transpile.colour]\nx = 3\n", 1, 17, "unknown key 'colour'"),
        ("[tool.transpile]\nfidelity = \n", 2, 12, "not valid TOML"),
        ("[tool.transpile]\nexclude = [\n", 3, 1, "not valid TOML"),
    ],
)
def test_mistakes_are_told_with_their_place(
    tmp_path: Path, text: str, line: int, column: int, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert part in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


def test_the_nearest_file_upwards_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    outer = write(tmp_path, "")
    assert find_config(inner / "train.py") == outer
    nearer = write(tmp_path / "a", "")
    assert find_config(inner / "train.py") == nearer
    assert find_config(inner) == nearer
