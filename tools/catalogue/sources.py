"""Which modules are catalogued, and what introspection can not know about them."""

from __future__ import annotations

# torch and torchvision publish far more than scripts use: their modules are named one by one.
TORCH_MODULES = [
    "torch",
    "torch.accelerator",
    "torch.amp",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.autograd.profiler",
    "torch.backends",
    "torch.backends.cudnn",
    "torch.backends.cuda",
    "torch.backends.mkl",
    "torch.backends.mps",
    "torch.cuda",
    "torch.cuda.amp",
    "torch.compiler",
    "torch.distributed",
    "torch.distributions",
    "torch.distributions.constraints",
    "torch.distributions.transforms",
    "torch.fft",
    "torch.func",
    "torch.hub",
    "torch.jit",
    "torch.linalg",
    "torch.mps",
    "torch.multiprocessing",
    "torch.nn",
    "torch.nn.attention",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.parallel",
    "torch.nn.utils",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize",
    "torch.nn.utils.prune",
    "torch.nn.utils.rnn",
    "torch.nn.utils.stateless",
    "torch.onnx",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.optim.swa_utils",
    "torch.profiler",
    "torch.random",
    "torch.special",
    "torch.testing",
    "torch.utils",
    "torch.utils.checkpoint",
    "torch.utils.data",
    "torch.utils.data.distributed",
    "torch.utils.model_zoo",
    "torchvision",
    "torchvision.datasets",
    "torchvision.datasets.folder",
    "torchvision.io",
    "torchvision.models",
    "torchvision.models.detection",
    "torchvision.models.detection.faster_rcnn",
    "torchvision.models.resnet",
    "torchvision.models.segmentation",
    "torchvision.ops",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.transforms.v2",
    "torchvision.transforms.v2.functional",
    "torchvision.utils",
]

# Public trees that are walked whole, and what is left out of them: other programs' concerns.
TREES = {"keras": "keras", "keras._tf_keras.keras": "keras", "tensorflow": "tf"}
SKIPPED = {
    "keras.src",
    "keras.api",
    "keras._tf_keras",
    "tf.keras",
    "tf.compat",
    "tf.raw_ops",
    "tf.lite",
    "tf.experimental.numpy",
    "tf.tools",
    "tf.python",
    "tf.core",
    "tf.tsl",
    "tf.compiler",
    "tf.security",
    "tf.include",
    "tf.dtensor",
    "tf.initializers",
    "tf.losses",
    "tf.metrics",
    "tf.optimizers",
    "keras.optimizers.legacy",
    "tf.nn.RNNCellDeviceWrapper",
    "tf.nn.RNNCellDropoutWrapper",
    "tf.nn.RNNCellResidualWrapper",
    "torch.autograd.has_torch_function",
    "torch.autograd.variable",
    "torch.nn.functional.assert_int_or_pair",
    "torch.nn.functional.has_torch_function",
    "torch.nn.functional.has_torch_function_unary",
    "torch.nn.functional.has_torch_function_variadic",
}

# Spellings that mean another root. The longest prefix wins.
ROOTS = {
    "tensorflow": "tf",
    "tensorflow._api.v2": "tf",
    "tensorflow.compat.v2": "tf",
    "tensorflow._api.v2.compat.v2": "tf",
    "tensorflow.keras": "keras",
    "tensorflow.compat.v2.keras": "keras",
    "tensorflow.compat.v1.keras": "keras",
    "tensorflow.python.keras": "keras",
    "tensorflow.python.keras.api._v2.keras": "keras",
    "tensorflow.contrib.keras": "keras",
    "tf.keras": "keras",
    "tf.compat.v2": "tf",
    "tf.compat.v2.keras": "keras",
    "tf.compat.v1.keras": "keras",
    "tf.python.keras": "keras",
    "tf.initializers": "keras.initializers",
    "tf.losses": "keras.losses",
    "tf.metrics": "keras.metrics",
    "tf.optimizers": "keras.optimizers",
    "tf_keras": "keras",
    "keras.src": "keras",
    "keras.api": "keras",
    "keras.api._v2.keras": "keras",
    "keras._tf_keras.keras": "keras",
    "keras.optimizer_v2": "keras.optimizers",
    "keras.optimizers.legacy": "keras.optimizers",
    "keras.optimizers.experimental": "keras.optimizers",
    "keras.engine": "keras.models",
    "keras.engine.base_layer": "keras.layers",
    "keras.engine.input_layer": "keras.layers",
    "keras.engine.input_spec": "keras.layers",
    "keras.engine.topology": "keras.layers",
    "keras.preprocessing.image_dataset": "keras.utils",
    "keras.saving.save": "keras.models",
    "keras.layers.experimental": "keras.layers",
    "keras.losses_utils": "keras.losses",
    "keras.mixed_precision.experimental": "keras.mixed_precision",
}

# Former spellings of things that are still there under another name.
FORMER = {
    "torch.optim.lr_scheduler._LRScheduler": "torch.optim.lr_scheduler.LRScheduler",
    "torch.nn.backends.thnn": "torch.nn.functional",
    "torch.utils.data.dataloader.default_collate": "torch.utils.data.default_collate",
    "keras.layers.CuDNNLSTM": "keras.layers.LSTM",
    "keras.layers.CuDNNGRU": "keras.layers.GRU",
    "keras.layers.normalization.BatchNormalization": "keras.layers.BatchNormalization",
    "keras.preprocessing.image_dataset_from_directory": "keras.utils.image_dataset_from_directory",
    "keras.preprocessing.text_dataset_from_directory": "keras.utils.text_dataset_from_directory",
    "keras.utils.generic_utils.get_custom_objects": "keras.saving.get_custom_objects",
}

# Of several names for one object: one of these before all, where it has one ...
CUSTOMARY = ("torch.nn.functional.", "torch.amp.", "torch.profiler.")
# ... and among equally short ones the one under the earliest of these.
PREFERRED = [
    "keras.losses.",
    "keras.models.",
    "keras.utils.",
    "tf.nn.",
]

# Signatures that the objects do not tell: a constructor that chooses its form by its arguments ...
SIGNATURES = {
    "keras.Model": ["inputs, outputs, name=None, trainable=True, **kwargs", "*args, **kwargs"],
    "torch.Tensor": ["*data, device=None"],
    "torch.nn.Module": [""],
    "torch.nn.Identity": ["*args, **kwargs"],
    "torch.linalg.lu_factor": ["A, *, pivot=True, out=None"],
    "torch.unique_consecutive": [
        "input, return_inverse=False, return_counts=False, dim=None",
    ],
    "torch.nn.Parameter": ["data=None, requires_grad=True"],
    "torch.nn.Buffer": ["data=None, *, persistent=True"],
    "torch.nn.Sequential": ["*args"],
    "torch.autograd.Variable": ["data, requires_grad=False, volatile=False"],
    "torch.Size": ["iterable=(), /"],
    "keras.Layer.add_weight": [
        "shape=None, initializer=None, dtype=None, trainable=True, autocast=True, "
        "regularizer=None, constraint=None, aggregation='none', overwrite_with_gradient=False, "
        "name=None"
    ],
    "tf.data.Dataset.range": [
        "stop, *, output_type=tf.int64, name=None",
        "start, stop, step=1, *, output_type=tf.int64, name=None",
    ],
    "tf.meshgrid": ["*args, indexing='xy', name='meshgrid'"],
    "tf.range": [
        "limit, *, delta=1, dtype=None, name='range'",
        "start, limit, delta=1, dtype=None, name='range'",
    ],
    "tf.Variable": [
        "initial_value=None, trainable=None, validate_shape=True, caching_device=None, name=None, "
        "variable_def=None, dtype=None, import_scope=None, constraint=None, synchronization="
        "tf.VariableSynchronization.AUTO, aggregation=tf.VariableAggregation.NONE, shape=None"
    ],
}

# ... and attributes that exist on instances only.
ATTRIBUTES = {
    "torch.nn.Module": ["training"],
    "torch.nn.Parameter": ["data", "grad", "requires_grad"],
    "torch.optim.Optimizer": ["param_groups", "state", "defaults"],
    "torch.optim.lr_scheduler.LRScheduler": ["base_lrs", "last_epoch", "optimizer"],
    "torch.utils.data.DataLoader": ["dataset", "batch_size", "sampler", "batch_sampler"],
    "torch.utils.data.TensorDataset": ["tensors"],
    "torch.utils.data.Subset": ["dataset", "indices"],
    "keras.Layer": ["activity_regularizer", "built", "input_shape", "name", "output_shape"],
    "keras.Metric": ["name"],
    "keras.Model": ["optimizer", "loss", "history", "stop_training", "inputs", "outputs"],
    "keras.Optimizer": ["iterations", "learning_rate", "name"],
    "keras.callbacks.Callback": ["model", "params"],
    "keras.callbacks.History": ["history", "epoch"],
}
