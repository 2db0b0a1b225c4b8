"""Imports: what the new code needs, nothing that is used no more, and all else as it was."""

import pytest
from translating import definition

from transpiler.convert import convert


def tf(source: str) -> str:
    return convert(source, "tf").code


@pytest.mark.parametrize(
    ("imports", "use"),
    [
        ("import torch", "torch.nn.functional.relu(torch.zeros(2))"),
        ("import torch as t", "t.nn.functional.relu(t.zeros(2))"),
        ("import torch\nimport torch.nn.functional as F", "F.relu(torch.zeros(2))"),
        ("from torch import nn, zeros", "nn.functional.relu(zeros(2))"),
        ("from torch.nn.functional import relu\nfrom torch import zeros", "relu(zeros(2))"),
        ("from torch.nn.functional import relu as r\nfrom torch import *", "r(zeros(2))"),
        ("import torch, os\nimport torch.nn as nn", "nn.functional.relu(torch.zeros(2))"),
    ],
)
def test_however_the_framework_is_imported(imports: str, use: str) -> None:
    code = tf(f"{imports}\n\nx = {use}\n")
    assert code.endswith("x = tf.nn.relu(tf.zeros([2]))\n")
    assert code.count("import tensorflow as tf") == 1
    assert "torch" not in code
    assert ("import os" in code) == ("torch, os" in imports)


def test_only_what_is_left_over_is_kept() -> None:
    code = tf("import torch, os\nfrom torch import nn, geqrf\nx = geqrf(torch.ones(2, 2))\n")
    assert "from torch import geqrf\n" in code
    assert "import os\n" in code
    assert "nn" not in code


@pytest.mark.parametrize(
    "line",
    [
        "from .model import Net",
        "from ..lib import torch as T",
        "from . import nn",
        "import numpy as np",
        "from torchmetrics import Accuracy",
        "import torchinfo.layers",
        "import mytorch.nn as mine",
    ],
)
def test_other_imports_stay(line: str) -> None:
    code = tf(f"import torch\n{line}\n\nx = torch.zeros(2)\n")
    assert f"{line}\n" in code


def test_the_place_of_new_imports() -> None:
    code = tf(
        '#!/usr/bin/env python\n"""What it does."""\nfrom __future__ import annotations\n\n'
        "# the libraries\nimport torch  # here\n\nx = torch.zeros(2)\n"
    )
    assert code.startswith('#!/usr/bin/env python\n"""What it does."""\n')
    places = [code.index(t) for t in ("from __future__", "# the libraries", "import tensorflow")]
    assert places == sorted(places)
    assert places[-1] < code.index("x = tf.zeros")
    assert "# here\n" in code


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("import torch  # why", "# why"),
        ("from torch import (  # a\n    nn,  # b\n    # c\n    optim,\n)  # d", "# a # b # c # d"),
        ("# above\nimport torch", "# above"),
        ("import torch  # noqa: F401", ""),
        ("from torch import nn  # type: ignore", ""),
    ],
)
@pytest.mark.parametrize("rest", ["x = 1\n", "# about x\nx = 1\n", ""])
def test_comments_of_imports_that_go(line: str, left: str, rest: str) -> None:
    code = tf(f"import os\n{line}\n{rest}")
    assert [c for c in left.split(" # ") if c.strip("# ") and c.strip("# ") not in code] == []
    assert "torch" not in code
    assert "noqa" not in code
    assert "type:" not in code
    assert code.endswith(rest)


def test_imports_come_before_their_first_use() -> None:
    code = tf(
        "import os\n\nseed = 1\n\nimport torch\n\ntorch.manual_seed(seed)\nx = torch.rand(2)\n"
    )
    for name in ("tf", "keras"):
        if f"{name}." in code:
            assert code.index(f" {name}\n" if name == "tf" else "import keras") < code.index(
                f"{name}."
            )


def test_short_names_give_way_to_the_program_s() -> None:
    code = tf(
        "import torch\nfrom torch import nn\n\nlayers = [1]\nnet = nn.Linear(3, len(layers))\n"
    )
    assert "net = keras.layers.Dense(len(layers))" in code
    assert "from keras import layers" not in code


def test_names_in_strings_and_comments_do_not_keep_an_import() -> None:
    code = tf('import torch\n\n# torch is slow\nprint("torch", torch.zeros(2))\n')
    assert "import torch\n" not in code
    assert "# torch is slow\n" in code
    assert '"torch"' in code


def test_names_inside_of_emitted_units_do_not_keep_an_import() -> None:
    """The penalties are added up by a function with variables `l1` and `l2`."""
    code = convert(
        "from tensorflow import keras\nfrom tensorflow.keras.regularizers import l2\n"
        "model = keras.Sequential([keras.layers.Input((3,)),"
        " keras.layers.Dense(2, kernel_regularizer=l2(0.1))])\n"
        "model.compile('sgd', 'mse')\nmodel.fit(x, y)\n",
        "torch",
    ).code
    assert "for name, l1, l2 in" in code
    assert "tensorflow" not in code


def test_imports_inside_of_functions() -> None:
    code = tf("def f():\n    import torch\n\n    return torch.zeros(2)\n")
    assert "tf.zeros([2])" in definition(code, "f")
    assert "import tensorflow as tf\n" in code


def test_a_second_translation_changes_nothing() -> None:
    code = tf(
        "import torch\nfrom torch import nn\n\nnet = nn.Linear(3, 2)\nx = net(torch.zeros(1, 3))\n"
    )
    assert tf(code) == code
