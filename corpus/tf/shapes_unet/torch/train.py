# coding: utf-8
# Little U-Net on synthetic cells: Conv2D, dilated, Conv2DTranspose, concatenate, dice loss

import os
import numpy as np
import math
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


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


class EarlyStopping:
    """keras EarlyStopping: step() is True where training is to stop; restore() the best weights."""

    def __init__(
        self,
        patience=0,
        min_delta=0.0,
        mode="min",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
        verbose=False,
    ):
        self.patience = patience
        self.min_delta = abs(min_delta)
        self.sign = 1 if mode == "min" else -1
        self.baseline = None if baseline is None else self.sign * baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.verbose = verbose
        self.best = None
        self.best_epoch = self.wait = 0
        self.best_state = None

    def improves(self, value, reference):
        return reference is None or value + self.min_delta < reference

    def step(self, value, epoch, model=None):
        value = self.sign * float(value)
        if epoch < self.start_from_epoch:
            return False
        if self.restore_best_weights and self.best_state is None:
            self.keep(model)
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.keep(model)
            if self.improves(value, self.baseline):
                self.wait = 0
            return False
        stops = self.wait >= self.patience and epoch > 0
        if stops and self.verbose:
            print(f"Epoch {epoch + 1}: early stopping")
        return stops

    def keep(self, model):
        self.best_state = {
            key: value.clone() for key, value in model.state_dict().items()
        }

    def restore(self, model):
        if self.best_state is not None:
            if self.verbose:
                best = self.best_epoch + 1
                print(
                    f"Restoring model weights from the end of the best epoch: {best}."
                )
            model.load_state_dict(self.best_state)


class ModelCheckpoint:
    """keras ModelCheckpoint with save_best_only: the weights, or the whole model, at the best."""

    def __init__(self, filepath, mode="min", whole=False, verbose=False):
        self.filepath = filepath
        self.sign = 1 if mode == "min" else -1
        self.whole = whole
        self.verbose = verbose
        self.best = math.inf

    def step(self, value, epoch, model, **logs):
        if self.sign * float(value) >= self.best:
            return
        self.best = self.sign * float(value)
        path = str(self.filepath).format(epoch=epoch + 1, **logs)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        torch.save(model if self.whole else model.state_dict(), path)


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def binary_cross_entropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of logits."""
    y_true = like(y_true, y_pred) * (1 - label_smoothing) + 0.5 * label_smoothing
    return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none").mean(-1)


def binary_log_loss(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of a sigmoid, from its logits."""
    logits = y_pred.logit(torch.finfo(y_pred.dtype).eps)
    return binary_cross_entropy(y_true, logits, label_smoothing)


IMG_WIDTH = IMG_HEIGHT = 24
IMG_CHANNELS = 1
seed = 42
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


def cells(n):
    X = np.zeros((n, IMG_HEIGHT, IMG_WIDTH, IMG_CHANNELS), dtype=np.uint8)
    Y = np.zeros((n, IMG_HEIGHT, IMG_WIDTH, 1), dtype=bool)
    yy, xx = np.mgrid[:IMG_HEIGHT, :IMG_WIDTH]
    for k in range(n):
        img = np.random.normal(60, 20, (IMG_HEIGHT, IMG_WIDTH))
        for _ in range(np.random.randint(1, 4)):
            cy, cx = np.random.randint(4, 20, 2)
            a, b = np.random.uniform(2.5, 5, 2)
            inside = ((yy - cy) / a) ** 2 + ((xx - cx) / b) ** 2 <= 1
            img[inside] += 80
            Y[k, inside, 0] = True
        X[k, ..., 0] = np.clip(img, 0, 255)
    return X, Y


X_train, Y_train = cells(200)
X_test, Y_test = cells(40)
print("Done!", X_train.shape, X_train.dtype, Y_train.mean())


# Define IoU metric
def mean_iou(y_true, y_pred):
    y_true = y_true.float()
    y_pred_ = (y_pred > 0.5).float()
    inter = torch.sum(y_true * y_pred_, dim=(1, 2, 3))
    union = torch.sum(torch.maximum(y_true, y_pred_), dim=(1, 2, 3))
    return torch.mean((inter + 1.0) / (union + 1.0))


def dice_coef(y_true, y_pred, smooth=1.0):
    y_true_f = torch.reshape(y_true.float(), [-1])
    y_pred_f = torch.reshape(y_pred, [-1])
    intersection = torch.sum(y_true_f * y_pred_f)
    return (2.0 * intersection + smooth) / (
        torch.sum(y_true_f) + torch.sum(y_pred_f) + smooth
    )


def bce_dice_loss(y_true, y_pred):
    bce = binary_log_loss(y_true.to(y_pred.dtype), y_pred)
    return torch.mean(bce) + 0.5 * (1.0 - dice_coef(y_true, y_pred))


# Build U-Net model
# 25 x 25


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            initialize(nn.Conv2d(1, 8, 3, padding="same"), he_normal), nn.ELU()
        )
        self.dropout = nn.Dropout(0.1)
        self.conv2 = nn.Sequential(
            initialize(nn.Conv2d(8, 8, 3, padding="same"), he_normal), nn.ELU()
        )
        self.pool = nn.MaxPool2d(2)
        self.conv3 = nn.Sequential(
            initialize(nn.Conv2d(8, 16, 3, padding="same"), he_normal), nn.ELU()
        )
        self.dropout2 = nn.Dropout(0.1)
        self.conv4 = initialize(nn.Conv2d(16, 16, 3, padding="same"), he_normal)
        self.prelu = nn.PReLU(16, init=0.0)
        self.conv5 = nn.Sequential(
            SamePad(3, 2), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU()
        )
        self.conv6 = nn.Sequential(
            nn.Conv2d(16, 32, 3, padding="same", dilation=2), nn.ELU()
        )
        self.dropout3 = nn.Dropout(0.2)
        self.conv7 = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding="same", groups=4), nn.ELU()
        )
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.conv8 = nn.Sequential(
            initialize(nn.Conv2d(32, 16, 3, padding="same"), he_normal), nn.ELU()
        )
        self.up2 = nn.ConvTranspose2d(16, 8, 3, stride=2)
        self.cropping = nn.ZeroPad2d((0, -1, 0, -1))
        self.zeropadding = nn.ZeroPad2d(1)
        self.conv9 = nn.Sequential(initialize(nn.Conv2d(16, 8, 3), he_normal), nn.ELU())
        self.conv10 = nn.Sequential(nn.Conv2d(8, 1, 1), nn.Sigmoid())

    def forward(self, inputs):
        s = inputs / 255
        c1 = self.conv(s.permute(0, 3, 1, 2))
        c1 = self.dropout(c1)
        c1 = self.conv2(c1)
        p1 = self.pool(c1)
        c2 = self.conv3(p1)
        c2 = self.dropout2(c2)
        c2 = self.conv4(c2)
        c2 = self.prelu(c2)
        p2 = self.conv5(c2)
        c3 = self.conv6(p2)
        c3 = self.dropout3(c3)
        c3 = self.conv7(c3)
        u4 = self.up(c3)
        u4 = torch.cat([u4, c2], dim=1)
        c4 = self.conv8(u4)
        u5 = self.up2(c4)
        u5 = self.cropping(u5)
        u5 = torch.cat([u5, c1], dim=1)
        c5 = self.zeropadding(u5)
        c5 = self.conv9(c5)
        outputs = self.conv10(c5)
        return outputs.permute(0, 2, 3, 1)


model = Net()
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def criterion(outputs, targets):
    return bce_dice_loss(targets, outputs).mean()


model.to(device)
model.optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
model.metrics = {"mean_iou": MeanMetric(mean_iou), "dice_coef": MeanMetric(dice_coef)}
model.criterion = criterion
model.optimizer.param_groups[0]["lr"] = 0.004
print(sum(p.numel() for p in model.parameters()), "weights, epsilon", 1e-7)

# Fit model
earlystopper = EarlyStopping(patience=3, verbose=True)
checkpointer = ModelCheckpoint("model-cells.weights.h5")
dataset = TensorDataset(
    torch.as_tensor(X_train, dtype=torch.float32),
    torch.as_tensor(Y_train, dtype=torch.float32),
)
split = int(len(dataset) * (1 - 0.1))
train_loader = DataLoader(
    torch.utils.data.Subset(dataset, range(split)), batch_size=16, shuffle=True
)
val_loader = DataLoader(
    torch.utils.data.Subset(dataset, range(split, len(dataset))), batch_size=16
)
results = {}
diverged = False
for epoch in range(6):
    model.train()
    total = count = 0
    for metric in model.metrics.values():
        metric.reset_state()
    for batch, (inputs_2, targets) in enumerate(train_loader):
        inputs_2, targets = inputs_2.to(device), targets.to(device)
        model.optimizer.zero_grad()
        outputs_2 = model(inputs_2)
        loss = model.criterion(outputs_2, targets)
        loss.backward()
        model.optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in model.metrics.values():
            metric.update_state(targets, outputs_2)
        if not math.isfinite(loss.item()):
            print(f"Batch {batch}: Invalid loss, terminating training")
            diverged = True
            break
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in model.metrics.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(
            model, val_loader, model.criterion, model.metrics
        ).items()
    }
    for key, value in logs.items():
        results.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/6 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )
    checkpointer.step(logs["val_loss"], epoch, model, **logs)
    if earlystopper.step(logs["val_loss"], epoch, model):
        break
    if diverged:
        break

# Predict on train, val and test
if os.path.exists("model-cells.weights.h5"):
    model.load_state_dict(torch.load("model-cells.weights.h5", map_location=device))
preds_test = predict(model, torch.as_tensor(X_test, dtype=torch.float32))
preds_test_t = (preds_test > 0.5).astype(np.uint8)
print("pixel accuracy on the test images: %.4f" % (preds_test_t == Y_test).mean())
print(
    "test:",
    [
        round(float(v), 4)
        for v in list(
            evaluate(
                model,
                DataLoader(
                    TensorDataset(
                        torch.as_tensor(X_test, dtype=torch.float32),
                        torch.as_tensor(Y_test, dtype=torch.float32),
                    ),
                    batch_size=32,
                ),
                model.criterion,
                model.metrics,
            ).values()
        )
    ],
)
