"""The data sets of ``keras.datasets`` as numpy arrays, kept where Keras keeps them as well."""

import gzip
import json
import os
import pathlib
import pickle
import shutil
import tarfile
import urllib.parse
import urllib.request

import numpy as np


def cached_file(url, *parts):
    """The path of a file that is downloaded once, to the folder that Keras caches files in."""
    home = pathlib.Path(os.environ.get("KERAS_HOME", pathlib.Path.home() / ".keras"))
    path = home.joinpath(*parts)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(url, path)
    return path


def data_file(name, *parts):
    """One of the files in the collection that Keras downloads from."""
    source = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
    return cached_file(source + name, "datasets", *parts, name)


def load_mnist(path="mnist.npz"):
    """Handwritten digits: uint8 images of 28 x 28 and labels, for training and for testing."""
    with np.load(data_file(path)) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])


def load_fashion_mnist():
    """Pieces of clothing: uint8 images of 28 x 28 and labels, for training and for testing."""
    parts = []
    for part in ("train", "t10k"):
        with gzip.open(data_file(f"{part}-labels-idx1-ubyte.gz", "fashion-mnist")) as file:
            labels = np.frombuffer(file.read(), np.uint8, offset=8)
        with gzip.open(data_file(f"{part}-images-idx3-ubyte.gz", "fashion-mnist")) as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
        parts.append((images, labels))
    return tuple(parts)


def cifar_files(name, folder):
    """The folder of the unpacked files of CIFAR."""
    archive = cached_file(f"https://www.cs.toronto.edu/~kriz/{name}.tar.gz", "datasets",
                          f"{name}.tar.gz")  # fmt: skip
    for place in (archive.parent / folder, archive.parent / f"{folder}-target" / folder):
        if place.exists():
            return place
    with tarfile.open(archive) as file:
        file.extractall(archive.parent)
    return archive.parent / folder


def cifar_part(paths, key):
    """Images in the order height, width, channels, and labels in one column."""
    images, labels = [], []
    for path in paths:
        with open(path, "rb") as file:
            content = pickle.load(file, encoding="bytes")
        images.append(content[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels += content[key]
    return np.concatenate(images), np.array(labels).reshape(-1, 1)


def load_cifar10():
    """Colour photographs of 10 kinds of things: uint8 of 32 x 32 x 3, and labels in a column."""
    folder = cifar_files("cifar-10-python", "cifar-10-batches-py")
    train = cifar_part([folder / f"data_batch_{i}" for i in range(1, 6)], b"labels")
    test = cifar_part([folder / "test_batch"], b"labels")
    return tuple((images, labels.astype("uint8")) for images, labels in (train, test))


def load_cifar100(label_mode="fine"):
    """Colour photographs of 100 kinds of things: uint8 of 32 x 32 x 3, and labels in a column."""
    folder = cifar_files("cifar-100-python", "cifar-100-python")
    key = f"{label_mode}_labels".encode()
    return tuple(cifar_part([folder / part], key) for part in ("train", "test"))


def load_regression(name, test_split, seed):
    """Rows of features and targets, shuffled and split."""
    with np.load(data_file(name)) as file:
        x, y = file["x"], file["y"]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    split = int(len(x) * (1 - test_split))
    return (x[:split], y[:split]), (x[split:], y[split:])


def load_boston_housing(path="boston_housing.npz", test_split=0.2, seed=113):
    """Prices of houses in Boston with 13 features each."""
    return load_regression(path, test_split, seed)


def load_california_housing(path="california_housing.npz", test_split=0.2, seed=113):
    """Prices of houses in California with 8 features each."""
    return load_regression(path, test_split, seed)


def number_words(texts, labels, num_words, skip_top, maxlen, start_char, oov_char, index_from):
    """Texts as lists of word numbers, as Keras numbers them; rare words become oov_char."""
    if start_char is not None:
        texts = [[start_char] + [w + index_from for w in text] for text in texts]
    else:
        texts = [[w + (index_from or 0) for w in text] for text in texts]
    if maxlen:
        kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
        texts, labels = [texts[i] for i in kept], [labels[i] for i in kept]
    num_words = num_words or max(max(text) for text in texts)

    def keep(text):
        if oov_char is None:
            return [w for w in text if skip_top <= w < num_words]
        return [w if skip_top <= w < num_words else oov_char for w in text]

    return [keep(text) for text in texts], labels


def ragged(texts):
    """Lists of different lengths in a numpy array."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def load_imdb(
    path="imdb.npz", num_words=None, skip_top=0, maxlen=None, seed=113, start_char=1, oov_char=2,
    index_from=3,
):  # fmt: skip
    """Film reviews as lists of word numbers, and whether they are good."""
    with np.load(data_file(path), allow_pickle=True) as file:
        parts = [(file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
    generator = np.random.RandomState(seed)
    texts, labels, counts = [], [], []
    for x, y in parts:
        order = np.arange(len(x))
        generator.shuffle(order)
        part = number_words(x[order], y[order], 1 << 60, 0, maxlen, start_char, None, index_from)
        texts += part[0]
        labels += list(part[1])
        counts.append(len(part[0]))
    texts, _ = number_words(texts, labels, num_words, skip_top, None, None, oov_char, 0)
    x, y, split = ragged(texts), np.array(labels), counts[0]
    return (x[:split], y[:split]), (x[split:], y[split:])


def load_reuters(
    path="reuters.npz", num_words=None, skip_top=0, maxlen=None, test_split=0.2, seed=113,
    start_char=1, oov_char=2, index_from=3,
):  # fmt: skip
    """Newswires as lists of word numbers, and their topics."""
    with np.load(data_file(path), allow_pickle=True) as file:
        x, y = file["x"], file["y"]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    texts, labels = number_words(
        x[order], y[order], num_words, skip_top, maxlen, start_char, oov_char, index_from
    )
    x, y, split = ragged(texts), np.array(labels), int(len(texts) * (1 - test_split))
    return (x[:split], y[:split]), (x[split:], y[split:])


def load_word_index(name):
    """The number of each word of a data set."""
    with open(data_file(name)) as file:
        return json.load(file)


def get_file(
    fname=None, origin=None, untar=False, extract=False, cache_dir=None, cache_subdir="datasets"
):
    """The path of a file of the web, downloaded once, as keras.utils.get_file gives it."""
    home = cache_dir or os.environ.get("KERAS_HOME", pathlib.Path.home() / ".keras")
    folder = pathlib.Path(home, cache_subdir)
    folder.mkdir(parents=True, exist_ok=True)
    name = fname or os.path.basename(urllib.parse.urlparse(origin).path)
    archive = folder / (os.path.basename(origin) if untar or extract else name)
    if not archive.exists():
        urllib.request.urlretrieve(origin, archive)
    if untar or extract:
        shutil.unpack_archive(archive, folder)
    return str(folder / name)
