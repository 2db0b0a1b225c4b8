"""Image datasets and the transforms of ``torchvision``, on PIL images and (C, H, W) arrays."""

import math
import os

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


class ImageDataset:
    """Images in memory with their labels; an image is transformed when it is taken."""

    def __init__(self, arrays, transform=None, target_transform=None):
        self.data, self.targets = arrays[0], arrays[1].ravel().astype("int64")
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image, target = Image.fromarray(self.data[index]), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


def scaled_images(arrays, mean=0.0, std=1.0):
    """Images as (count, channels, height, width), of 0..1 and then normalized, and their labels."""
    images, labels = arrays
    images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2).astype("float32") / 255
    mean, std = (np.reshape(x, (-1, 1, 1)).astype("float32") for x in (mean, std))
    return (images - mean) / std, labels.ravel().astype("int64")


class ImageFolder:
    """The images of a folder that holds one folder for each class."""

    def __init__(self, root, transform=None, target_transform=None):
        self.root = root
        self.transform = transform
        self.target_transform = target_transform
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        suffixes = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
        self.samples = []
        for name, label in self.class_to_idx.items():
            for folder, _, files in sorted(os.walk(os.path.join(root, name), followlinks=True)):
                for file in sorted(files):
                    if file.lower().endswith(suffixes):
                        self.samples.append((os.path.join(folder, file), label))
        self.imgs = self.samples
        self.targets = [label for _, label in self.samples]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
        image = Image.open(path).convert("RGB")
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, image):
        for step in self.steps:
            image = step(image)
        return image


def to_tensor(image):
    """torchvision's ToTensor: (height, width, channels) of 0..255 to (channels, ...) of 0..1."""
    array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array
    array = array.transpose(2, 0, 1)
    return array.astype("float32") / 255 if array.dtype == np.uint8 else array


def pil_to_tensor(image):
    """torchvision's PILToTensor: to (channels, height, width), the numbers as they are."""
    array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def to_pil_image(image, mode=None):
    """torchvision's ToPILImage: (channels, height, width) of 0..1, or (height, width, channels)."""
    if not isinstance(image, np.ndarray):
        image = np.asarray(image)
        image = image[None] if image.ndim == 2 else image
        image = image.transpose(1, 2, 0)
        if image.dtype.kind == "f":
            image = (image * 255).astype("uint8")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    return Image.fromarray(image).convert(mode) if mode else Image.fromarray(image)


class Normalize:
    """Subtracts the mean of each channel and divides by its deviation."""

    def __init__(self, mean, std):
        self.mean = np.asarray(mean, "float32").reshape(-1, 1, 1)
        self.std = np.asarray(std, "float32").reshape(-1, 1, 1)

    def __call__(self, image):
        return (image - self.mean) / self.std


def pair(size):
    """(height, width) of a size given as one number or two."""
    return (size, size) if isinstance(size, int) else (tuple(size) * 2)[:2]


class Resize:
    """To a height and width, or so that the shorter side has the size given."""

    def __init__(self, size, interpolation=Image.BILINEAR):
        self.size = size[0] if not isinstance(size, int) and len(size) == 1 else size
        self.interpolation = interpolation

    def __call__(self, image):
        if not isinstance(self.size, int):
            return image.resize(self.size[::-1], self.interpolation)
        width, height = image.size
        short = min(width, height)
        sides = int(self.size * width / short), int(self.size * height / short)
        return image.resize(sides, self.interpolation)


def color(image, fill):
    """One number for every channel of an image."""
    return (fill,) * len(image.getbands()) if isinstance(fill, int) else fill


def crop(image, top, left, height, width):
    """A part of an image, black beyond its borders."""
    return image.crop((left, top, left + width, top + height))


class CenterCrop:
    """The middle of an image."""

    def __init__(self, size):
        self.size = pair(size)

    def __call__(self, image):
        height, width = self.size
        top = round((image.height - height) / 2)
        left = round((image.width - width) / 2)
        return crop(image, top, left, height, width)


class Pad:
    """A border around an image: one width, or left, top, right and bottom."""

    def __init__(self, padding, fill=0):
        self.padding = padding if isinstance(padding, int) else tuple(padding)
        self.fill = fill

    def __call__(self, image):
        return ImageOps.expand(image, self.padding, color(image, self.fill))


class RandomCrop:
    """A random part of an image, after a black border is added."""

    def __init__(self, size, padding=None, fill=0):
        self.size = pair(size)
        self.padding = padding
        self.fill = fill

    def __call__(self, image):
        if self.padding is not None:
            image = Pad(self.padding, self.fill)(image)
        height, width = self.size
        top = np.random.randint(image.height - height + 1)
        left = np.random.randint(image.width - width + 1)
        return crop(image, top, left, height, width)


class RandomResizedCrop:
    """A random part of random area and shape, resized."""

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), interpolation=Image.BILINEAR):
        self.size = pair(size)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = interpolation

    def __call__(self, image):
        top, left, height, width = self.draw(image.height, image.width)
        part = crop(image, top, left, height, width)
        return part.resize(self.size[::-1], self.interpolation)

    def draw(self, height, width):
        for _ in range(10):
            area = height * width * np.random.uniform(*self.scale)
            ratio = math.exp(np.random.uniform(*np.log(self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return np.random.randint(height - h + 1), np.random.randint(width - w + 1), h, w
        h, w = height, width  # the middle, as near to the ratio as can be
        if width / height < self.ratio[0]:
            h = round(width / self.ratio[0])
        elif width / height > self.ratio[1]:
            w = round(height * self.ratio[1])
        return (height - h) // 2, (width - w) // 2, h, w


class RandomHorizontalFlip:
    """Left and right exchanged, by chance."""

    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, image):
        return ImageOps.mirror(image) if np.random.rand() < self.p else image


class RandomVerticalFlip:
    """Top and bottom exchanged, by chance."""

    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, image):
        return ImageOps.flip(image) if np.random.rand() < self.p else image


class RandomRotation:
    """Turned by a random angle."""

    def __init__(self, degrees, expand=False, fill=0):
        self.degrees = (-degrees, degrees) if isinstance(degrees, (int, float)) else degrees
        self.expand = expand
        self.fill = fill

    def __call__(self, image):
        angle = np.random.uniform(*self.degrees)
        return image.rotate(angle, Image.NEAREST, self.expand, fillcolor=color(image, self.fill))


class Grayscale:
    """One channel of brightness, or three equal ones."""

    def __init__(self, num_output_channels=1):
        self.channels = num_output_channels

    def __call__(self, image):
        gray = image.convert("L")
        return gray if self.channels == 1 else Image.merge("RGB", [gray] * 3)


class ColorJitter:
    """Random brightness, contrast, saturation and hue, in random order."""

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        kinds = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color
        limits = brightness, contrast, saturation
        self.kinds = [(kind, self.span(x, 1)) for kind, x in zip(kinds, limits) if x]
        self.hue = self.span(hue, 0) if hue else None

    def span(self, limit, center):
        if isinstance(limit, (int, float)):
            low = center - limit
            return (max(low, 0) if center else low), center + limit
        return tuple(limit)

    def __call__(self, image):
        steps = [*self.kinds, *([(None, self.hue)] if self.hue else [])]
        for i in np.random.permutation(len(steps)):
            kind, span = steps[i]
            amount = np.random.uniform(*span)
            image = self.turn(image, amount) if kind is None else kind(image).enhance(amount)
        return image

    def turn(self, image, amount):
        if image.mode == "L":
            return image
        hue, saturation, value = image.convert("HSV").split()
        shifted = (np.asarray(hue).astype(int) + int(amount * 255)) % 256
        hue = Image.fromarray(shifted.astype("uint8"), "L")
        return Image.merge("HSV", (hue, saturation, value)).convert(image.mode)


def make_grid(images, nrow=8, padding=2, normalize=False, value_range=None, pad_value=0.0):
    """Images of (channels, height, width) side by side in one, nrow in a row."""
    images = np.asarray(images)
    images = images[None] if images.ndim == 3 else images
    images = np.repeat(images, 3, 1) if images.shape[1] == 1 else images
    if normalize:
        low, high = value_range or (images.min(), images.max())
        images = (np.clip(images, low, high) - low) / max(high - low, 1e-5)
    if len(images) == 1:
        return images[0]
    columns = min(nrow, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[2] + padding, images.shape[3] + padding
    shape = images.shape[1], rows * height + padding, columns * width + padding
    grid = np.full(shape, pad_value, images.dtype)
    for i, image in enumerate(images):
        top, left = i // columns * height + padding, i % columns * width + padding
        grid[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return grid


def save_image(images, path, **options):
    """Write images of 0..1, (channels, height, width) each, to one file as a grid."""
    grid = make_grid(images, **options).transpose(1, 2, 0)
    Image.fromarray(np.clip(grid * 255 + 0.5, 0, 255).astype("uint8")).save(path)
