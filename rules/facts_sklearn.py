"""Facts of scikit-learn's data sets, splits and scalers, and of pandas' tables."""

from __future__ import annotations

import math

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Instance,
    ListObject,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    as_dim,
    items_of,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.operands import in_module

DATA = "sklearn.datasets."
BUNDLED: dict[str, tuple[int, int, str]] = {
    "load_iris": (150, 4, "int64"), "load_digits": (1797, 64, "int64"),
    "load_wine": (178, 13, "int64"), "load_breast_cancer": (569, 30, "int64"),
    "load_diabetes": (442, 10, "float64"), "fetch_california_housing": (20640, 8, "float64"),
    "fetch_olivetti_faces": (400, 4096, "int64"),
}  # fmt: skip
MADE: dict[str, tuple[int, int, str]] = {
    "make_moons": (100, 2, "int64"), "make_circles": (100, 2, "int64"),
    "make_blobs": (100, 2, "int64"), "make_classification": (100, 20, "int64"),
    "make_regression": (100, 100, "float64"), "make_swiss_roll": (100, 3, "float64"),
    "make_s_curve": (100, 3, "float64"), "make_friedman1": (100, 10, "float64"),
}  # fmt: skip


def _array(shape: tuple[Dim, ...] | None, dtype: str | None) -> Tensor:
    return Tensor(shape, dtype, "numpy")


@infers(*(DATA + n for n in BUNDLED))
def bundled(call: Invocation) -> Value:
    rows, columns, kind = BUNDLED[call.name.rpartition(".")[2]]
    data, target = _array((rows, columns), "float64"), _array((rows,), kind)
    if call.name.endswith("faces"):
        data = _array((rows, columns), "float32")
    if call.keywords.get("return_X_y") == Const(True):
        return Sequence("tuple", (data, target))
    bunch = Instance(Symbol("sklearn.utils.Bunch"), {}, {}, call.node)
    names = ListObject(None)
    bunch.attributes.update(data=data, target=target, feature_names=names, target_names=names)
    if call.name.endswith(("digits", "faces")):
        side = math.isqrt(columns)
        bunch.attributes["images"] = _array((rows, side, side), data.dtype)
    return bunch


@infers(*(DATA + n for n in MADE))
def made(call: Invocation) -> Value:
    rows, columns, kind = MADE[call.name.rpartition(".")[2]]
    asked = call.arg("n_samples", at=0)
    count: Dim = rows if asked is None else as_dim(asked)
    wide = call.arg("n_features", at=None if call.name.endswith("curve") else 1)
    width: Dim = columns
    if wide is not None and call.name.rpartition("_")[2] in (
        "blobs",
        "classification",
        "regression",
    ):
        width = as_dim(wide)
    return Sequence("tuple", (_array((count, width), "float64"), _array((count,), kind)))


@infers("sklearn.model_selection.train_test_split")
def train_test_split(call: Invocation) -> Value:
    found: list[Value] = []
    for value in call.positional:
        if isinstance(value, Tensor) and value.shape:
            train, test = _split_sizes(value.shape[0], call)
            found += [value.but(shape=(train, *value.shape[1:]), variable=False),
                      value.but(shape=(test, *value.shape[1:]), variable=False)]  # fmt: skip
        elif isinstance(value, Tensor) or rank_of(value) is not None:
            found += [value, value]
        else:
            found += [UNKNOWN, UNKNOWN]
    return Sequence("tuple", tuple(found))


def _split_sizes(rows: Dim, call: Invocation) -> tuple[Dim, Dim]:
    asked = call.keywords.get("test_size")
    share = 0.25 if asked is None else asked.value if isinstance(asked, Const) else None
    if not isinstance(rows, int) or share is None or "train_size" in call.keywords:
        return None, None
    test = math.ceil(rows * share) if isinstance(share, float) else int(share)
    return rows - test, test


SCALERS = tuple(
    f"sklearn.preprocessing.{n}"
    for n in ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "Normalizer",
              "LabelEncoder", "OneHotEncoder", "LabelBinarizer")
)  # fmt: skip


@infers(*SCALERS)
def scaler(call: Invocation) -> Value:
    return call.interpreter.allocate(Symbol(call.name), call.node, {})


@infers(*(f"{s}.{m}" for s in SCALERS for m in ("fit_transform", "transform", "inverse_transform")))
def scaled(call: Invocation) -> Value:
    value = call.positional[0] if call.positional else UNKNOWN
    x = value if isinstance(value, Tensor) else Tensor(library="numpy")
    if "LabelEncoder" in call.name:
        return _array(x.shape, "int64")
    if "OneHot" in call.name or "Binarizer" in call.name:
        return _array((x.shape[0], None) if x.shape else None, None)
    keeps = x.dtype in ("float32", "float64")
    return _array(x.shape, x.dtype if keeps else "float64")


@infers(*(f"{s}.fit" for s in SCALERS))
def fitted(call: Invocation) -> Value:
    return call.receiver or UNKNOWN


# ---- pandas -----------------------------------------------------------------------------------

FRAME, SERIES = "pandas.DataFrame", "pandas.Series"
_SAME = ("drop", "dropna", "fillna", "astype", "sample", "head", "reset_index", "copy",
         "sort_values", "apply", "tail", "set_index", "replace", "map", "query", "interpolate",
         "drop_duplicates", "sort_index", "clip", "round", "abs")  # fmt: skip


_OTHER_COLUMNS = ("drop", "dropna", "apply", "reset_index", "set_index", "map")


def _table(call: Invocation, name: str = FRAME) -> Value:
    return call.interpreter.allocate(Symbol(name), call.node, {})


@infers(*in_module("pandas", "read_csv", "DataFrame", "read_excel", "concat", "get_dummies"))
def table(call: Invocation) -> Value:
    return _table(call)


@infers("pandas.Series", f"{FRAME}.pop", f"{FRAME}.squeeze")
def column(call: Invocation) -> Value:
    return _table(call, SERIES)


@infers(*(f"{name}.{n}" for name in (FRAME, SERIES) for n in _SAME))
def same_table(call: Invocation) -> Value:
    table = call.receiver
    name = call.name.rpartition(".")[2]
    if isinstance(table, Instance) and "columns" in table.state and name in _OTHER_COLUMNS:
        return _table(call, table.class_names[0])
    return table or _table(call)


@infers(f"{FRAME}.__getitem__")
def picked(call: Invocation) -> Value:
    """`table["name"]`, `table.iloc[:, 3]` are columns; lists and slices of them are tables."""
    index = call.positional[0] if call.positional else UNKNOWN
    if isinstance(call.node, cst.Subscript) and isinstance(call.node.slice[-1].slice, cst.Slice):
        return call.receiver or _table(call)
    items = items_of(index) if isinstance(index, Sequence) and index.kind == "tuple" else None
    last = items[-1] if items else index
    if isinstance(last, Number) and last.type == "bool":
        return call.receiver or UNKNOWN  # a comparison of columns
    if isinstance(last, (Const, Number)):
        return _table(call, SERIES)
    if isinstance(last, Instance) and last.class_names[:1] == (SERIES,):
        return call.receiver or UNKNOWN  # rows, where a column says so
    if not isinstance(last, (ListObject, Sequence)):
        return UNKNOWN
    named = items_of(last)
    if items is not None or not named or not all(_is_text(n) for n in named):
        return call.receiver or _table(call)
    part = _table(call)
    if isinstance(part, Instance):
        same = part.state.setdefault("columns", len(named)) == len(named)
        part.state["columns"] = len(named) if same else None
    return part


def _is_text(value: Value) -> bool:
    return isinstance(value, Const) and isinstance(value.value, str)


@infers(f"{SERIES}.__getitem__")
def rows(call: Invocation) -> Value:
    index = call.positional[0] if call.positional else UNKNOWN
    one = isinstance(index, (Const, Number)) and getattr(index, "type", "") != "bool"
    return UNKNOWN if one else call.receiver or UNKNOWN


@infers_property(*(f"{n}.{a}" for n in (FRAME, SERIES) for a in ("iloc", "loc", "T", "str")))
def located(value: Value) -> Value:
    return value


def rank_of(value: Value) -> int | None:
    """2 for a table, 1 for a column, the rank of an array."""
    if isinstance(value, Tensor):
        return value.rank
    names = value.class_names if isinstance(value, Instance) else ()
    return {FRAME: 2, SERIES: 1}.get(names[0] if names else "")


def _content(value: Value) -> Value:
    rank = rank_of(value)
    shape: tuple[Dim, ...] | None = (None,) * rank if rank else None
    if rank == 2 and isinstance(value, Instance) and "elements set" not in value.state:
        shape = (None, value.state.get("columns"))
    return Tensor(shape, library="numpy")


@infers_property(f"{FRAME}.values", f"{SERIES}.values")
def values(value: Value) -> Value:
    return _content(value)


@infers(f"{FRAME}.to_numpy", f"{SERIES}.to_numpy")
def to_numpy(call: Invocation) -> Value:
    return _content(call.receiver or UNKNOWN)
