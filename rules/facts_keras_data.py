"""Facts of keras.datasets and of what prepares arrays: shapes and dtypes of the known data sets."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    Const,
    Dim,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Tensor,
    Value,
    as_dim,
    is_none,
    items_of,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.operands import shape_of_data

_IMAGES: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "mnist": (60000, 10000, (28, 28)), "fashion_mnist": (60000, 10000, (28, 28)),
    "cifar10": (50000, 10000, (32, 32, 3)), "cifar100": (50000, 10000, (32, 32, 3)),
}  # fmt: skip
_TEXTS = {"imdb": (25000, 25000), "reuters": (8982, 2246)}


def _array(shape: tuple[Dim, ...], dtype: str) -> Tensor:
    return Tensor(shape, dtype, "numpy")


def _parts(*parts: tuple[Value, Value]) -> Value:
    return Sequence("tuple", tuple(Sequence("tuple", pair) for pair in parts))


@infers(*(f"keras.datasets.{name}.load_data" for name in _IMAGES))
def image_data(call: Invocation) -> Value:
    """((x_train, y_train), (x_test, y_test)) of images and whole labels."""
    name = call.name.split(".")[2]
    train, test, shape = _IMAGES[name]
    kind = "int64" if name == "cifar100" else "uint8"
    column = (1,) if name.startswith("cifar") else ()
    return _parts(
        *((_array((n, *shape), "uint8"), _array((n, *column), kind)) for n in (train, test))
    )


@infers(*(f"keras.datasets.{name}.load_data" for name in _TEXTS))
def text_data(call: Invocation) -> Value:
    """Lists of word numbers of different lengths, and labels."""
    counts = _TEXTS[call.name.split(".")[2]]
    return _parts(*((_array((n,), "object"), _array((n,), "int64")) for n in counts))


@infers("keras.datasets.boston_housing.load_data")
def boston(call: Invocation) -> Value:
    return _parts(*((_array((n, 13), "float64"), _array((n,), "float64")) for n in (404, 102)))


@infers("keras.datasets.california_housing.load_data")
def california(call: Invocation) -> Value:
    return _parts(*((_array((n, 8), "float32"), _array((n,), "float32")) for n in (16512, 4128)))


@infers("keras.datasets.imdb.get_word_index", "keras.datasets.reuters.get_word_index")
def word_index(call: Invocation) -> Value:
    return Mapping({}, Number("int"))


@infers("keras.utils.to_categorical")
def one_hot(call: Invocation) -> Value:
    """Labels as rows of float64 (Keras 3), a last axis of one taken away."""
    labels, classes = call.arg("x", "y", at=0), call.arg("num_classes", at=1)
    shape = labels.shape if isinstance(labels, Tensor) else shape_of_data(labels)
    width = as_dim(classes) if classes is not None else None
    if shape is None:
        return Tensor(None, "float64", "numpy")
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return Tensor((*shape, width), "float64", "numpy")


@infers("keras.utils.pad_sequences")
def padded(call: Invocation) -> Value:
    """Rows of one length, whole numbers unless it says otherwise."""
    given, rows = call.arg("maxlen", at=1), call.arg("sequences", at=0)
    width = as_dim(given) if given is not None and not is_none(given) else None
    count: Dim = None
    if isinstance(rows, Tensor) and rows.shape:
        count = rows.shape[0]
    elif rows is not None and items_of(rows) is not None:
        count = len(items_of(rows) or ())
    dtype = call.arg("dtype", at=2)
    kind = dtype.value if isinstance(dtype, Const) and isinstance(dtype.value, str) else "int32"
    return Tensor((count, width), kind, "numpy")


@infers("keras.utils.normalize")
def normalized(call: Invocation) -> Value:
    x = call.arg("x", at=0)
    return Tensor(x.shape if isinstance(x, Tensor) else None, "float64", "numpy")


@infers("keras.preprocessing.text.Tokenizer.texts_to_sequences")
def sequences(call: Invocation) -> Value:
    return ListObject(None, ListObject(None, Number("int")))


@infers("keras.preprocessing.text.Tokenizer.texts_to_matrix")
def matrix(call: Invocation) -> Value:
    tokenizer = call.receiver
    words = tokenizer.arguments.get("num_words") if isinstance(tokenizer, Instance) else None
    return Tensor((None, as_dim(words) if isinstance(words, Value) else None), "float64", "numpy")


@infers("keras.preprocessing.text.Tokenizer.sequences_to_texts")
def texts(call: Invocation) -> Value:
    return ListObject(None, Number("str"))


@infers("keras.preprocessing.text.Tokenizer.fit_on_texts")
def fitted(call: Invocation) -> Value:
    return NONE


@infers_property("keras.preprocessing.text.Tokenizer.word_index")
def words_of(value: Value) -> Value:
    return Mapping({}, Number("int"))


@infers_property("keras.preprocessing.text.Tokenizer.index_word")
def words_by_number(value: Value) -> Value:
    return Mapping({}, Number("str"))


@infers("keras.utils.get_file")
def local_file(call: Invocation) -> Value:
    return Number("str")


@infers("keras.utils.img_to_array")
def image_array(call: Invocation) -> Value:
    return Tensor((None, None, None), "float32", "numpy")
