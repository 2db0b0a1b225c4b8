"""Texts as numbers: what ``keras.preprocessing`` does to them, in plain Python and numpy."""

import collections
import json

import numpy as np


def pad_sequences(
    sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0.0
):
    """Rows of one length: longer ones are cut and shorter ones filled up, at the front or end."""
    maxlen = max(map(len, sequences)) if maxlen is None else maxlen
    shape = next((np.asarray(row).shape[1:] for row in sequences if len(row)), ())
    result = np.full((len(sequences), maxlen, *shape), value, dtype=dtype)
    for target, row in zip(result, sequences):
        row = np.asarray(row[-maxlen:] if truncating == "pre" else row[:maxlen], dtype=dtype)
        if len(row):
            place = slice(-len(row), None) if padding == "pre" else slice(len(row))
            target[place] = row
    return result


def split_words(text, filters='!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', lower=True, split=" "):
    """The words of a text, without punctuation."""
    text = text.lower() if lower else text
    text = text.translate(str.maketrans(dict.fromkeys(filters, split)))
    return [word for word in text.split(split) if word]


class Tokenizer:
    """Numbers for words, the most frequent ones first, as ``keras.preprocessing.text`` gives."""

    def __init__(
        self,
        num_words=None,
        filters='!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n',
        lower=True,
        split=" ",
        char_level=False,
        oov_token=None,
        analyzer=None,
    ):
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.analyzer = analyzer
        self.document_count = 0
        self.word_counts = collections.OrderedDict()
        self.word_docs = collections.defaultdict(int)
        self.index_docs = collections.defaultdict(int)
        self.word_index = {}
        self.index_word = {}

    def words(self, text):
        if isinstance(text, list):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return text.lower() if self.lower else text
        if self.analyzer is not None:
            return self.analyzer(text)
        return split_words(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts):
        for text in texts:
            self.document_count += 1
            words = list(self.words(text))
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        ordered = sorted(self.word_counts, key=self.word_counts.get, reverse=True)
        known = ([] if self.oov_token is None else [self.oov_token]) + ordered
        self.word_index = {word: i + 1 for i, word in enumerate(known)}
        self.index_word = {i: word for word, i in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def numbers(self, indices):
        """The indices that are kept; rare and unknown words become the oov token, if any."""
        oov = self.word_index.get(self.oov_token)
        for index in indices:
            if index is None or (self.num_words and index >= self.num_words):
                index = oov
            if index is not None:
                yield index

    def texts_to_sequences(self, texts):
        return [
            list(self.numbers(self.word_index.get(word) for word in self.words(text)))
            for text in texts
        ]

    def sequences_to_texts(self, sequences):
        return [
            " ".join(
                self.index_word[i]
                for i in self.numbers(i if i in self.index_word else None for i in sequence)
            )
            for sequence in sequences
        ]

    def texts_to_matrix(self, texts, mode="binary"):
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences, mode="binary"):
        width = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), width))
        for row, sequence in zip(matrix, sequences):
            counts = collections.Counter(i for i in sequence if i < width)
            for i, count in counts.items():
                if mode == "tfidf":
                    documents = 1 + self.index_docs.get(i, 0)
                    row[i] = (1 + np.log(count)) * np.log(1 + self.document_count / documents)
                else:
                    row[i] = {"binary": 1, "count": count, "freq": count / len(sequence)}[mode]
        return matrix

    def to_json(self):
        names = ("num_words", "filters", "lower", "split", "char_level", "oov_token",
                 "document_count", "word_counts", "word_docs", "index_docs", "index_word",
                 "word_index")  # fmt: skip
        config = {name: getattr(self, name) for name in names}
        config |= {name: json.dumps(config[name]) for name in names[7:]}
        return json.dumps({"class_name": "Tokenizer", "config": config})


def tokenizer_from_json(text):
    """The tokenizer that ``to_json`` wrote."""
    config = json.loads(text)["config"]
    tokenizer = Tokenizer()
    for name, value in config.items():
        if name.startswith(("word_", "index_")):
            value = json.loads(value)
        if name in ("index_docs", "index_word"):
            value = {int(key): part for key, part in value.items()}
        setattr(tokenizer, name, value)
    return tokenizer


def one_hot_rows(labels, num_classes=None):
    """keras.utils.to_categorical: a row of zeros and a one for each label."""
    labels = np.asarray(labels, dtype=int)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return np.eye(num_classes or labels.max() + 1)[labels]


def normalize_rows(x, axis=-1, order=2):
    """keras.utils.normalize: vectors along an axis divided by their norms."""
    x = np.asarray(x)
    norms = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norms == 0, 1, norms)
