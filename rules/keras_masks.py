"""Which steps of a graph Keras gives a mask to, and where each mask comes from."""

from __future__ import annotations

from transpiler.infer.values import Class, Const, Function, Instance, Value, items_of
from transpiler.rules.facts_keras_layers import argument
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN"})
PASSING = frozenset(
    """Dense Dropout Activation LayerNormalization TimeDistributed SpatialDropout1D GaussianNoise
    GaussianDropout ReLU LeakyReLU ELU PReLU Softmax Identity ActivityRegularization Add Multiply
    Subtract Average Maximum Minimum Concatenate MultiHeadAttention UnitNormalization
    BatchNormalization""".split()
)
TAKING = frozenset({*RECURRENT, "GlobalAveragePooling1D", "MultiHeadAttention", "Attention",
                    "AdditiveAttention"})  # fmt: skip


def kind_of(layer: Instance) -> str:
    """`LSTM` for a layer of the library."""
    return (layer.class_names or ("",))[0].rpartition(".")[2]


def mask_of(node: GraphNode | None) -> GraphNode | None:
    """The step that made the mask which comes with a step's result."""
    if node is None:
        return None
    if node.whole is not None:
        return mask_of(node.whole) if node.part == 0 else None
    layer = node.layer
    if layer is None:
        return None
    kind = kind_of(layer)
    if is_source(layer):
        return node
    if isinstance(layer.cls, Class):
        return input_mask(node) if hands_on(layer) else None
    if kind in RECURRENT:
        inner = layer.arguments.get("layer") if kind == "Bidirectional" else layer
        sequences = isinstance(inner, Instance) and argument(inner, "return_sequences") is True
        return input_mask(node) if sequences else None
    return input_mask(node) if kind in PASSING else None


def input_mask(node: GraphNode) -> GraphNode | None:
    """The mask that comes with what a step reads first."""
    held: list[Value] = [*node.inputs, *node.keywords.values()]
    for tensor in graph_tensors(held[0]) if held else ():
        found = mask_of(tensor.node)
        if found is not None:
            return found
    return None


def is_source(layer: Instance) -> bool:
    """Whether a layer makes a mask of its input."""
    kind = kind_of(layer)
    return kind == "Masking" or (kind == "Embedding" and argument(layer, "mask_zero") is True)


def hands_on(layer: Instance) -> bool:
    """Whether a layer of the program passes masks through."""
    if layer.attributes.get("supports_masking") == Const(True):
        return True
    return isinstance(layer.cls, Class) and isinstance(layer.cls.lookup("compute_mask"), Function)


def takes_mask(layer: Instance) -> bool:
    """Whether a layer's call has a use for a mask."""
    if not isinstance(layer.cls, Class):
        return kind_of(layer) in TAKING
    entry = layer.cls.lookup("call")
    if not isinstance(entry, Function):
        return False
    params = entry.node.params
    return any(p.name.value == "mask" for p in [*params.params, *params.kwonly_params])


def output_mask(value: Value | None) -> GraphNode | None:
    """The mask of a model's only output."""
    items = items_of(value) if value is not None else None
    if items is not None and len(items) == 1:
        value = items[0]
    return mask_of(value.node) if isinstance(value, GraphTensor) else None
