"""The frameworks themselves: their names, the packages they come in, and their retired dialect."""

TITLES = {"tf": "TensorFlow", "torch": "PyTorch"}

PACKAGES = {
    "tf": ("tensorflow", "keras", "tf_keras", "tensorflow_addons", "tensorflow_datasets"),
    "torch": ("torch", "torchaudio", "torchmetrics", "torchtext", "torchvision"),
}

GRAPH_DIALECT = (
    "tensorflow.Session",
    "tensorflow.InteractiveSession",
    "tensorflow.app",
    "tensorflow.assign",
    "tensorflow.contrib",
    "tensorflow.disable_eager_execution",
    "tensorflow.disable_v2_behavior",
    "tensorflow.get_variable",
    "tensorflow.global_variables_initializer",
    "tensorflow.initialize_all_variables",
    "tensorflow.layers",
    "tensorflow.placeholder",
    "tensorflow.train.AdamOptimizer",
    "tensorflow.train.GradientDescentOptimizer",
    "tensorflow.train.MomentumOptimizer",
    "tensorflow.train.RMSPropOptimizer",
    "tensorflow.train.Saver",
    "tensorflow.variable_scope",
)
"""What only TensorFlow 1 programs use: a graph is built first and run in a session later."""

GRAPH_MODULE = "tensorflow.compat.v1"
"""Where TensorFlow 2 keeps that dialect; the same names follow it."""
