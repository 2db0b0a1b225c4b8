"""How the arrays of a torch module and of its Keras layers belong together, found from the arrays.

Pure numpy.  A finder gives the slots of a pair, or None where the two do not belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from transpiler.weights.slot import Slot, same, shapes_fit
from transpiler.weights.tree import Array

Arrays = dict[str, Array]
Finder = Callable[[Arrays, Arrays], list[Slot] | None]

NAMES = {
    "weight": ("gamma", "embeddings", "scale", "kernel", "alpha", "depthwise_kernel", "weight"),
    "bias": ("beta", "bias"),
    "running_mean": ("moving_mean", "running_mean"),
    "running_var": ("moving_variance", "running_var"),
}
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "weight")


def transpose_kernel(weight: Array) -> Array:
    """torch's (out, in, *window) as Keras's (*window, in, out); so for transposed convolutions."""
    return weight.transpose(*range(2, weight.ndim), 1, 0)


def restore_kernel(kernel: Array) -> Array:
    """The inverse of `transpose_kernel`."""
    return kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))


def kernel_slot(torch_name: str, keras_name: str) -> Slot:
    """A dense or convolution kernel."""
    return Slot(
        (torch_name,),
        (keras_name,),
        lambda a: [transpose_kernel(a[0])],
        lambda a: [restore_kernel(a[0])],
    )


def depthwise_slot(torch_name: str, keras_name: str, weight: Array, kernel: Array) -> Slot:
    """torch's (c * m, 1, *window) as Keras's (*window, c, m)."""
    channels, multiplier = kernel.shape[-2:]
    window = weight.shape[2:]
    last = range(2, 2 + len(window))
    first = (len(window), len(window) + 1, *range(len(window)))
    return Slot(
        (torch_name,),
        (keras_name,),
        lambda a: [a[0].reshape(channels, multiplier, *window).transpose(*last, 0, 1)],
        lambda a: [a[0].transpose(*first).reshape(weight.shape)],
    )


def reshape_slot(torch_name: str, keras_name: str, t: Array, k: Array) -> Slot:
    """The same numbers in the same order, in another shape."""
    return Slot(
        (torch_name,),
        (keras_name,),
        lambda a: [a[0].reshape(k.shape)],
        lambda a: [a[0].reshape(t.shape)],
    )


def kernels(t: Arrays, k: Arrays) -> list[Slot] | None:
    """Linear and convolutions, with or without groups."""
    names = [name for name in k if name.split(".")[-1] in KERNELS]
    if len(names) != 1 or "weight" not in t:
        return split_kernels(t, k, names) if len(names) > 1 else None
    name, weight, kernel = names[0], t["weight"], k[names[0]]
    if name.endswith("weight") and kernel.shape == weight.shape:
        slots = [same("weight", name)]
    elif kernel.ndim == weight.ndim and transpose_kernel(weight).shape == kernel.shape:
        slots = [kernel_slot("weight", name)]
    elif weight.ndim > 2 and weight.shape[1] == 1 and kernel.ndim == weight.ndim:
        slots = [depthwise_slot("weight", name, weight, kernel)]
    elif weight.size == kernel.size and max(weight.ndim, kernel.ndim) > 2:
        slots = pointwise(name, weight, kernel)
    else:
        return None
    return add_bias(slots, t, k, prefix=name.rpartition(".")[0])


def pointwise(name: str, weight: Array, kernel: Array) -> list[Slot]:
    """A 1 x 1 convolution against a dense layer, or a dense kernel in more than two axes."""
    flat = weight.reshape(weight.shape[0], -1)
    return [
        Slot(
            ("weight",),
            (name,),
            lambda a: [a[0].reshape(flat.shape).T.reshape(kernel.shape)],
            lambda a: [a[0].reshape(flat.T.shape).T.reshape(weight.shape)],
        )
    ]


def add_bias(slots: list[Slot], t: Arrays, k: Arrays, prefix: str) -> list[Slot]:
    """The bias beside a kernel, where both have one."""
    name = f"{prefix}.bias" if prefix else "bias"
    if "bias" in t and name in k:
        slots.append(reshape_slot("bias", name, t["bias"], k[name]))
    return slots


def split_kernels(t: Arrays, k: Arrays, names: list[str]) -> list[Slot] | None:
    """A grouped convolution written as one convolution per group: split over the output axis."""
    if "weight" not in t or any(k[name].ndim != t["weight"].ndim for name in names):
        return None
    count = len(names)
    if t["weight"].ndim < 3 or t["weight"].shape[0] % count:
        return None
    slots = [
        Slot(
            ("weight",),
            tuple(names),
            lambda a: [transpose_kernel(part) for part in np.split(a[0], count)],
            lambda a: [np.concatenate([restore_kernel(part) for part in a])],
        )
    ]
    biases = [name for name in k if name.split(".")[-1] == "bias"]
    if "bias" in t and biases:
        whole = len(biases) == 1
        slots.append(
            same("bias", biases[0])
            if whole
            else Slot(
                ("bias",),
                tuple(biases),
                lambda a: list(np.split(a[0], count)),
                lambda a: [np.concatenate(a)],
            )
        )
    return slots


def named(t: Arrays, k: Arrays) -> list[Slot] | None:
    """Norms, embeddings, PReLU: the same arrays under other names."""
    slots = []
    last = {name.split(".")[-1]: name for name in k}
    for torch_name, value in t.items():
        for keras_name in NAMES.get(torch_name, (torch_name,)):
            found = last.get(keras_name)
            if found is not None and k[found].size == value.size:
                slots.append(reshape_slot(torch_name, found, value, k[found]))
                break
    return slots or None


def attention(t: Arrays, k: Arrays) -> list[Slot] | None:
    """torch's packed in_proj against separate (or packed) projections."""
    kernels_ = [name for name in k if name.split(".")[-1] in ("kernel", "weight", "in_proj_weight")]
    biases = [name for name in k if name.split(".")[-1] in ("bias", "in_proj_bias")]
    if "in_proj_weight" not in t or len(kernels_) not in (2, 4):
        return None
    parts = len(kernels_) - 1
    slots = [
        projection_slot("in_proj_weight", kernels_[:-1], t, k),
        projection_slot("out_proj.weight", kernels_[-1:], t, k),
    ]
    if "in_proj_bias" in t and len(biases) == parts + 1:
        slots.append(
            Slot(
                ("in_proj_bias",),
                tuple(biases[:-1]),
                lambda a: [
                    p.reshape(k[n].shape)
                    for p, n in zip(np.split(a[0], parts), biases, strict=False)
                ],
                lambda a: [np.concatenate([p.ravel() for p in a])],
            )
        )
        slots.append(reshape_slot("out_proj.bias", biases[-1], t["out_proj.bias"], k[biases[-1]]))
    return slots


def projections(t: Arrays, k: Arrays) -> list[Slot] | None:
    """Attention with a layer of its own for each projection, on both sides."""
    slots: list[Slot] = []
    for name, other in (
        ("query", "query"),
        ("key", "key"),
        ("value", "value"),
        ("output", "output"),
    ):
        kernel = next((n for n in k if other in n and n.endswith("kernel")), None)
        bias = next((n for n in k if other in n and n.endswith("bias")), None)
        if kernel is None or f"{name}.weight" not in t:
            return None
        slots.append(flattened(f"{name}.weight", kernel, t[f"{name}.weight"], k[kernel]))
        if bias is not None and f"{name}.bias" in t:
            slots.append(reshape_slot(f"{name}.bias", bias, t[f"{name}.bias"], k[bias]))
    return slots


def flattened(name: str, other: str, weight: Array, kernel: Array) -> Slot:
    """A matrix against a dense kernel in more than two axes."""
    return Slot(
        (name,),
        (other,),
        lambda a: [a[0].T.reshape(kernel.shape)],
        lambda a: [a[0].reshape(weight.T.shape).T],
    )


def projection_slot(torch_name: str, names: list[str], t: Arrays, k: Arrays) -> Slot:
    """One torch matrix of stacked (out, in) blocks as one kernel per block."""
    blocks = len(names)
    plain = all(name.split(".")[-1].endswith("weight") for name in names)

    def split(arrays: Sequence[Array]) -> list[Array]:
        parts = np.split(arrays[0], blocks)
        return [
            (p if plain else p.T).reshape(k[name].shape)
            for p, name in zip(parts, names, strict=True)
        ]

    def join(arrays: Sequence[Array]) -> list[Array]:
        columns = t[torch_name].shape[1]
        return [
            np.concatenate(
                [a.reshape(-1, columns) if plain else a.reshape(columns, -1).T for a in arrays]
            )
        ]

    return Slot((torch_name,), tuple(names), split, join)


def generic(t: Arrays, k: Arrays) -> list[Slot] | None:
    """Variables of the script's own classes: by name, else one by one in order."""
    pairs = [(name, name) for name in t if name in k]
    rest_t = [name for name in t if name not in k]
    rest_k = [name for name in k if name not in t]
    for name in rest_t:
        for other in rest_k:
            if t[name].size == k[other].size and t[name].ndim == k[other].ndim:
                pairs.append((name, other))
                rest_k.remove(other)
                break
    slots = []
    for name, other in pairs:
        slot = shape_slot(name, other, t[name], k[other])
        if slot is None:
            return None
        slots.append(slot)
    return slots or None


def shape_slot(name: str, other: str, t: Array, k: Array) -> Slot | None:
    """One variable against another by their shapes; a `kernel` is always transposed."""
    transposed = t.ndim >= 2 and transpose_kernel(t).shape == k.shape
    if transposed and (t.shape != k.shape or other.split(".")[-1] == "kernel"):
        return kernel_slot(name, other)
    if t.shape == k.shape:
        return same(name, other)
    moved = np.moveaxis(t, 1, -1) if t.ndim > 2 else t
    if t.ndim > 2 and moved.shape == k.shape:
        return Slot(
            (name,),
            (other,),
            lambda a: [np.moveaxis(a[0], 1, -1)],
            lambda a: [np.moveaxis(a[0], -1, 1)],
        )
    if t.size == k.size and shapes_fit(t.shape, k.shape):
        return reshape_slot(name, other, t, k)
    return None
