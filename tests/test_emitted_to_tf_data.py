"""Emitted data units against torch.utils.data."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch.utils import data as torch_data

from transpiler.rules.emitted.to_tf import data

COUNT = 11


class Examples:
    """Examples of every kind of field."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple:
        fields = {"weight": np.float32(index) / 2, "rate": index / 3}
        return np.full((2, 3), index, np.float32), index, fields, [index > 3, np.int32(index)]


def flat(batch: object) -> list[np.ndarray]:
    return [np.asarray(field) for field in tf.nest.flatten(batch)]


@pytest.mark.parametrize("as_dataset", [False, True])
@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"batch_size": 4, "drop_last": True}])
def test_batches_equal_torch(options: dict, as_dataset: bool) -> None:
    loader = data.DataLoader(Examples(), **options)
    batches = data.as_tf_dataset(loader) if as_dataset else loader
    expected = torch_data.DataLoader(Examples(), **options)
    assert len(batches) == len(expected)
    for _ in range(2):
        for ours, theirs in zip(batches, expected, strict=True):
            for one, other in zip(flat(ours), flat(theirs), strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other)


def test_shuffled_epochs_differ_and_cover_everything() -> None:
    batches = data.as_tf_dataset(data.DataLoader(Examples(), batch_size=4, shuffle=True))
    orders = [np.concatenate([flat(batch)[1] for batch in batches]) for _ in range(2)]
    assert not np.array_equal(*orders)
    assert all(np.array_equal(np.sort(order), np.arange(COUNT)) for order in orders)


def test_collate_function_may_pad() -> None:
    def pad(samples: list) -> tuple:
        rows = [tf.range(sample[1] + 1) for sample in samples]
        return tf.ragged.stack(rows).to_tensor(-1), tf.constant([len(row) for row in rows])

    loader = data.DataLoader(Examples(), batch_size=4, collate_fn=pad)
    shapes = [rows.shape for rows, _ in data.as_tf_dataset(loader)]
    assert shapes == [(4, 4), (4, 8), (3, 11)]


def test_samplers() -> None:
    np.random.seed(0)
    subset = data.SubsetRandomSampler([3, 5, 7])
    loader = data.DataLoader(Examples(), batch_size=2, sampler=subset)
    assert sorted(np.concatenate([flat(batch)[1] for batch in loader])) == [3, 5, 7]
    assert len(loader) == 2
    weighted = data.WeightedRandomSampler([0, 1, 3, 0], 4000)
    drawn = np.bincount(list(weighted), minlength=4)
    assert drawn[0] == drawn[3] == 0
    assert abs(drawn[2] / 4000 - 0.75) < 0.03
    assert sorted(data.WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]


@pytest.mark.parametrize("lengths", [[7, 4], [0.7, 0.3], [0.5, 0.25, 0.25]])
def test_random_split(lengths: list) -> None:
    parts = data.random_split(Examples(), lengths)
    expected = torch_data.random_split(Examples(), lengths)
    assert [len(part) for part in parts] == [len(part) for part in expected]
    assert sorted(part[i][1] for part in parts for i in range(len(part))) == list(range(COUNT))


def test_concatenated_rows() -> None:
    rows = np.arange(6).reshape(3, 2)
    ours = data.ConcatDataset([data.TensorDataset(rows, rows[:, 0])] * 2)
    tensors = torch_data.TensorDataset(torch.tensor(rows), torch.tensor(rows[:, 0]))
    theirs = torch_data.ConcatDataset([tensors] * 2)
    assert len(ours) == len(theirs)
    for index in (0, 4, -1):
        assert all(map(np.array_equal, ours[index], theirs[index]))


def test_rows_of_tensors_come_at_once() -> None:
    """Batches gathered from the tensors equal those put together from single examples."""
    rows, labels = np.arange(14.0).reshape(7, 2), np.arange(7)
    whole = data.TensorDataset(rows, labels)
    tensors = torch_data.TensorDataset(torch.tensor(rows), torch.tensor(labels))
    places = [5, 0, 3, 6, 2]
    pairs = [
        (whole, tensors),
        (data.Subset(whole, places), torch_data.Subset(tensors, places)),
        (
            data.Subset(data.Subset(whole, places), [4, 1, 2]),
            torch_data.Subset(torch_data.Subset(tensors, places), [4, 1, 2]),
        ),
        (
            data.Subset(data.ArrayDataset((rows, {"label": labels})), places),
            torch_data.Subset(
                torch_data.StackDataset(
                    torch.tensor(rows), torch_data.StackDataset(label=torch.tensor(labels))
                ),
                places,
            ),
        ),
        (data.Subset(Examples(), places), torch_data.Subset(Examples(), places)),
    ]
    for ours, theirs in pairs:
        batches = list(data.DataLoader(ours, batch_size=2))
        expected = list(torch_data.DataLoader(theirs, batch_size=2))
        assert len(batches) == len(expected)
        for one, other in zip(batches, expected, strict=True):
            for a, b in zip(flat(one), flat(other), strict=True):
                assert a.dtype == b.dtype
                assert np.array_equal(a, b)


def test_own_collate_function_sees_single_examples() -> None:
    """A function of the program's own is given examples also where rows could come at once."""
    loader = data.DataLoader(data.TensorDataset(np.arange(4)), 2, collate_fn=len)
    assert list(loader) == [2, 2]
