# ResNet for the 8x8 digits, blocks built by functions

import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_digits


def sparse_categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the target's index."""
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    return (y_pred.argmax(-1) == y_true).to(torch.get_default_dtype())


class MeanMetric:
    """The mean over all examples of a function of targets and predictions, as Keras keeps it."""

    def __init__(self, function, name=None, **options):
        self.function = function
        self.name = name
        self.options = options
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        values = torch.as_tensor(self.function(y_true, y_pred, **self.options)).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            extra = (1,) * (values.dim() - sample_weight.dim())
            weights = weights * sample_weight.reshape(sample_weight.shape + extra)
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


def variance_scaling(weight, scale=1.0, mode="fan_in", distribution="truncated_normal"):
    """keras.initializers.VarianceScaling of a weight whose outputs come first."""
    size = weight[0, 0].numel()
    fan_in, fan_out = weight.shape[1] * size, weight.shape[0] * size
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[
        mode
    ]
    if distribution == "uniform":
        limit = (3 * scale / fan) ** 0.5
        return nn.init.uniform_(weight, -limit, limit)
    std = (scale / fan) ** 0.5
    if distribution == "untruncated_normal":
        return nn.init.normal_(weight, std=std)
    std = std / 0.87962566103423978  # what truncation takes away
    return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def he_normal(weight):
    """keras.initializers.HeNormal: a truncated normal."""
    return variance_scaling(weight, scale=2.0)


def initialize(layer, weight=nn.init.xavier_uniform_, bias=nn.init.zeros_):
    """Gives a layer Keras' initial values: Glorot uniform weights and zero biases, if not told."""
    weight(layer.weight)
    if getattr(layer, "bias", None) is not None:
        bias(layer.bias)
    return layer


def regularize(layer, l1=0.0, l2=0.0, name="weight"):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalties = [*getattr(layer, "penalties", ()), (name, l1, l2)]
    return layer


def same_padding(sizes, kernel_size, stride=1, dilation=1):
    """The arguments of F.pad for padding="same", last axis first."""
    many = lambda value: value if isinstance(value, tuple) else (value,) * len(sizes)
    pads = []
    for n, k, s, d in zip(sizes, many(kernel_size), many(stride), many(dilation)):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class SamePad(nn.Module):
    """Pads for a convolution or pooling without padding to have Keras' padding="same"."""

    def __init__(self, kernel_size, stride=1, dilation=1, value=0.0):
        super().__init__()
        self.window = kernel_size, stride, dilation
        self.value = value  # -inf before maximum pooling

    def forward(self, x):
        return F.pad(x, same_padding(x.shape[2:], *self.window), value=self.value)


def first_tensor(data):
    """The first tensor of tensors in lists and dicts."""
    while not isinstance(data, torch.Tensor):
        data = next(iter(data.values() if isinstance(data, dict) else data))
    return data


def to_device(data, device):
    """Tensors, also those in lists and dicts, on a device."""
    if isinstance(data, dict):
        return {key: to_device(value, device) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [to_device(value, device) for value in data]
    return data.to(device) if isinstance(data, torch.Tensor) else data


def evaluate(
    model,
    loader,
    criterion,
    metrics,
    activation=None,
    penalty=None,
    call=None,
    weighted=False,
):
    """The mean loss and the metrics over all batches, in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    with torch.no_grad():
        for batch in loader:
            inputs, targets, *weights = to_device(batch, device)
            outputs = model(inputs) if call is None else call(model, inputs)
            size = len(first_tensor(targets))
            loss = criterion(outputs, targets, *weights)
            if penalty is not None:
                loss = loss + penalty(model)
            total += float(loss) * size
            count += size
            if activation is not None:
                outputs = activation(outputs)
            for metric in metrics.values():
                metric.update_state(targets, outputs, *(weights if weighted else ()))
    return {"loss": total / count} | {
        name: float(metric.result()) for name, metric in metrics.items()
    }


def regularization(model):
    """The penalties on the weights of a model's layers, as Keras adds them to the loss."""
    total = 0.0
    for layer in model.modules():
        for name, l1, l2 in getattr(layer, "penalties", ()):
            weight = getattr(layer, name)
            if not weight.requires_grad:
                continue  # Keras leaves frozen weights out
            if l1:
                total = total + l1 * weight.abs().sum()
            if l2:
                total = total + l2 * weight.square().sum()
    return total


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


batch_size, epochs = 32, 3
n_blocks = 1  # per stage
width = 12

random.seed(3)
np.random.seed(3)
torch.manual_seed(3)

digits = load_digits()
x = digits.images.astype("float32")[..., np.newaxis] / 16
y = digits.target.reshape(-1, 1)
x_train, x_test = x[:1400], x[1400:]
y_train, y_test = y[:1400], y[1400:]
mean_image = x_train.mean(axis=0)
x_train, x_test = x_train - mean_image, x_test - mean_image
input_shape = x_train.shape[1:]


def lr_schedule(epoch):
    return 5e-2 if epoch < 2 else 5e-3


class ConvBn(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv = regularize(
            initialize(nn.Conv2d(in_channels, filters, 3, bias=False), he_normal),
            l2=0.0001,
        )
        self.norm = nn.BatchNorm2d(filters, momentum=0.1)
        self.activation = nn.ReLU()

    def forward(self, inputs):
        x = self.conv(inputs)
        x = self.norm(x)
        x = self.activation(x)
        return x


class ConvBn2(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv = regularize(
            initialize(
                nn.Conv2d(in_channels, filters, 3, padding="same", bias=False),
                he_normal,
            ),
            l2=0.0001,
        )
        self.norm = nn.BatchNorm2d(filters, momentum=0.1)
        self.activation = nn.ReLU()

    def forward(self, inputs):
        x = self.conv(inputs)
        x = self.norm(x)
        x = self.activation(x)
        return x


class ConvBn3(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv = regularize(
            initialize(
                nn.Conv2d(in_channels, filters, 3, padding="same", bias=False),
                he_normal,
            ),
            l2=0.0001,
        )
        self.norm = nn.BatchNorm2d(filters, momentum=0.1)

    def forward(self, inputs):
        x = self.conv(inputs)
        x = self.norm(x)
        return x


class ConvBn4(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv = nn.Sequential(
            SamePad(3, 2),
            regularize(
                initialize(
                    nn.Conv2d(in_channels, filters, 3, stride=2, bias=False), he_normal
                ),
                l2=0.0001,
            ),
        )
        self.norm = nn.BatchNorm2d(filters, momentum=0.1)
        self.activation = nn.ReLU()

    def forward(self, inputs):
        x = self.conv(inputs)
        x = self.norm(x)
        x = self.activation(x)
        return x


class ConvBn5(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv = regularize(
            initialize(
                nn.Conv2d(in_channels, filters, 1, stride=2, bias=False), he_normal
            ),
            l2=0.0001,
        )
        self.norm = nn.BatchNorm2d(filters, momentum=0.1)

    def forward(self, inputs):
        x = self.conv(inputs)
        x = self.norm(x)
        return x


class ResidualBlock(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv_bn = ConvBn2(in_channels, filters)
        self.conv_bn2 = ConvBn3(filters, filters)
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.conv_bn(x)
        y = self.conv_bn2(y)
        y = x + y
        x = self.relu(y)
        return x


class ResidualBlock2(nn.Module):
    def __init__(self, in_channels, filters):
        super().__init__()
        self.conv_bn = ConvBn4(in_channels, filters)
        self.conv_bn2 = ConvBn3(filters, filters)
        self.conv_bn3 = ConvBn5(in_channels, filters)
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.conv_bn(x)
        y = self.conv_bn2(y)
        shortcut = self.conv_bn3(x)
        y = shortcut + y
        x = self.relu(y)
        return x


class Resnet8(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.zeropadding = nn.ZeroPad2d(1)
        self.conv_bn = ConvBn(1, 12)
        self.residual_block = ResidualBlock(12, 12)
        self.residual_block2 = ResidualBlock2(12, 24)
        self.residual_block3 = ResidualBlock2(24, 48)
        self.pool = nn.AvgPool2d(2)
        self.flatten = nn.Flatten()
        self.dense = initialize(nn.Linear(48, num_classes), he_normal)

    def forward(self, inputs):
        x = self.zeropadding(inputs.permute(0, 3, 1, 2))
        x = self.conv_bn(x)
        x = self.residual_block(x)
        x = self.residual_block2(x)
        x = self.residual_block3(x)
        x = self.pool(x)
        y = self.flatten(x.permute(0, 2, 3, 1))
        outputs = self.dense(y)
        return outputs


def build_resnet(input_shape, num_classes=10):
    return Resnet8(num_classes)


model = build_resnet(input_shape)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
criterion = nn.CrossEntropyLoss()
model.to(device)
optimizer = torch.optim.SGD(
    model.parameters(), lr=lr_schedule(0), momentum=0.9, nesterov=True
)
metrics = {"accuracy": MeanMetric(sparse_categorical_accuracy)}
print(
    "resnet8",
    sum(v.numel() for k, v in model.state_dict().items() if "num_batches" not in k),
    "parameters",
)

train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.int64).flatten(),
    ),
    batch_size=batch_size,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_test, dtype=torch.float32),
        torch.as_tensor(y_test, dtype=torch.int64).flatten(),
    ),
    batch_size=batch_size,
)
for epoch in range(epochs):
    for group in optimizer.param_groups:
        group["lr"] = lr_schedule(epoch)
    model.train()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets) + regularization(model)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(
            model, val_loader, criterion, metrics, penalty=regularization
        ).items()
    }
    logs["learning_rate"] = optimizer.param_groups[0]["lr"]
    print(
        f"Epoch {epoch + 1}/{epochs} - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )

scores = list(
    evaluate(
        model,
        DataLoader(
            TensorDataset(
                torch.as_tensor(x_test, dtype=torch.float32),
                torch.as_tensor(y_test, dtype=torch.int64).flatten(),
            ),
            batch_size=32,
        ),
        criterion,
        metrics,
        penalty=regularization,
    ).values()
)
print("Test loss:", scores[0])
print("Test accuracy:", scores[1])


# features before the classifier
class Extractor(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.zeropadding = model.zeropadding
        self.conv_bn = model.conv_bn
        self.residual_block = model.residual_block
        self.residual_block2 = model.residual_block2
        self.residual_block3 = model.residual_block3
        self.pool = model.pool
        self.flatten = model.flatten

    def forward(self, inputs):
        x = self.zeropadding(inputs.permute(0, 3, 1, 2))
        x = self.conv_bn(x)
        x = self.residual_block(x)
        x = self.residual_block2(x)
        x = self.residual_block3(x)
        x = self.pool(x)
        y = self.flatten(x.permute(0, 2, 3, 1))
        return y


extractor = Extractor(model)
features = predict(extractor, torch.as_tensor(x_test[:8], dtype=torch.float32))
print("features", features.shape, float(features.mean()))
