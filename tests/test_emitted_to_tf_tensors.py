"""Emitted tensor and image functions against torch: values and gradients in float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from emitted_results import agree, double_precision, draw, keras_results, torch_results

from transpiler.rules.emitted.to_tf import clipping, images, tensors

__all__ = ["double_precision"]

X, Y = draw(4, 5, 3), draw(4, 5, 3)
INDEX = np.array([[[0, 2, 4]], [[1, 1, 0]]])
MASK = X > 0
IMAGE = draw(2, 7, 6, 3)
GRID = draw(2, 4, 5, 2)
t, c = torch.tensor, tf.constant

TENSORS: list[tuple[str, Callable, Callable, tuple]] = [
    (
        "gather",
        lambda x: torch.gather(x, 1, t(INDEX)),
        lambda x: tensors.gather_along(x, 1, c(INDEX)),
        (X,),
    ),
    (
        "scatter",
        lambda x, y: torch.scatter(x, 1, t(INDEX[:, :, :1]), y),
        lambda x, y: tensors.scatter_along(x, 1, c(INDEX[:, :, :1]), y),
        (X, Y[:2, :1, :1].copy()),
    ),
    (
        "scatter number",
        lambda x: torch.scatter(x, 1, t(INDEX), 0.1),
        lambda x: tensors.scatter_along(x, 1, c(INDEX), 0.1),
        (X,),
    ),
    (
        "scatter_add",
        lambda x, y: torch.scatter_add(x, -2, t(INDEX), y),
        lambda x, y: tensors.scatter_add_along(x, -2, c(INDEX), y),
        (X, Y[:2, :1].copy()),
    ),
    (
        "index_add",
        lambda x, y: torch.index_add(x, 1, t([0, 4, 0]), y[:, :3]),
        lambda x, y: tensors.index_add(x, 1, c([0, 4, 0]), y[:, :3]),
        (X, Y),
    ),
    (
        "index_copy",
        lambda x, y: torch.index_copy(x, 1, t([4, 0]), y[:, :2]),
        lambda x, y: tensors.index_copy(x, 1, c([4, 0]), y[:, :2]),
        (X, Y),
    ),
    (
        "masked_scatter",
        lambda x, y: torch.masked_scatter(x, t(MASK), y),
        lambda x, y: tensors.masked_scatter(x, c(MASK), y),
        (X, Y),
    ),
    (
        "sort",
        lambda x: tuple(torch.sort(x, dim=1, descending=True, stable=True)),
        lambda x: tensors.sort_along(x, 1, descending=True),
        (X,),
    ),
    (
        "topk",
        lambda x: tuple(torch.topk(x, 2, 1)),
        lambda x: tensors.topk_along(x, 2, 1),
        (X,),
    ),
    (
        "topk smallest",
        lambda x: tuple(torch.topk(x, 2, 1, largest=False)),
        lambda x: tensors.topk_along(x, 2, 1, largest=False),
        (X,),
    ),
    ("max", lambda x: tuple(x.max(1)), lambda x: tensors.max_along(x, 1), (X.round(),)),
    (
        "min",
        lambda x: tuple(x.min(-1, keepdim=True)),
        lambda x: tensors.min_along(x, -1, keepdim=True),
        (X.round(),),
    ),
    ("kthvalue", lambda x: tuple(x.kthvalue(2, 1)), lambda x: tensors.kthvalue(x, 2, 1), (X,)),
    ("median", lambda x: x.median(), tensors.median, (X,)),
    ("quantile", lambda x: x.quantile(0.3), lambda x: tensors.quantile(x, 0.3), (X,)),
    (
        "quantile axis",
        lambda x: x.quantile(0.6, 1, keepdim=True),
        lambda x: tensors.quantile(x, 0.6, 1, keepdim=True),
        (X,),
    ),
    ("var", lambda x: x.var(), tensors.variance, (X,)),
    ("std", lambda x: x.std((0, 2)), lambda x: tensors.standard_deviation(x, (0, 2)), (X,)),
    (
        "std of equal values",
        lambda x: x.std(0),
        lambda x: tensors.standard_deviation(x, 0),
        (np.ones((4, 3)),),
    ),
    *[
        (
            f"norm {p}",
            lambda x, p=p: torch.linalg.vector_norm(x, p, 1),
            lambda x, p=p: tensors.vector_norm(x, p, 1),
            (np.concatenate([X, 0 * X[:1]]),),
        )
        for p in (1, 2, 3, math.inf)
    ],
    ("normalize", lambda x: F.normalize(x), tensors.normalize, (X * MASK[:, :1],)),
    ("cosine", F.cosine_similarity, tensors.cosine_similarity, (X, Y)),
    ("pairwise", F.pairwise_distance, tensors.pairwise_distance, (X, Y)),
    ("cdist", torch.cdist, tensors.cdist, (X, X[:, ::-1].copy())),
    ("split", lambda x: x.split(2, 1), lambda x: tensors.split_by_size(x, 2, 1), (X,)),
    ("chunk", lambda x: x.chunk(3, 1), lambda x: tensors.chunk(x, 3, 1), (X,)),
    (
        "replicate",
        lambda x: F.pad(x, (2, 1), mode="replicate"),
        lambda x: tensors.pad_edges(x, [[0, 0], [0, 0], [2, 1]], "replicate"),
        (X,),
    ),
    (
        "circular",
        lambda x: F.pad(x, (2, 1), mode="circular"),
        lambda x: tensors.pad_edges(x, [[0, 0], [0, 0], [2, 1]], "circular"),
        (X,),
    ),
    (
        "pad_sequence",
        lambda x: torch.nn.utils.rnn.pad_sequence([x[0], x[1, :3]], True, 0.1),
        lambda x: tensors.pad_sequence([x[0], x[1, :3]], True, 0.1),
        (X,),
    ),
]


def first(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1)


RESIZES = [
    ({"size": (11, 4), "mode": "nearest"}, IMAGE),
    ({"scale_factor": 2, "mode": "nearest"}, IMAGE),
    ({"scale_factor": 1.7, "mode": "nearest"}, IMAGE),
    ({"size": (11, 4), "mode": "bilinear"}, IMAGE),
    ({"size": (11, 4), "mode": "bilinear", "align_corners": True}, IMAGE),
    ({"scale_factor": (1.5, 0.7), "mode": "bilinear"}, IMAGE),
    ({"size": (11, 4), "mode": "bicubic"}, IMAGE),
    ({"scale_factor": 2.5, "mode": "bicubic", "align_corners": True}, IMAGE),
    ({"size": (3, 5), "mode": "area"}, IMAGE),
    ({"size": 9, "mode": "linear"}, X),
    ({"size": (4, 3, 5), "mode": "trilinear", "align_corners": True}, draw(2, 3, 4, 5, 2)),
]

IMAGES: list[tuple[str, Callable, Callable, tuple]] = [
    *[
        (
            f"interpolate {options}",
            lambda x, options=options: last(F.interpolate(first(x), **options)),
            lambda x, options=options: images.interpolate(x, **options),
            (image,),
        )
        for options, image in RESIZES
    ],
    (
        "adaptive_avg",
        lambda x: last(F.adaptive_avg_pool2d(first(x), (3, None))),
        lambda x: images.adaptive_avg_pool(x, (3, None)),
        (IMAGE,),
    ),
    (
        "adaptive_max",
        lambda x: last(F.adaptive_max_pool2d(first(x), (3, 4))),
        lambda x: images.adaptive_max_pool(x, (3, 4)),
        (IMAGE,),
    ),
    (
        "unfold",
        lambda x: F.unfold(first(x), (3, 2), (2, 1), (1, 2), (2, 1)),
        lambda x: images.unfold(x, (3, 2), (2, 1), (1, 2), (2, 1)),
        (IMAGE,),
    ),
    (
        "fold",
        lambda x: last(F.fold(x, (5, 6), (2, 3), (1, 2), (1, 0), (2, 1))),
        lambda x: images.fold(x, (5, 6), (2, 3), (1, 2), (1, 0), (2, 1)),
        (draw(2, 18, 6),),
    ),
    (
        "max_pool indices",
        lambda x: tuple(map(last, F.max_pool2d(first(x), 3, 2, 1, return_indices=True))),
        lambda x: images.max_pool_with_indices(x, (3, 3), (2, 2), (1, 1)),
        (IMAGE,),
    ),
    (
        "unpool",
        lambda x: last(F.max_unpool2d(*F.max_pool2d(first(x), 2, return_indices=True), 2, 2, 0)),
        lambda x: images.max_unpool(*images.max_pool_with_indices(x, (2, 2)), (6, 6)),
        (IMAGE[:, :6],),
    ),
    (
        "pixel_shuffle",
        lambda x: last(F.pixel_shuffle(first(x), 2)),
        lambda x: images.pixel_shuffle(x, 2),
        (draw(2, 3, 4, 12),),
    ),
    (
        "pixel_unshuffle",
        lambda x: last(F.pixel_unshuffle(first(x), 2)),
        lambda x: images.pixel_unshuffle(x, 2),
        (draw(2, 4, 6, 3),),
    ),
    *[
        (
            f"affine_grid {align}",
            lambda x, align=align: F.affine_grid(x, [2, 3, 4, 5], align_corners=align),
            lambda x, align=align: images.affine_grid(x, (4, 5), align),
            (draw(2, 2, 3),),
        )
        for align in (False, True)
    ],
    *[
        (
            f"grid_sample {options}",
            lambda x, g, o=options: last(F.grid_sample(first(x), g, *o)),
            lambda x, g, o=options: images.grid_sample(x, g, *o),
            (IMAGE, draw(2, 4, 5, 2)),
        )
        for options in [("bilinear", "zeros", False), ("bilinear", "border", True)]
    ],
    *[
        (
            f"grid_sample {options}",
            lambda x, o=options: last(F.grid_sample(first(x), t(GRID), *o)),
            lambda x, o=options: images.grid_sample(x, c(GRID), *o),
            (IMAGE,),
        )
        for options in [("nearest", "zeros", True), ("nearest", "border", False)]
    ],
]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(("name", "theirs", "ours", "inputs"), TENSORS, ids=[c[0] for c in TENSORS])
def test_tensor_function(
    name: str, theirs: Callable, ours: Callable, inputs: tuple, traced: bool
) -> None:
    agree(torch_results(theirs, *inputs), keras_results(ours, *inputs, traced=traced))


@pytest.mark.parametrize(("name", "theirs", "ours", "inputs"), IMAGES, ids=[c[0] for c in IMAGES])
def test_image_function(name: str, theirs: Callable, ours: Callable, inputs: tuple) -> None:
    expected = torch_results(theirs, *inputs)
    agree(expected, keras_results(ours, *inputs, traced=True))


def test_unique() -> None:
    values = np.array([[3, 1, 3], [2, 1, 3]])
    expected = torch.unique(t(values), return_inverse=True, return_counts=True)
    for one, other in zip(expected, tensors.unique(c(values)), strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_multinomial() -> None:
    tf.random.set_seed(0)
    weights = c([[0.0, 1.0, 3.0, 0.0, 1.0]] * 2000)
    drawn = tensors.multinomial(weights, 3)
    assert np.array_equal(np.sort(drawn, 1), [[1, 2, 4]] * 2000)
    assert abs(np.mean(drawn[:, 0] == 2) - 0.6) < 0.05
    assert tensors.multinomial(weights[0], 7, replacement=True).shape == (7,)


def test_gumbel_softmax() -> None:
    tf.random.set_seed(0)
    logits = tf.math.log(c([[1.0, 3.0]] * 2000))
    hard = tensors.gumbel_softmax(logits, hard=True)
    assert np.allclose(tf.reduce_sum(hard, 1), 1)
    assert abs(float(tf.reduce_mean(hard[:, 1])) - 0.75) < 0.05


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf, 3.0])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clip_grad_norm(max_norm: float, norm_type: float) -> None:
    values = [draw(4, 3), draw(5), draw(2)]
    parameters = [torch.nn.Parameter(torch.zeros(value.shape)) for value in values]
    for parameter, value in zip(parameters[:2], values, strict=False):
        parameter.grad = t(value)
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
    given = [c(values[0]), c(values[1]), None]
    clipped, ours = clipping.clip_grad_norm(given, max_norm, norm_type)
    assert float(ours) == pytest.approx(norm.item(), rel=1e-14)
    assert clipped[2] is None
    agree([p.grad.numpy() for p in parameters[:2]], [g.numpy() for g in clipped[:2]], 1e-15)


def test_clip_grad_value() -> None:
    clipped = clipping.clip_grad_value([c([-2.0, 0.25, 3.0]), None], 0.5)
    assert clipped[0].numpy().tolist() == [-0.5, 0.25, 0.5]
    assert clipped[1] is None
