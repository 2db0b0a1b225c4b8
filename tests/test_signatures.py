"""The signature catalogue: is it right, is it complete, is it up to date, is it cheap to read."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler.signatures import (
    BindError,
    Parameter,
    bind,
    canonical,
    is_subclass,
    lookup,
    members,
    versions,
)

PROJECT = Path(__file__).resolve().parent.parent
CATALOGUE = PROJECT / "transpiler" / "catalogue"


def read_lines() -> list[tuple[str, str, object]]:
    """Every line of every family, as (module, name, line)."""
    return [
        (path.stem, name, line)
        for path in sorted(CATALOGUE.glob("*.json"))
        if path.stem != "index" and not path.stem.startswith("private")
        for name, line in json.loads(path.read_text("utf-8")).items()
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torch.nn.modules.linear.Linear", "torch.nn.Linear"),
        ("torch.nn.modules.Linear", "torch.nn.Linear"),
        ("torch.nn.modules.module.Module.train", "torch.nn.Module.train"),
        ("torch.optim.adam.Adam", "torch.optim.Adam"),
        ("torch.optim.lr_scheduler._LRScheduler", "torch.optim.lr_scheduler.LRScheduler"),
        ("torch.utils.data.dataset.Dataset", "torch.utils.data.Dataset"),
        ("torch.distributions.normal.Normal", "torch.distributions.Normal"),
        ("torchvision.models.resnet.resnet18", "torchvision.models.resnet18"),
        ("torchvision.transforms.transforms.Compose", "torchvision.transforms.Compose"),
        ("torch.concat", "torch.cat"),
        ("torch.concatenate", "torch.cat"),
        ("torch.multiply", "torch.mul"),
        ("torch.clip", "torch.clamp"),
        ("torch.long", "torch.int64"),
        ("torch.conv2d", "torch.nn.functional.conv2d"),
        ("torch.relu", "torch.relu"),
        ("torch.sigmoid", "torch.sigmoid"),
        ("torch.special.expit", "torch.sigmoid"),
        ("torch.Tensor.multiply", "torch.Tensor.mul"),
        ("torch.Tensor.true_divide", "torch.Tensor.div"),
        ("torch.Tensor.view", "torch.Tensor.view"),
        ("tf.keras.layers.Dense", "keras.layers.Dense"),
        ("tensorflow.keras.layers", "keras.layers"),
        ("tensorflow.keras", "keras"),
        ("tensorflow.python.keras.layers.Dense", "keras.layers.Dense"),
        ("tensorflow.python.keras.layers.core.Dense", "keras.layers.Dense"),
        ("tensorflow.python.keras.engine.training.Model", "keras.Model"),
        ("tensorflow.python.keras.optimizer_v2.adam.Adam", "keras.optimizers.Adam"),
        ("tensorflow.python.ops.math_ops.reduce_mean", "tf.reduce_mean"),
        ("keras.api.layers.Dense", "keras.layers.Dense"),
        ("keras.src.layers.core.dense.Dense", "keras.layers.Dense"),
        ("keras.engine.topology.Layer", "keras.Layer"),
        ("keras.utils.np_utils.to_categorical", "keras.utils.to_categorical"),
        ("keras.layers.experimental.preprocessing.Rescaling", "keras.layers.Rescaling"),
        ("keras.optimizers.legacy.Adam", "keras.optimizers.Adam"),
        ("keras.layers.Convolution2D", "keras.layers.Conv2D"),
        ("keras.layers.Input", "keras.Input"),
        ("keras.models.Model.fit", "keras.Model.fit"),
        ("keras.models.Sequential", "keras.Sequential"),
        ("keras.losses.mse", "keras.losses.mean_squared_error"),
        ("keras.metrics.mse", "keras.losses.mean_squared_error"),
        ("keras.utils.Sequence", "keras.utils.PyDataset"),
        ("tf.losses.MeanSquaredError", "keras.losses.MeanSquaredError"),
        ("tf.optimizers.Adam", "keras.optimizers.Adam"),
        ("tf.initializers.GlorotUniform", "keras.initializers.GlorotUniform"),
        ("tensorflow.math.reduce_max", "tf.reduce_max"),
        ("tf.math.softmax", "tf.nn.softmax"),
        ("tf.linalg.matmul", "tf.matmul"),
        ("tf.compat.v2.cast", "tf.cast"),
        ("tensorflow.compat.v1.placeholder", "tf.compat.v1.placeholder"),
        ("tensorflow.no_such_thing", "tf.no_such_thing"),
        ("torch.nn.functional.Linear", "torch.nn.functional.Linear"),
        ("torch", "torch"),
        ("numpy.concat", "numpy.concat"),
        ("data.DataLoader", "data.DataLoader"),
    ],
)
def test_canonical_names(name: str, expected: str) -> None:
    assert canonical(name) == expected
    assert canonical(expected) == expected


def test_every_alias_leads_to_an_entry() -> None:
    for module, name, line in read_lines():
        if isinstance(line, str):
            assert canonical(line) == line, f"{module}.{name}"
            assert lookup(f"{module}.{name}") is not None
    for path in CATALOGUE.glob("private-*.json"):
        for name, target in json.loads(path.read_text("utf-8")).items():
            assert lookup(target) is not None or target in members(target.rpartition(".")[0]), name


def test_every_signature_is_read_as_python_reads_it() -> None:
    for module, name, line in read_lines():
        if not isinstance(line, list):
            continue
        entry = lookup(f"{module}.{name}")
        assert entry is not None
        for text, signature in zip(entry.source, entry.signatures, strict=True):
            assert [p[:3] for p in signature.parameters] == list(read_python(text)), f"{name}{text}"


def read_python(text: str) -> list[tuple[str, str, str | None]]:
    """The parameters of a signature by the ast module."""
    line = f"def f({text}): ..."
    function = ast.parse(line).body[0]
    assert isinstance(function, ast.FunctionDef)
    a = function.args

    def source(node: ast.expr | None) -> str | None:
        return ast.get_source_segment(line, node) if node else None

    plain = [(p.arg, "positional-only") for p in a.posonlyargs]
    plain += [(p.arg, "positional-or-keyword") for p in a.args]
    defaults = [None] * (len(plain) - len(a.defaults)) + [source(d) for d in a.defaults]
    found = [(*p, d) for p, d in zip(plain, defaults, strict=True)]
    found += [(a.vararg.arg, "var-positional", None)] if a.vararg else []
    pairs = zip(a.kwonlyargs, a.kw_defaults, strict=True)
    found += [(p.arg, "keyword-only", source(d)) for p, d in pairs]
    return found + ([(a.kwarg.arg, "var-keyword", None)] if a.kwarg else [])


@pytest.mark.parametrize(
    ("name", "parameter", "default"),
    [
        ("torch.nn.Linear", "bias", "True"),
        ("torch.nn.BatchNorm2d", "eps", "1e-05"),
        ("torch.nn.LSTM", "batch_first", "False"),
        ("torch.nn.TransformerEncoderLayer", "activation", "torch.nn.functional.relu"),
        ("torch.nn.functional.max_pool2d", "return_indices", "False"),
        ("torch.nn.functional.gelu", "approximate", "'none'"),
        ("torch.optim.Adam", "betas", "(0.9, 0.999)"),
        ("torch.Tensor.flatten", "start_dim", "0"),
        ("torch.cat", "dim", "0"),
        ("torch.linalg.norm", "ord", "None"),
        ("torch.utils.data.DataLoader", "shuffle", "None"),
        ("keras.layers.BatchNormalization", "epsilon", "0.001"),
        ("keras.layers.LSTM", "recurrent_activation", "'sigmoid'"),
        ("keras.optimizers.Adam", "epsilon", "1e-07"),
        ("keras.Model.fit", "shuffle", "True"),
        ("keras.Optimizer", "clipnorm", "None"),
        ("keras.Layer.add_weight", "trainable", "True"),
        ("tf.reduce_mean", "keepdims", "False"),
        ("tf.zeros", "dtype", "tf.float32"),
        ("tf.data.Dataset.batch", "drop_remainder", "False"),
        ("tf.GradientTape", "persistent", "False"),
        ("tf.GradientTape.gradient", "unconnected_gradients", "tf.UnconnectedGradients.NONE"),
    ],
)
def test_defaults(name: str, parameter: str, default: str) -> None:
    entry = lookup(name)
    assert entry is not None
    assert entry.signatures[0][parameter].default == default


def test_methods_do_not_count_self() -> None:
    for name in ("torch.Tensor.view", "keras.Layer.call", "torch.nn.Module.train", "tf.Tensor.ref"):
        entry = lookup(name)
        assert entry is not None
        assert all("self" not in signature for signature in entry.signatures)


def test_inherited_members_are_found() -> None:
    entry = lookup("torch.nn.Conv2d.train")
    assert entry is not None
    assert entry.name == "torch.nn.Module.train"
    fit = lookup("keras.models.Sequential.fit")
    assert fit is not None
    assert fit.name == "keras.Model.fit"
    assert lookup("torch.nn.Conv2d.no_such_method") is None
    assert lookup("torch.no_such_function") is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("torch", "module"),
        ("torch.nn", "module"),
        ("torch.nn.Linear", "class"),
        ("torch.cat", "function"),
        ("torch.Tensor.view", "method"),
        ("torch.Tensor.shape", "property"),
        ("torch.Tensor.numpy", "method"),
        ("torch.float32", "constant"),
        ("torch.nn.Module.training", "property"),
        ("torch.cuda.is_available", "function"),
        ("tf.Tensor.numpy", "method"),
        ("tf.Variable.assign_add", "method"),
        ("torch.__version__", "constant"),
        ("torch.backends.cudnn.benchmark", "constant"),
        ("tf.float32", "constant"),
        ("tf.newaxis", "constant"),
        ("tf.data.AUTOTUNE", "constant"),
        ("keras.layers.Dense", "class"),
        ("keras.callbacks.History.history", "property"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    entry = lookup(name)
    assert entry is not None
    assert entry.kind == kind


def test_subclasses() -> None:
    assert is_subclass("torch.nn.Conv2d", "torch.nn.Module")
    assert is_subclass("torch.nn.modules.conv.Conv2d", "torch.nn.modules.module.Module")
    assert is_subclass("torch.nn.BatchNorm2d", "torch.nn.modules.batchnorm._BatchNorm")
    assert is_subclass("tf.keras.Sequential", "keras.layers.Layer")
    assert is_subclass("torch.nn.Parameter", "torch.Tensor")
    assert is_subclass("torch.optim.lr_scheduler.StepLR", "torch.optim.lr_scheduler._LRScheduler")
    assert not is_subclass("torch.nn.Module", "torch.nn.Conv2d")
    assert not is_subclass("mine.Net", "torch.nn.Module")


def test_members() -> None:
    layers = members("tf.keras.layers")
    assert {"keras.layers.Dense", "keras.layers.Convolution2D", "keras.layers.Input"} <= set(layers)
    assert "keras.layers.Dense.call" not in layers
    assert {"torch.nn.Linear", "torch.nn.functional"} <= set(members("torch.nn"))
    assert {"keras.layers.Dense.call", "keras.layers.Dense.add_weight"} <= set(
        members("keras.layers.Dense")
    )
    assert "torch.Tensor.view" in members("torch.Tensor")
    assert members("no.such.module") == []


@pytest.mark.parametrize(
    ("name", "positional", "keywords", "expected"),
    [
        ("torch.nn.Linear", [1, 2], {"bias": 3}, {"in_features": 1, "out_features": 2, "bias": 3}),
        ("torch.Tensor.view", [7], {}, {"size": 7}),
        ("torch.Tensor.view", [2, 3], {}, {"size": [2, 3]}),
        ("torch.randn", [2, 3], {"dtype": 9}, {"size": [2, 3], "dtype": 9}),
        ("torch.max", [1], {}, {"input": 1}),
        ("torch.max", [1, 2], {}, {"input": 1, "dim": 2}),
        ("torch.max", [1], {"other": 2}, {"input": 1, "other": 2}),
        ("torch.cat", [1], {"axis": 2}, {"tensors": 1, "dim": 2}),
        ("torch.Tensor.sum", [1], {"keepdims": 2}, {"dim": 1, "keepdim": 2}),
        ("torch.arange", [1], {}, {"end": 1}),
        ("torch.arange", [1, 2], {"step": 3}, {"start": 1, "end": 2, "step": 3}),
        ("tf.range", [1], {}, {"limit": 1}),
        ("keras.Model", [1, 2], {}, {"inputs": 1, "outputs": 2}),
        ("keras.Model", [], {"name": 1}, {"args": [], "name": 1}),
        ("keras.layers.Dense", [1], {"input_dim": 2}, {"units": 1, "input_dim": 2}),
        ("torch.nn.Sequential", [1, 2], {}, {"args": [1, 2]}),
        ("torch.nn.ReLU", [], {}, {}),
    ],
)
def test_bind(name: str, positional: list[int], keywords: dict[str, int], expected: object) -> None:
    assert bind(name, positional, keywords) == expected


@pytest.mark.parametrize(
    ("name", "positional", "keywords", "reason"),
    [
        ("torch.nn.Linear", [1], {}, "out_features is missing"),
        ("torch.nn.Linear", [1, 2], {"in_features": 3}, "in_features is given twice"),
        ("torch.nn.Linear", [1, 2], {"biass": 3}, "unexpected argument biass"),
        ("torch.nn.functional.softmax", [1], {"axis": 2}, "unexpected argument axis"),
        ("torch.nn.Sigmoid", [1], {}, "too many positional arguments"),
        ("torch.no_such_thing", [], {}, "torch.no_such_thing is not in the catalogue"),
    ],
)
def test_bind_errors(
    name: str, positional: list[int], keywords: dict[str, int], reason: str
) -> None:
    with pytest.raises(BindError, match=f"^{reason}$"):
        bind(name, positional, keywords)


def test_overloads_can_be_told_apart_by_type() -> None:
    def fits(parameter: Parameter, value: str) -> bool:
        return parameter.annotation is None or value in parameter.annotation.split("|")

    assert bind("torch.max", ["Tensor", "int"], {}, fits=fits)["dim"] == "int"
    assert bind("torch.max", ["Tensor", "Tensor"], {}, fits=fits)["other"] == "Tensor"
    assert list(bind("torch.Tensor.to", ["dtype"], {}, fits=fits)) == ["dtype"]
    assert list(bind("torch.Tensor.to", ["device"], {}, fits=fits)) == ["device"]


def test_reading_is_lazy_and_imports_no_framework() -> None:
    script = """
import sys
before = set(sys.modules)
import transpiler.signatures as signatures
from transpiler.catalogue import _read
assert _read.cache_info().currsize == 0
signatures.lookup("torch.nn.Linear").signatures
assert _read.cache_info().currsize == 2, _read.cache_info()
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not loaded & {"torch", "tensorflow", "keras", "numpy", "inspect", "ast"}, loaded
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PROJECT)


def test_catalogue_is_up_to_date() -> None:
    torch = pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    installed = {"torch": torch.__version__.partition("+")[0], "keras": keras.__version__}
    assert installed.items() <= versions().items(), "the catalogue is of other versions"
    command = [sys.executable, str(PROJECT / "tools" / "make_signatures.py"), "--check"]
    found = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    assert found.returncode == 0, found.stdout + found.stderr
