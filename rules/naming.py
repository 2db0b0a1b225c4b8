"""How the frameworks' names are written: roots, usual imports, usual short forms."""

from __future__ import annotations

SOURCE_ROOTS: dict[str, tuple[str, ...]] = {
    "tf": ("torch", "torchvision", "torchtext", "torchaudio", "to_torch"),
    "torch": ("tf", "keras", "tensorflow", "tensorflow_datasets", "tf_keras",
              "tensorflow_probability", "tensorflow_addons", "tensorflow_hub", "tensorflow_text",
              "tensorflow_model_optimization", "tensorflow_privacy", "tf_agents", "to_tf"),
}  # fmt: skip
"""By direction: the roots of canonical names that have to go."""

TARGET_IMPORTS: dict[str, dict[str, str]] = {
    "tf": {
        "np": "import numpy as np",
        "math": "import math",
        "os": "import os",
        "pickle": "import pickle",
        "bisect": "import bisect",
        "itertools": "import itertools",
        "functools": "import functools",
        "keras": "import keras",
        "tf": "import tensorflow as tf",
        "layers": "from keras import layers",
        "Image": "from PIL import Image",
        "ImageEnhance": "from PIL import ImageEnhance",
        "ImageOps": "from PIL import ImageOps",
    },
    "torch": {
        "np": "import numpy as np",
        "math": "import math",
        "os": "import os",
        "pickle": "import pickle",
        "bisect": "import bisect",
        "itertools": "import itertools",
        "functools": "import functools",
        "collections": "import collections",
        "copy": "import copy",
        "glob": "import glob",
        "gzip": "import gzip",
        "io": "import io",
        "json": "import json",
        "Image": "from PIL import Image",
        "pathlib": "import pathlib",
        "scipy": "import scipy.ndimage",
        "shutil": "import shutil",
        "tarfile": "import tarfile",
        "urllib": "import urllib.request",
        "warnings": "import warnings",
        "torch": "import torch",
        "nn": "from torch import nn",
        "F": "import torch.nn.functional as F",
        "DataLoader": "from torch.utils.data import DataLoader",
        "Dataset": "from torch.utils.data import Dataset",
        "TensorDataset": "from torch.utils.data import TensorDataset",
    },
}
"""By direction: names that new code may use, and the imports that bind them."""

SHORT_NAMES: dict[str, dict[str, str]] = {
    "tf": {"keras.layers": "layers"},
    "torch": {
        "torch.nn.functional": "F",
        "torch.nn": "nn",
        "torch.utils.data.DataLoader": "DataLoader",
        "torch.utils.data.Dataset": "Dataset",
        "torch.utils.data.TensorDataset": "TensorDataset",
    },
}
"""By direction: how long names of the target are written where the short name is free."""

AMBIGUOUS_METHODS = frozenset(
    """add all any append apply argmax argmin argsort astype build byte call clear clip close
    compile compress conj copy cos count cumprod cumsum data diagonal dim discard div dot
    double dtype dump eval evaluate exp extend eval eq fill filter fit flat flatten flip
    float format gather get grad half hist imag index insert int is_cuda item items join
    keys log lower map max mean median min mode name names ndim nonzero norm numpy pop pow
    predict prod put ravel read real remove repeat requires_grad_ replace reshape resize
    reverse round save select set shape sin size sort split sqrt squeeze std step strip
    sub sum swapaxes t T take tan tile to tobytes tolist trace train transpose type update
    upper values var view where write zfill device is_leaf layout""".split()
) - {"view", "numpy", "requires_grad_", "dim", "float", "size", "item"}
"""Method names that arrays of the framework share with other objects: never guessed from."""

TABLE_METHODS = frozenset(
    "abs add sub mul div diff corr cov quantile cummax cummin eq ne gt ge lt le isin".split()
)
"""Method names that tables of pandas have as well."""

STATE_METHODS = frozenset({"state_dict", "load_state_dict"})
"""Methods of models and of optimizers, which are translated in different ways."""

ANNOTATIONS = {
    "torch.Tensor": "tf.Tensor",
    "torch.FloatTensor": "tf.Tensor",
    "torch.LongTensor": "tf.Tensor",
    "torch.nn.Module": "keras.layers.Layer",
    "torch.nn.Parameter": "keras.Variable",
    "torch.optim.Optimizer": "keras.optimizers.Optimizer",
    "torch.utils.data.DataLoader": "tf.data.Dataset",
    "torch.utils.data.TensorDataset": "tf.data.Dataset",
    "torch.device": "str",
    "torch.dtype": "tf.DType",
    "tf.Tensor": "torch.Tensor",
    "tf.Variable": "torch.Tensor",
    "keras.Model": "nn.Module",
    "keras.Layer": "nn.Module",
    "keras.layers.Layer": "nn.Module",
    "keras.optimizers.Optimizer": "torch.optim.Optimizer",
    "tf.data.Dataset": "DataLoader",
}
"""Types as annotations name them; what is not listed becomes `object`."""
