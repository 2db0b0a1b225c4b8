"""Data that Keras brings along or prepares: `keras.datasets`, texts, labels, files."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Mapping, Sequence, Tensor, Value
from transpiler.rule import Unfit, rewrites
from transpiler.rules.facts_tf_data import element
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import OMIT, as_node, call, fill

_NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters", "boston_housing",
          "california_housing")  # fmt: skip
_TOKENIZER = "keras.preprocessing.text.Tokenizer"


@rewrites(*(f"keras.datasets.{name}.load_data" for name in _NAMES), to="torch")
def load_data(site: Site) -> Any:
    """A written-out function that gives the same arrays."""
    name = site.name.split(".")[2]
    if name == "california_housing" and site.has("version"):
        raise Unfit("`version` of california_housing is not translated")
    given = {n: v for n, v in site.args.items() if n != "path"}
    return call(site.context.emit(f"load_{name}"), **given)


@rewrites("keras.datasets.imdb.get_word_index", "keras.datasets.reuters.get_word_index", to="torch")
def get_word_index(site: Site) -> Any:
    name = site.name.split(".")[2]
    return call(site.context.emit("load_word_index"), f"{name}_word_index.json")


@rewrites(*(f"keras.datasets.{name}" for name in _NAMES), "keras.datasets", to="torch")
def module(site: Site) -> Any:
    """`mnist = keras.datasets.mnist`: nothing is left that needs the module."""
    target = site.assigned_to
    if not isinstance(target, cst.Name):
        raise Unfit("a module of data sets is used in a way that is not understood")
    for use in find(site.context.module, cst.Name):
        if use.value != target.value or use is target:
            continue
        parent = site.context.edits.parent.get(use)
        if not isinstance(parent, (cst.Attribute, cst.ImportAlias)):
            raise Unfit("a module of data sets is used in a way that is not understood")
    return []


@rewrites("keras.utils.to_categorical", to="torch")
def to_categorical(site: Site) -> Any:
    """One-hot rows as a numpy array; a last axis of one goes."""
    x, fact = site.arg("x"), site.fact("x")
    whole = (getattr(fact, "dtype", None) or "").startswith(("int", "uint"))
    if not whole or getattr(fact, "rank", None) != 1:
        classes = site.given("num_classes")
        return call(site.context.emit("one_hot_rows"), x, classes)
    if not site.has("num_classes"):
        return fill("np.eye(np.max(x) + 1)[x]", x=x)
    return fill("np.eye(n)[x]", n=site.arg("num_classes"), x=x)


@rewrites("keras.utils.pad_sequences", to="torch")
def pad_sequences(site: Site) -> Any:
    return call(site.context.emit("pad_sequences"), **_in_order(site, "sequences"))


def _in_order(site: Site, *leading: str) -> dict[str, Any]:
    """The arguments as given."""
    return {n: v for n, v in site.args.items() if v is not OMIT}


@rewrites(_TOKENIZER, to="torch")
def tokenizer(site: Site) -> Any:
    """The class is written out."""
    name = site.context.emit("Tokenizer")
    if not site.is_call:
        return cst.Name(name)
    return call(name, **_in_order(site))


@rewrites(
    *(f"{_TOKENIZER}.{name}" for name in (
        "fit_on_texts", "texts_to_sequences", "sequences_to_texts", "texts_to_matrix",
        "sequences_to_matrix", "to_json", "word_index", "index_word", "word_counts", "word_docs",
        "num_words", "document_count", "oov_token", "index_docs")), to="torch",
)  # fmt: skip
def tokenizer_member(site: Site) -> Any:
    return site.keep()


@rewrites("keras.preprocessing.text.tokenizer_from_json", to="torch")
def tokenizer_from_json(site: Site) -> Any:
    return call(site.context.emit("tokenizer_from_json"), *site.positional)


@rewrites("keras.preprocessing.text.text_to_word_sequence", to="torch")
def split_words(site: Site) -> Any:
    given = {"text" if n == "input_text" else n: v for n, v in site.args.items()}
    return call(site.context.emit("split_words"), **given)


@rewrites("keras.utils.get_file", to="torch")
def get_file(site: Site) -> Any:
    """A file of the web, downloaded once."""
    known = ("fname", "origin", "untar", "extract", "cache_dir", "cache_subdir", "archive_format",
             "md5_hash", "file_hash", "hash_algorithm", "force_download")  # fmt: skip
    kept = {n: v for n, v in site.args.items() if n in known[:6]}
    return call(site.context.emit("get_file"), **kept)


@rewrites("keras.utils.plot_model", "keras.utils.model_to_dot", to="torch")
def plot_model(site: Site) -> Any:
    """PyTorch draws no graphs: the model is printed, if it is not anyway."""
    if not site.alone and site.assigned_to is None:
        raise Unfit("the picture of a model is used", "print(model) shows its layers")
    shown = [n.func for n in find(site.context.module, cst.Call)]
    texts = {
        code(f.value) for f in shown if isinstance(f, cst.Attribute) and f.attr.value == "summary"
    }
    if site.alone and code(site.arg("model")) in texts:
        site.context.remark(site.node, site.short, "no picture of the model is drawn")
        return []
    site.context.remark(
        site.node, site.short, "no picture of the model is drawn; its layers are printed"
    )
    return fill("print(model)", model=site.arg("model"))


@rewrites("keras.utils.normalize", to="torch")
def normalize(site: Site) -> Any:
    """Rows divided by their norm, zero rows by one."""
    x = site.arg("x")
    fact = site.fact(x) if x is not None else None
    if isinstance(fact, Tensor) and fact.library in ("tf", "keras"):
        given = {"p" if n == "order" else "dim": v for n, v in site.args.items() if n != "x"}
        return call("torch.nn.functional.normalize", x, **{"dim": as_node(-1), **given})
    return call(site.context.emit("normalize_rows"), **_in_order(site))


@rewrites("keras.utils.PyDataset", to="torch")
def sequence_base(site: Site) -> Any:
    """A class that gives whole batches by number is a data set of PyTorch's."""
    return fill("torch.utils.data.Dataset")


@rewrites("keras.utils.PyDataset.__init__", to="torch")
def sequence_init(site: Site) -> Any:
    """Workers and queues are the DataLoader's business."""
    return fill("super().__init__()")


@rewrites(
    "keras.utils.PyDataset.on_epoch_end", "keras.utils.PyDataset.on_epoch_begin",
    "keras.utils.PyDataset.num_batches", to="torch",
)  # fmt: skip
def sequence_member(site: Site) -> Any:
    return site.keep()


@rewrites("tf.data.Dataset.element_spec", to="torch")
def element_spec(site: Site) -> Any:
    """Where it is only shown: the shapes and dtypes that are known, as texts."""
    if not isinstance(site.parent, (cst.Arg, cst.FormattedStringExpression)):
        raise Unfit("the specification of a pipeline's elements is used",
                    "look at the first batch")  # fmt: skip
    return as_node(_described(element(site.receiver_fact)))


def _described(value: Value) -> Any:
    if isinstance(value, Sequence) and value.items is not None:
        return tuple(_described(i) for i in value.items)
    if isinstance(value, Mapping):
        return {k: _described(x) for k, x in value.items.items()}
    if isinstance(value, Tensor):
        shape = "unknown shape" if value.shape is None else value.shape
        return f"{value.dtype or 'unknown dtype'} {shape}"
    return "unknown"


@rewrites("keras.utils.timeseries_dataset_from_array", to="torch")
def series_windows(site: Site) -> Any:
    """A data set of windows, batched and shuffled by a DataLoader."""
    names = {"sequence_length": "length", "sequence_stride": "stride", "sampling_rate": "rate",
             "start_index": "start", "end_index": "end"}  # fmt: skip
    if not set(site.args) <= {*names, "data", "targets", "batch_size", "shuffle", "seed"}:
        raise Unfit("a format of its own of timeseries_dataset_from_array is not translated")
    size = site.args.get("batch_size", 128)
    if site.has("batch_size") is False and "batch_size" in site.args:
        raise Unfit("windows that are not batched are not translated")
    given = {n: site.args[o] for o, n in names.items() if site.has(o)}
    targets = site.arg("targets") if site.has("targets") else OMIT
    windows = call(site.context.emit("SeriesWindows"), site.arg("data"), targets, **given)
    shuffled = site.const("shuffle", "?")
    if shuffled == "?":
        shuffled = site.arg("shuffle")
    options = {"shuffle": shuffled} if shuffled is not False else {}
    return call("torch.utils.data.DataLoader", windows, batch_size=size, **options)
