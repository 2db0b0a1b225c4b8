"""``keras.preprocessing.image.ImageDataGenerator`` in numpy: images changed at random."""

import os

import numpy as np
import scipy.ndimage
import torch
from PIL import Image


class ImageDataGenerator:
    """Random changes of images, drawn from numpy's generator in Keras' order."""

    def __init__(
        self,
        featurewise_center=False,
        samplewise_center=False,
        featurewise_std_normalization=False,
        samplewise_std_normalization=False,
        rotation_range=0,
        width_shift_range=0.0,
        height_shift_range=0.0,
        brightness_range=None,
        shear_range=0.0,
        zoom_range=0.0,
        channel_shift_range=0.0,
        fill_mode="nearest",
        cval=0.0,
        horizontal_flip=False,
        vertical_flip=False,
        rescale=None,
        preprocessing_function=None,
        validation_split=0.0,
    ):
        self.featurewise_center = featurewise_center or featurewise_std_normalization
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.rotation_range = rotation_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.brightness_range = brightness_range
        self.shear_range = shear_range
        is_number = isinstance(zoom_range, (int, float))
        self.zoom_range = (1 - zoom_range, 1 + zoom_range) if is_number else tuple(zoom_range)
        self.channel_shift_range = channel_shift_range
        self.fill_mode = fill_mode
        self.cval = cval
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.validation_split = validation_split
        self.mean = self.std = None

    def fit(self, x, augment=False, rounds=1, seed=None):
        """Take the mean and deviation of the channels."""
        x = np.asarray(x, dtype="float32")
        self.mean = x.mean((0, 1, 2))
        self.std = (x - self.mean).std((0, 1, 2))

    def standardize(self, x):
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        if self.rescale:
            x = x * np.float32(self.rescale)
        if self.samplewise_center:
            x = x - x.mean(keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(keepdims=True) + 1e-6)
        if self.featurewise_center and self.mean is not None:
            x = x - self.mean
        if self.featurewise_std_normalization and self.std is not None:
            x = x / (self.std + 1e-6)
        return x

    def shift(self, limit, size):
        """A random distance in pixels; limits below 1 are parts of the size."""
        if not limit:
            return 0.0
        if np.ndim(limit) or isinstance(limit, int):
            distance = np.random.choice(limit) * np.random.choice([-1, 1])
        else:
            distance = np.random.uniform(-limit, limit)
        return distance * size if np.max(limit) < 1 else distance

    def random_transform(self, x, seed=None):
        """One image, turned, moved, sheared, zoomed and mirrored."""
        if seed is not None:
            np.random.seed(seed)
        turn = np.random.uniform(-self.rotation_range, self.rotation_range) if (
            self.rotation_range
        ) else 0.0  # fmt: skip
        down = self.shift(self.height_shift_range, x.shape[0])
        right = self.shift(self.width_shift_range, x.shape[1])
        shear = np.random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0.0
        zoom = (1.0, 1.0)
        if self.zoom_range != (1, 1):
            zoom = np.random.uniform(*self.zoom_range, 2)
        mirrored = (np.random.random() < 0.5) and self.horizontal_flip
        upturned = (np.random.random() < 0.5) and self.vertical_flip
        colour = None
        if self.channel_shift_range:
            colour = np.random.uniform(-self.channel_shift_range, self.channel_shift_range)
        light = np.random.uniform(*self.brightness_range) if self.brightness_range else None
        x = self.moved(x, np.deg2rad(turn), down, right, np.deg2rad(shear), zoom)
        if colour is not None:
            x = np.clip(x + colour, x.min(), x.max())
        x = x[:, ::-1] if mirrored else x
        x = x[::-1] if upturned else x
        return x if light is None else np.clip(x * light, 0, 255)

    def moved(self, x, turn, down, right, shear, zoom):
        """The image under an affine map around its middle."""
        matrix = np.eye(3)
        if turn:
            cos, sin = np.cos(turn), np.sin(turn)
            matrix = matrix @ [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]
        if down or right:
            matrix = matrix @ [[1, 0, down], [0, 1, right], [0, 0, 1]]
        if shear:
            matrix = matrix @ [[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]]
        if zoom[0] != 1 or zoom[1] != 1:
            matrix = matrix @ np.diag([zoom[0], zoom[1], 1])
        if np.array_equal(matrix, np.eye(3)):
            return x
        middle = np.array([x.shape[0] / 2 - 0.5, x.shape[1] / 2 - 0.5])
        offset = (matrix[:2, 2] + middle - matrix[:2, :2] @ middle)[::-1]
        matrix = matrix[:2, :2][::-1, ::-1]  # Keras counts the axes the other way round
        channels = [
            scipy.ndimage.affine_transform(
                x[..., i], matrix, offset, order=1, mode=self.fill_mode, cval=self.cval
            )
            for i in range(x.shape[-1])
        ]
        return np.stack(channels, -1)

    def flow(
        self, x, y=None, batch_size=32, shuffle=True, sample_weight=None, seed=None, subset=None
    ):
        """Batches of arrays."""
        start, stop = self.part(len(x), subset)
        x = np.asarray(x)[start:stop]
        rest = [np.asarray(a)[start:stop] for a in (y, sample_weight) if a is not None]
        return ImageFlow(self, lambda i: x[i], rest, len(x), batch_size, shuffle, seed)

    def part(self, count, subset):
        split = int(self.validation_split * count)
        return {"validation": (0, split), "training": (split, count)}.get(subset, (0, count))

    def flow_from_directory(
        self, directory, target_size=(256, 256), color_mode="rgb", classes=None,
        class_mode="categorical", batch_size=32, shuffle=True, seed=None, subset=None,
        interpolation="nearest",
    ):  # fmt: skip
        """Batches of image files, one folder for each class."""
        names = classes or sorted(e.name for e in os.scandir(directory) if e.is_dir())
        files, labels = [], []
        for label, name in enumerate(names):
            folder = os.path.join(directory, name)
            found = sorted(os.path.join(at, f) for at, _, own in os.walk(folder) for f in own)
            found = [
                f for f in found if f.lower().endswith((".png", ".jpg", ".jpeg", ".bmp", ".gif"))
            ]
            start, stop = self.part(len(found), subset)
            files += found[start:stop]
            labels += [label] * len(found[start:stop])
        print(f"Found {len(files)} images belonging to {len(names)} classes.")

        def read(index):
            kind = {"grayscale": "L", "rgba": "RGBA"}.get(color_mode, "RGB")
            filters = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR}
            with Image.open(files[index]) as image:
                image = image.convert(kind)
                if image.size != target_size[::-1]:
                    image = image.resize(target_size[::-1], filters[interpolation])
                return np.atleast_3d(np.asarray(image, dtype="float32"))

        targets = np.array(labels)
        rest = {
            "categorical": [np.eye(len(names), dtype="float32")[targets]],
            "binary": [targets.astype("float32")],
            "sparse": [targets],
        }.get(class_mode, [])
        flow = ImageFlow(self, read, rest, len(files), batch_size, shuffle, seed)
        flow.class_indices = {name: label for label, name in enumerate(names)}
        flow.classes, flow.filepaths = targets, files
        flow.filenames = [os.path.relpath(f, directory) for f in files]
        return flow


class ImageFlow(torch.utils.data.Dataset):
    """Batches of changed images by number; iterated, it never ends."""

    def __init__(self, generator, read, rest, count, batch_size, shuffle, seed):
        self.generator = generator
        self.read = read
        self.rest = rest
        self.n = self.samples = count
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.seen = 0
        self.order = None

    def __len__(self):
        return -(-self.n // self.batch_size)

    def on_epoch_end(self):
        self.order = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def reset(self):
        self.order = None

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self.seed is not None:
            np.random.seed(self.seed + self.seen)
        self.seen += 1
        if self.order is None:
            self.on_epoch_end()
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images = []
        for row in rows:
            image = self.generator.random_transform(np.asarray(self.read(row), dtype="float32"))
            images.append(self.generator.standardize(image))
        batch = np.stack(images).astype("float32")
        return (batch, *(part[rows] for part in self.rest)) if self.rest else batch

    def __iter__(self):
        while True:
            self.on_epoch_end()
            for index in range(len(self)):
                yield self[index]

    def __next__(self):
        return self[self.seen % len(self)]

    next = __next__
