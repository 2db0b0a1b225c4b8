# simple, sparse, convolutional: three autoencoders for the 8x8 digits
import numpy as np
from sklearn.datasets import load_digits
import math
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def binary_crossentropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of probabilities, which are clipped to 1e-7."""
    y_true = like(y_true, y_pred) * (1 - label_smoothing) + 0.5 * label_smoothing
    p = y_pred.clamp(1e-7, 1 - 1e-7)
    return F.binary_cross_entropy(p, y_true, reduction="none").mean(-1)


class KerasOptimizer(torch.optim.Optimizer):
    """Clipping, decoupled weight decay and the count of steps as keras.optimizers has them."""

    def __init__(
        self,
        params,
        lr,
        weight_decay=None,
        clipnorm=None,
        global_clipnorm=None,
        clipvalue=None,
        **options,
    ):
        options |= {"lr": lr, "weight_decay": weight_decay, "iterations": 0}
        super().__init__(params, options)
        self.clipnorm = clipnorm
        self.global_clipnorm = global_clipnorm
        self.clipvalue = clipvalue

    @property
    def iterations(self):
        return self.param_groups[0]["iterations"]

    def clip(self, p, scale):
        gradient = p.grad
        if self.clipnorm is not None:
            parts = [gradient, *(q.grad for q in getattr(p, "joined_with", ()))]
            norm = torch.stack([part.norm() for part in parts]).norm()
            return gradient * (self.clipnorm / norm.clamp(min=self.clipnorm))
        if self.clipvalue is not None and scale is None:
            return gradient.clamp(-self.clipvalue, self.clipvalue)
        return gradient if scale is None else gradient * scale

    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure() if closure else None
        groups = [
            (g, p) for g in self.param_groups for p in g["params"] if p.grad is not None
        ]
        scale = None
        if self.global_clipnorm is not None:
            norm = torch.stack([p.grad.square().sum() for _, p in groups]).sum().sqrt()
            scale = self.global_clipnorm * (1 / norm).clamp(
                max=1 / self.global_clipnorm
            )
        for group in self.param_groups:
            group["iterations"] += 1
        for group, p in groups:
            gradient = self.clip(p, scale)
            if group["weight_decay"]:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            self.update(p, gradient, self.state[p], group)
        return loss

    def slot(self, state, name, p, value=0.0):
        if name not in state:
            state[name] = torch.full_like(p, value)
        return state[name]


def squared_gradient(p, g):
    """g * g, or what a KerasEmbedding recorded for its weight if all of g comes from there."""
    recorded, p.recorded = getattr(p, "recorded", None), None
    if recorded is None:
        return g * g
    rows, squares = recorded
    return (
        squares if torch.allclose(rows, g, atol=1e-6 * float(g.abs().max())) else g * g
    )


class KerasAdagrad(KerasOptimizer):
    """keras Adagrad: the accumulator starts at 0.1, epsilon stands under the root."""

    def __init__(
        self, params, lr=1e-3, initial_accumulator_value=0.1, eps=1e-7, **kwargs
    ):
        self.start = initial_accumulator_value
        super().__init__(params, lr, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        total = self.slot(state, "accumulator", p, self.start)
        total.add_(squared_gradient(p, g))
        p.sub_(group["lr"] * g / (total + group["eps"]).sqrt())


class ActivityPenalty(nn.Module):
    """keras' activity_regularizer: the penalty on what comes through, by example."""

    def __init__(self, l1=0.0, l2=0.0):
        super().__init__()
        self.factors = l1, l2
        self.added_loss = 0.0

    def forward(self, x):
        l1, l2 = self.factors
        self.added_loss = (l1 * x.abs().sum() + l2 * x.square().sum()) / len(x)
        return x


def regularize(layer, l1=0.0, l2=0.0, name="weight"):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalties = [*getattr(layer, "penalties", ()), (name, l1, l2)]
    return layer


class Reshape(nn.Module):
    """keras.layers.Reshape: another shape for each example."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape)


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


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


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


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


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


def added_losses(model):
    """What the layers of a model added to the loss when it was called last."""
    return sum(getattr(layer, "added_loss", 0.0) for layer in model.modules())


random.seed(90)
np.random.seed(90)
torch.manual_seed(90)
encoding_dim = 12

data, _ = load_digits(return_X_y=True)
data = data.astype("float32") / 16.0
x_train, x_test = data[:1500], data[1500:]
# ---------------------------------------------------------------- 1. simple


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Sequential(nn.Linear(64, encoding_dim), nn.ReLU())
        self.dense2 = nn.Sequential(nn.Linear(encoding_dim, 64), nn.Sigmoid())

    def forward(self, input_img):
        encoded = self.dense(input_img)
        decoded = self.dense2(encoded)
        return decoded


autoencoder = Autoencoder()  # image -> reconstruction


class Encoder(nn.Module):
    def __init__(self, autoencoder):
        super().__init__()
        self.dense = autoencoder.dense

    def forward(self, input_img):
        encoded = self.dense(input_img)
        return encoded


encoder = Encoder(autoencoder)  # image -> code


class Decoder(nn.Module):
    def __init__(self, autoencoder):
        super().__init__()
        self.dense = autoencoder.dense2

    def forward(self, encoded_input):
        x = self.dense(encoded_input)
        return x


decoder = Decoder(autoencoder)  # code -> image, shared layer

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def criterion(outputs, targets):
    return binary_crossentropy(targets, outputs).mean()


autoencoder.to(device)
optimizer = torch.optim.Adam(autoencoder.parameters(), lr=0.001, eps=1e-7)
metrics = {}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(x_train, dtype=torch.float32),
    ),
    batch_size=64,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_test, dtype=torch.float32),
        torch.as_tensor(x_test, dtype=torch.float32),
    ),
    batch_size=64,
)
for epoch in range(4):
    autoencoder.train()
    total = count = 0
    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = autoencoder(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
    logs = {"loss": total / count}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(autoencoder, val_loader, criterion, metrics).items()
    }
    print(
        f"Epoch {epoch + 1}/4 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )

codes = predict(encoder, torch.as_tensor(x_test, dtype=torch.float32))
again = predict(decoder, torch.as_tensor(codes, dtype=torch.float32))
print(
    "two halves agree:",
    np.allclose(
        again,
        predict(autoencoder, torch.as_tensor(x_test, dtype=torch.float32)),
        atol=1e-6,
    ),
)

# ---------------------------------------------------------------- 2. sparse and deep
sparse = nn.Sequential(
    nn.Linear(64, 48),
    nn.ReLU(),
    nn.Linear(48, encoding_dim),
    nn.ReLU(),
    ActivityPenalty(l1=1e-5),
    regularize(nn.Linear(12, 48), l1=1e-6, l2=1e-5),
    nn.ReLU(),
    nn.Linear(48, 64),
    nn.Sigmoid(),
)
criterion_2 = nn.L1Loss()
sparse.to(device)
optimizer_2 = KerasAdagrad(sparse.parameters(), lr=0.1)
metrics_2 = {}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(x_train, dtype=torch.float32),
    ),
    batch_size=64,
    shuffle=True,
)
for epoch in range(3):
    sparse.train()
    total = count = 0
    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer_2.zero_grad()
        outputs = sparse(inputs)
        loss = (
            criterion_2(outputs, targets)
            + regularization(sparse)
            + added_losses(sparse)
        )
        loss.backward()
        optimizer_2.step()
        total += loss.item() * len(targets)
        count += len(targets)
    logs = {"loss": total / count}
    print(
        f"Epoch {epoch + 1}/3 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )


# ---------------------------------------------------------------- 3. convolutional, denoising
class Denoise(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            Reshape(8, 8, 1),
            Permute(0, 3, 1, 2),
            SamePad(3, 2),
            nn.Conv2d(1, 16, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(16, 8, 3, padding="same"),
            nn.ReLU(),
            SamePad(2, 2, value=-math.inf),
            nn.MaxPool2d(2),
            Permute(0, 2, 3, 1),
        )
        self.decoder = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.ConvTranspose2d(8, 8, 3, stride=2),
            nn.ZeroPad2d((0, -1, 0, -1)),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 1, 3, padding="same"),
            nn.Sigmoid(),
            Permute(0, 2, 3, 1),
            nn.Flatten(),
        )

    def forward(self, x):
        encoded = self.encoder(x)
        decoded = self.decoder(encoded)
        return decoded


noise_factor = 0.5
noisy = (
    lambda x: torch.clamp(
        torch.as_tensor(x) + noise_factor * torch.randn(x.shape), 0.0, 1.0
    )
    .detach()
    .cpu()
    .numpy()
)
x_train_noisy, x_test_noisy = noisy(x_train), noisy(x_test)

denoise = Denoise()
criterion_3 = nn.MSELoss()
denoise.to(device)
optimizer_3 = torch.optim.Adam(denoise.parameters(), lr=0.003, eps=1e-7)
metrics_3 = {}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train_noisy, dtype=torch.float32),
        torch.as_tensor(x_train, dtype=torch.float32),
    ),
    batch_size=32,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_test_noisy, dtype=torch.float32),
        torch.as_tensor(x_test, dtype=torch.float32),
    ),
    batch_size=32,
)
for epoch in range(8):
    denoise.train()
    total = count = 0
    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer_3.zero_grad()
        outputs = denoise(inputs)
        loss = criterion_3(outputs, targets)
        loss.backward()
        optimizer_3.step()
        total += loss.item() * len(targets)
        count += len(targets)
    logs = {"loss": total / count}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(denoise, val_loader, criterion_3, metrics_3).items()
    }
    print(
        f"Epoch {epoch + 1}/8 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )
print(denoise.encoder)

restored = (
    denoise.decoder(
        denoise.encoder(torch.as_tensor(x_test_noisy, dtype=torch.float32).to(device))
        .to(device)
        .cpu()
    )
    .cpu()
    .detach()
    .cpu()
    .numpy()
)
print("mse of the noisy images    %.4f" % np.mean((x_test_noisy - x_test) ** 2))
print("mse of the restored images %.4f" % np.mean((restored - x_test) ** 2))
