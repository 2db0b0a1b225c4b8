"""Names of torchvision that are known and have no translation, with the reason and the advice."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Unfit, rewrites
from transpiler.site import Site

_MODELS = {
    "resnet18": "", "resnet34": "", "resnet50": "ResNet50", "resnet101": "ResNet101",
    "resnet152": "ResNet152", "vgg11": "", "vgg11_bn": "", "vgg13": "", "vgg16": "VGG16",
    "vgg16_bn": "", "vgg19": "VGG19", "vgg19_bn": "", "alexnet": "", "squeezenet1_0": "",
    "squeezenet1_1": "", "densenet121": "DenseNet121", "densenet161": "",
    "densenet169": "DenseNet169", "densenet201": "DenseNet201", "inception_v3": "InceptionV3",
    "googlenet": "", "mobilenet_v2": "MobileNetV2", "mobilenet_v3_large": "MobileNetV3Large",
    "mobilenet_v3_small": "MobileNetV3Small", "efficientnet_b0": "EfficientNetB0",
    "efficientnet_b1": "EfficientNetB1", "efficientnet_b2": "EfficientNetB2",
    "efficientnet_b3": "EfficientNetB3", "efficientnet_b4": "EfficientNetB4", "vit_b_16": "",
    "convnext_tiny": "ConvNeXtTiny", "resnext50_32x4d": "", "wide_resnet50_2": "",
}  # fmt: skip


@rewrites(*(f"torchvision.models.{name}" for name in _MODELS), to="tf")
def model(site: Site) -> Any:
    """Architectures of the same name differ in padding and numbers, and so do their weights."""
    name = site.name.rpartition(".")[2]
    near = _MODELS[name]
    advice = f"keras.applications.{near} is nearest" if near else "keras.applications has no equal"
    raise Unfit(
        f"torchvision's {name} and its weights are not Keras's", f"{advice}: write the model"
    )


_DATA = "this dataset is not among keras.datasets"
_ADVICE = "read it with a class of your own that has __len__ and __getitem__"

UNSUPPORTED = {
    **{
        f"torchvision.datasets.{name}": f"{_DATA}: {_ADVICE}"
        for name in (
            "KMNIST", "EMNIST", "QMNIST", "SVHN", "STL10", "CelebA", "LSUN", "Food101", "ImageNet",
            "FakeData", "Omniglot", "VOCSegmentation", "VOCDetection", "CocoDetection",
            "CocoCaptions", "OxfordIIITPet", "Flowers102", "Caltech101", "DatasetFolder",
        )
    },
    "torchvision.transforms.TrivialAugmentWide": "this augmentation is not written out yet",
    "torchvision.transforms.RandAugment": "this augmentation is not written out yet",
    "torchvision.transforms.AutoAugment": "this augmentation is not written out yet",
    "torchvision.transforms.RandomErasing": "this augmentation is not written out yet",
    "torchvision.transforms.RandomAffine": "this augmentation is not written out yet",
    "torchvision.transforms.RandomPerspective": "this augmentation is not written out yet",
    "torchvision.transforms.GaussianBlur": "this augmentation is not written out yet",
    "torchvision.io.read_image": (
        "read it with tf.io.decode_image(tf.io.read_file(path)): (H, W, C)"
    ),
    "torch.nn.utils.weight_norm": "normalized weights need a layer of your own in Keras",
    "torch.nn.utils.spectral_norm": "wrap the layer in keras.layers.SpectralNormalization by hand",
    "torch.nn.utils.rnn.PackedSequence": "packed sequences: give the layers a mask of the lengths",
}  # fmt: skip
