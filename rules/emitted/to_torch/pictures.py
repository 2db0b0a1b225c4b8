"""``tf.image`` and image files on tensors: height, width, channels last, alone or in batches."""

import io
import os

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image


def resize_images(images, size, mode="bilinear"):
    """tf.image.resize: floats, but for the nearest neighbour."""
    images = torch.as_tensor(images)
    batch = images if images.dim() == 4 else images[None]
    height, width = (int(side) for side in size)
    batch = batch.permute(0, 3, 1, 2)
    if mode == "nearest-exact":
        kind = batch.dtype
        batch = F.interpolate(batch.to(torch.float64), (height, width), mode=mode).to(kind)
    else:
        batch = F.interpolate(batch.float(), (height, width), mode=mode, align_corners=False)
    batch = batch.permute(0, 2, 3, 1)
    return batch if images.dim() == 4 else batch[0]


def random_flip(images, dim):
    """Each image mirrored along an axis, or not, with equal chances."""
    if images.dim() == 3:
        return images.flip(dim) if torch.rand(()) < 0.5 else images
    mirrored = torch.rand(len(images)) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(dim), images)


def random_crop(value, size):
    """A part of the given size at a random place."""
    starts = [int(torch.randint(have - int(want) + 1, ())) for have, want in zip(value.shape, size)]
    return value[tuple(slice(a, a + int(n)) for a, n in zip(starts, size))]


def convert_image_dtype(image, dtype):
    """Images of other dtypes, whole numbers over their range and floats in 0 to 1."""
    if image.dtype == dtype:
        return image
    source_float, target_float = image.is_floating_point(), dtype.is_floating_point
    if source_float and target_float:
        return image.to(dtype)
    if target_float:
        return image.to(dtype) * (1.0 / torch.iinfo(image.dtype).max)
    if source_float:
        return (image * (torch.iinfo(dtype).max + 0.5)).to(dtype)
    return (image.double() * (torch.iinfo(dtype).max / torch.iinfo(image.dtype).max)).to(dtype)


def as_floats(image, change):
    """A change of float images, applied to images of whole numbers as well."""
    if image.is_floating_point():
        return change(image)
    limits = torch.iinfo(image.dtype)
    values = change(image.float() * (1.0 / limits.max)) * (limits.max + 0.5)
    return values.clamp(limits.min, limits.max).to(image.dtype)


def uniform(low, high):
    """One random number."""
    return float(torch.empty(()).uniform_(low, high))


def adjust_brightness(image, delta):
    """tf.image.adjust_brightness: a number added to floats in 0 to 1."""
    return as_floats(image, lambda values: values + delta)


def adjust_contrast(image, factor):
    """tf.image.adjust_contrast: each channel spread around its mean."""

    def change(values):
        mean = values.mean((-3, -2), keepdim=True)
        return (values - mean) * factor + mean

    return as_floats(image, change)


def rgb_to_hsv(image):
    """Hue, saturation and value of red, green and blue."""
    value, smallest = image.amax(-1), image.amin(-1)
    spread = value - smallest
    safe = torch.where(spread == 0, torch.ones_like(spread), spread)
    red, green, blue = image.unbind(-1)
    hue = torch.where(
        red == value,
        (green - blue) / safe,
        torch.where(green == value, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = torch.where(spread == 0, torch.zeros_like(hue), (hue / 6) % 1)
    saturation = torch.where(value > 0, spread / value.clamp(min=1e-38), torch.zeros_like(value))
    return torch.stack([hue, saturation, value], -1)


def hsv_to_rgb(image):
    """Red, green and blue of hue, saturation and value."""
    hue, saturation, value = image.unbind(-1)
    parts = [((hue * 6 + shift) % 6 - 3).abs() - 1 for shift in (0, 4, 2)]
    return torch.stack([value * (1 - saturation * (1 - part.clamp(0, 1))) for part in parts], -1)


def adjust_saturation(image, factor):
    """tf.image.adjust_saturation: the saturation times a factor, at most 1."""

    def change(values):
        hue, saturation, value = rgb_to_hsv(values).unbind(-1)
        return hsv_to_rgb(torch.stack([hue, (saturation * factor).clamp(0, 1), value], -1))

    return as_floats(image, change)


def adjust_hue(image, delta):
    """tf.image.adjust_hue: the hue turned by a part of the circle."""

    def change(values):
        hue, saturation, value = rgb_to_hsv(values).unbind(-1)
        return hsv_to_rgb(torch.stack([(hue + delta) % 1, saturation, value], -1))

    return as_floats(image, change)


def grayscale(images):
    """tf.image.rgb_to_grayscale: one channel, weighted as the eye does."""
    weights = torch.tensor([0.2989, 0.587, 0.114], dtype=torch.get_default_dtype())
    return as_floats(images, lambda x: (x * weights.to(x)).sum(-1, keepdim=True))


def extract_patches(images, size, strides=None):
    """tf.image.extract_patches without padding: windows, each flat with its channels last."""
    height, width = size
    down, across = strides or size
    windows = images.unfold(-3, height, down).unfold(-3, width, across)
    return windows.movedim(-3, -1).flatten(-3)


def array_to_img(x, scale=True):
    """keras.utils.array_to_img: a picture of PIL's, its values stretched to 0 ... 255."""
    x = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    x = x.astype("float32")
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    x = x.astype("uint8")
    return Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x)


def central_crop(image, fraction):
    """tf.image.central_crop: the middle part of an image."""
    height, width = image.shape[-3:-1]
    top, left = int((height - height * fraction) / 2), int((width - width * fraction) / 2)
    return image[..., top : height - top, left : width - left, :]


def pad_to_bounding_box(image, offset_height, offset_width, target_height, target_width):
    """tf.image.pad_to_bounding_box: zeros around an image."""
    bottom = target_height - offset_height - image.shape[-3]
    right = target_width - offset_width - image.shape[-2]
    return F.pad(image, (0, 0, offset_width, right, offset_height, bottom))


def resize_with_crop_or_pad(image, target_height, target_width):
    """tf.image.resize_with_crop_or_pad: cut or filled up around the middle."""
    height, width = image.shape[-3:-1]
    top, left = max((height - target_height) // 2, 0), max((width - target_width) // 2, 0)
    image = image[..., top : top + target_height, left : left + target_width, :]
    above = max((target_height - height) // 2, 0)
    before = max((target_width - width) // 2, 0)
    return pad_to_bounding_box(image, above, before, target_height, target_width)


def resize_with_pad(image, target_height, target_width, mode="bilinear"):
    """tf.image.resize_with_pad: the image's own proportions, filled up with zeros."""
    height, width = image.shape[-3:-1]
    ratio = max(width / target_width, height / target_height)
    above = int((target_height - height / ratio) / 2)
    before = int((target_width - width / ratio) / 2)
    image = resize_images(image, (int(height / ratio), int(width / ratio)), mode)
    return pad_to_bounding_box(image, above, before, target_height, target_width)


def psnr(a, b, max_val):
    """tf.image.psnr: how much stronger the signal is than the difference, in decibels."""
    error = (a - b).square().mean((-3, -2, -1))
    return 20 * torch.log10(torch.as_tensor(float(max_val))) - 10 * torch.log10(error)


def total_variation(images):
    """tf.image.total_variation: the sum of the steps from pixel to pixel."""
    down = (images[..., 1:, :, :] - images[..., :-1, :, :]).abs().sum((-3, -2, -1))
    right = (images[..., 1:, :] - images[..., :-1, :]).abs().sum((-3, -2, -1))
    return down + right


def decode_image(content, channels=0):
    """An image file's bytes as a uint8 tensor of height, width and channels."""
    image = Image.open(io.BytesIO(content))
    if channels:
        image = image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    array = np.array(image)
    return torch.from_numpy(array if array.ndim == 3 else array[..., None])


def encode_image(image, kind):
    """A uint8 image as the bytes of a file."""
    array, buffer = np.asarray(image), io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(buffer, kind)
    return buffer.getvalue()


class ImageFiles(torch.utils.data.Dataset):
    """Images in folders, one for each class, resized to one size, with their labels."""

    def __init__(
        self,
        directory,
        image_size=(256, 256),
        label_mode="int",
        color_mode="rgb",
        class_names=None,
        shuffle=True,
        seed=None,
        validation_split=None,
        subset=None,
    ):
        folders = [entry.name for entry in os.scandir(directory) if entry.is_dir()]
        self.class_names = class_names or sorted(folders)
        self.image_size = image_size
        self.label_mode = label_mode
        self.channels = {"grayscale": 1, "rgb": 3, "rgba": 4}[color_mode]
        found = []
        for label, name in enumerate(self.class_names):
            for at, _, files in sorted(os.walk(os.path.join(directory, name))):
                found += [(os.path.join(at, file), label) for file in sorted(files)]
        ends = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
        found = [pair for pair in found if pair[0].lower().endswith(ends)]
        if shuffle:
            seed = np.random.randint(1000000) if seed is None else seed
            np.random.RandomState(seed).shuffle(found)
        if validation_split:
            split = len(found) - int(validation_split * len(found))
            found = found[:split] if subset == "training" else found[split:]
        self.files = found

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path, label = self.files[index]
        with open(path, "rb") as file:
            image = resize_images(decode_image(file.read(), self.channels), self.image_size)
        if self.label_mode is None:
            return image
        if self.label_mode == "categorical":
            return image, F.one_hot(torch.tensor(label), len(self.class_names)).to(image.dtype)
        if self.label_mode == "binary":
            return image, torch.tensor([float(label)])
        return image, label
