"""Image datasets and transforms: the written-out ones against torchvision's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image

from transpiler.convert import convert
from transpiler.findings import Grade
from transpiler.rules.emitted.to_tf import vision

RNG = np.random.default_rng(0)
OPERATORS: list[Any] = []
COLOR = Image.fromarray(RNG.integers(0, 256, (37, 50, 3), dtype=np.uint8))
GRAY = Image.fromarray(RNG.integers(0, 256, (28, 28), dtype=np.uint8))


@pytest.fixture(scope="module")
def torchvision() -> Any:
    """torchvision, also where it was built for another torch: then its operators are declared."""
    try:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        OPERATORS.append(library)  # it undoes its definitions when it goes
    except RuntimeError:
        pass
    import torchvision.transforms
    import torchvision.utils

    return torchvision


def to_array(image: Any) -> np.ndarray:
    return np.asarray(image)


PAIRS = [
    ("ToTensor()", "to_tensor"),
    ("PILToTensor()", "pil_to_tensor"),
    ("Resize(20)", "Resize(20)"),
    ("Resize((20, 31))", "Resize((20, 31))"),
    ("Resize([64, 64])", "Resize([64, 64])"),
    ("CenterCrop(24)", "CenterCrop(24)"),
    ("CenterCrop((10, 21))", "CenterCrop((10, 21))"),
    ("Pad(3)", "Pad(3)"),
    ("Pad((1, 2, 3, 4), fill=7)", "Pad((1, 2, 3, 4), fill=7)"),
    ("Grayscale()", "Grayscale()"),
    ("Grayscale(num_output_channels=3)", "Grayscale(num_output_channels=3)"),
    ("RandomHorizontalFlip(1.0)", "RandomHorizontalFlip(1.0)"),
    ("RandomVerticalFlip(p=1.0)", "RandomVerticalFlip(p=1.0)"),
    ("RandomRotation((30, 30))", "RandomRotation((30, 30))"),
    ("ColorJitter(brightness=(1.4, 1.4))", "ColorJitter(brightness=(1.4, 1.4))"),
    ("ColorJitter(hue=(0.2, 0.2))", "ColorJitter(hue=(0.2, 0.2))"),
    ("ColorJitter(0, 0, (0.3, 0.3))", "ColorJitter(0, 0, (0.3, 0.3))"),
]


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=[t for t, _ in PAIRS])
@pytest.mark.parametrize("image", [COLOR, GRAY], ids=["color", "gray"])
def test_transform(torchvision: Any, theirs: str, ours: str, image: Any) -> None:
    expected = eval(theirs, vars(torchvision.transforms))(image)
    found = eval(ours, vars(vision))(image)
    assert to_array(expected).dtype == to_array(found).dtype
    np.testing.assert_array_equal(to_array(found), to_array(expected))


def test_normalize_and_back_to_an_image(torchvision: Any) -> None:
    transforms = torchvision.transforms
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    tensor = transforms.ToTensor()(COLOR)
    expected = transforms.Normalize(mean, std)(tensor)
    found = vision.Normalize(mean, std)(vision.to_tensor(COLOR))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    pixels = np.asarray(COLOR)
    np.testing.assert_array_equal(np.asarray(vision.to_pil_image(pixels)), pixels)
    back = vision.to_pil_image(tf.constant(vision.to_tensor(COLOR)))
    np.testing.assert_array_equal(np.asarray(back), np.asarray(transforms.ToPILImage()(tensor)))


@pytest.mark.parametrize("count", [1, 5, 8])
@pytest.mark.parametrize("options", [{}, {"nrow": 3}, {"padding": 0, "normalize": True}])
def test_grid(torchvision: Any, count: int, options: dict[str, Any], tmp_path: Path) -> None:
    images = RNG.random((count, 1, 6, 7)).astype("float32")
    expected = torchvision.utils.make_grid(torch.tensor(images), **options)
    np.testing.assert_allclose(vision.make_grid(images, **options), expected, atol=1e-6)
    torchvision.utils.save_image(torch.tensor(images), tmp_path / "a.png", **options)
    vision.save_image(images, tmp_path / "b.png", **options)
    one, other = (np.asarray(Image.open(tmp_path / f"{n}.png")).astype(int) for n in "ab")
    assert abs(one - other).max() <= (1 if options.get("normalize") else 0)


def test_random_crops_stay_inside() -> None:
    for _ in range(20):
        assert vision.RandomCrop(32, padding=4)(COLOR).size == (32, 32)
        assert vision.RandomResizedCrop((10, 12))(COLOR).size == (12, 10)


def test_folder(tmp_path: Path) -> None:
    for name in ("dogs", "cats"):
        (tmp_path / name).mkdir()
        COLOR.save(tmp_path / name / f"{name}.png")
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    folder = vision.ImageFolder(str(tmp_path), transform=vision.to_tensor)
    assert folder.classes == ["cats", "dogs"] and len(folder) == 2
    image, label = folder[1]
    assert image.shape == (3, 37, 50) and label == 1


SCRIPT = """
import torch
import torch.nn as nn
import torchvision
import torchvision.transforms as transforms

transform = transforms.Compose([
    transforms.RandomCrop(32, padding=4),
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
])
trainset = torchvision.datasets.CIFAR10("./data", train=True, download=True, transform=transform)
trainloader = torch.utils.data.DataLoader(trainset, batch_size=4, shuffle=True, num_workers=2)
print(trainset.classes[0], len(trainset), len(trainloader))
net = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 28 * 28, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
for i, (inputs, labels) in enumerate(trainloader, 0):
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    if i == 2:
        torchvision.utils.save_image(inputs, "batch.png", nrow=2, normalize=True)
        break
"""


def test_script_on_small_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    conversion = convert(SCRIPT, "tf", path="train.py")
    assert not [f for f in conversion.findings if f.grade is Grade.MANUAL]
    code = conversion.code
    assert "RandomCrop(32, padding=4)" in code
    assert "keras.datasets.cifar10.load_data()[0]" in code
    assert "SparseCategoricalCrossentropy(from_logits=True)" in code
    assert "torchvision" not in code.replace("torchvision's", "")
    data = RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), RNG.integers(0, 10, (20, 1))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: (data, data))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "train_tf.py"
    file.write_text(code)
    exec(compile(code, str(file), "exec"), {"__name__": "__main__"})
    assert Image.open("batch.png").size == (2 * 34 + 2, 2 * 34 + 2)


LOADERS = """
import torch
from torchvision import datasets, transforms

transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.25,))])
train_set = datasets.MNIST("data", train=True, download=True, transform=transform)
test_set = datasets.MNIST("data", train=False, transform=transform)
loader = torch.utils.data.DataLoader(train_set, batch_size=4, shuffle=True)
test_loader = torch.utils.data.DataLoader(test_set, batch_size=8)
"""
DIGITS = RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8), RNG.integers(0, 10, 20, dtype=np.uint8)


def run_loaders(code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    import keras

    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (DIGITS, DIGITS))
    names: dict[str, Any] = {}
    exec(compile(code, "loaders", "exec"), names)
    return names


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("", "test_set = tf.data.Dataset.from_tensor_slices("),
        ("print(len(test_loader.dataset))", "test_set = TensorDataset("),
    ],
    ids=["batched", "counted"],
)
def test_images_that_are_only_scaled(
    torchvision: Any, more: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They become arrays at once, with the numbers that the transforms give."""
    code = convert(LOADERS + more, "tf", path="train.py").code
    assert kind in code
    assert "Compose" not in code and "PIL" not in code
    names = run_loaders(code, monkeypatch)
    images, labels = next(iter(names["test_loader"]))
    transforms = torchvision.transforms
    scale = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.25,))])
    expected = np.stack([scale(Image.fromarray(image)) for image in DIGITS[0][:8]])
    assert images.dtype == tf.float32 and labels.dtype == tf.int64
    np.testing.assert_allclose(images, expected, rtol=1e-6)
    np.testing.assert_array_equal(labels, DIGITS[1][:8])
    drawn = np.concatenate([np.asarray(y) for _, y in names["loader"]])
    assert sorted(drawn) == sorted(DIGITS[1]) and len(names["loader"]) == 5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("transforms.ToTensor(), ", "transforms.RandomRotation(5), transforms.ToTensor(), "),
        ("shuffle=True)", "shuffle=True)\nprint(train_set.targets[:3])"),
        ("(0.25,)", "(spread(),)"),
    ],
    ids=["random", "targets", "unknown"],
)
def test_images_that_are_transformed_when_they_are_taken(old: str, new: str) -> None:
    """Whatever else is done to a data set or in its transform keeps the transform."""
    code = convert("spread = float\n" + LOADERS.replace(old, new), "tf", path="train.py").code
    assert "train_set = ImageDataset(" in code and "transform = Compose(" in code
    assert ("scaled_images" in code) == ("targets" in new)  # the test set is still only read
