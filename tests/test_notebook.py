"""Notebooks: cells keep their place, their magics and their neighbours."""

import json
from pathlib import Path
from typing import Any

import pytest

from transpiler.cli import main
from transpiler.notebook import read_notebook
from transpiler.source import SourceError

pytestmark = pytest.mark.usefixtures("quick_engine")

CELLS = [
    ("markdown", ["# import torch\n", "Words."]),
    ("code", ["%matplotlib inline\n", "!pip install torch\n", "import torch"]),
    ("code", ["%%bash\n", "echo import torch"]),
    ("code", ["%%time\n", "for i in range(3):\n", "    files = !ls\n", "    torch.x(i);"]),
    ("raw", "raw"),
    ("code", ["x = 1\n", "\n", "x?"]),
    ("code", []),
    ("code", "def f():\n    return torch.y  # manual\n"),
]


def make_notebook(cells: list[tuple[str, Any]] | None = None, **extra: Any) -> dict[str, Any]:
    made = []
    for kind, source in CELLS if cells is None else cells:
        cell: dict[str, Any] = {"cell_type": kind, "id": "x", "metadata": {}, "source": source}
        if kind == "code":
            cell |= {"execution_count": 3, "outputs": [{"output_type": "stream", "text": "old"}]}
        made.append(cell)
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **extra}


def write(path: Path, notebook: dict[str, Any], indent: int = 1) -> bytes:
    path.write_text(json.dumps(notebook, indent=indent, ensure_ascii=False) + "\n")
    return path.read_bytes()


def test_cells_are_translated_and_everything_else_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "a.ipynb", tmp_path / "b.ipynb"
    write(source, make_notebook())
    assert main([str(source), "--to", "tf", "-o", str(output)]) == 1
    assert f"{source}:cell 8:2:1: manual some-manual" in capsys.readouterr().err
    result = json.loads(output.read_text())
    assert [cell["source"] for cell in result["cells"]] == [
        CELLS[0][1],
        ["%matplotlib inline\n", "!pip install torch\n", "import keras"],
        CELLS[2][1],
        ["%%time\n", "for i in range(3):\n", "    files = !ls\n", "    keras.x(i);"],
        "raw",
        ["x = 1\n", "\n", "x?"],
        [],
        "def f():\n    return keras.y  # manual",
    ]
    for cell in result["cells"]:
        if cell["cell_type"] == "code":  # what the old code printed is gone
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert output.read_text().startswith('{\n "cells": [\n  {\n   "cell_type"')


def test_a_notebook_without_need_keeps_every_byte(tmp_path: Path) -> None:
    source, output = tmp_path / "a.ipynb", tmp_path / "b.ipynb"
    data = write(source, make_notebook([("code", "import os, keras;")]), indent=4)
    assert main([str(source), "--to", "tf", "-o", str(output)]) == 0
    assert output.read_bytes() == data


def test_a_second_pass_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    write(path, make_notebook())
    assert main([str(path), "--to", "tf", "--in-place"]) == 1
    data = path.read_bytes()
    main([str(path), "--to", "tf", "--in-place"])
    assert path.read_bytes() == data


def test_a_syntax_error_is_told_in_its_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ipynb"
    cells = [("code", "import torch"), ("markdown", "x"), ("code", "x = 1\ny = (\n")]
    data = write(path, make_notebook(cells))
    assert main([str(path), "--to", "tf", "--in-place"]) == 2
    assert f"{path}:cell 3:2:5: error: syntax error: '('" in capsys.readouterr().err
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("{", "1:2: not a notebook: Expecting property name"),
        ("[]", "it has no list of cells"),
        ('{"worksheets": [], "nbformat": 3}', "it has no list of cells"),
        ('{"cells": [{"x": 1}]}', "cell 1 has no type or no source"),
        ('{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "a notebook in R"),
    ],
)
def test_what_is_no_python_notebook_is_told(text: str, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_notebook(text.encode(), "a.ipynb")
    assert told in str(caught.value)


def test_the_result_is_a_valid_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    path = tmp_path / "a.ipynb"
    notebook = make_notebook()
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"c{number}"
        if "outputs" in cell:
            cell["outputs"] = []
    write(path, notebook)
    main([str(path), "--to", "tf", "--in-place"])
    nbformat.validate(nbformat.read(path, as_version=4))
