"""CNN for the handwritten digits of scikit-learn, as small as possible."""

import matplotlib
import random
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the largest target."""
    return (y_pred.argmax(-1) == y_true.argmax(-1)).to(torch.get_default_dtype())


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


matplotlib.use("Agg")
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

random.seed(1)
np.random.seed(1)
torch.manual_seed(1)

BATCH = 64
EPOCHS = 4

# the images are 8x8; blow them up to 28x28 (and pad) to look like the real thing
digits = load_digits()
images = digits.images.repeat(3, axis=1).repeat(3, axis=2)
images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
print(images.shape)

x_train, x_test, y_train, y_test = train_test_split(
    images, digits.target, test_size=0.2, random_state=0
)
x_train = x_train.reshape(x_train.shape[0], 28, 28, 1).astype("float32")
x_test = x_test.reshape(x_test.shape[0], 28, 28, 1).astype("float32")
x_train /= 16
x_test /= 16
print(len(x_train), "for training,", len(x_test), "for testing")

# one-hot labels
y_train = np.eye(10)[y_train]
y_test = np.eye(10)[y_test]

model = nn.Sequential(
    Permute(0, 3, 1, 2),
    nn.Conv2d(1, 32, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    Permute(0, 2, 3, 1),
    nn.Flatten(),
    nn.Linear(5408, 32),
    nn.ReLU(),
    nn.Dropout(0.25),
    nn.Linear(32, 10),
)

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
criterion = nn.CrossEntropyLoss()
model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
metrics = {"accuracy": MeanMetric(categorical_accuracy)}
print(model)

train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.float32),
    ),
    batch_size=BATCH,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_test, dtype=torch.float32),
        torch.as_tensor(y_test, dtype=torch.float32),
    ),
    batch_size=BATCH,
)
history = {}
for epoch in range(EPOCHS):
    model.train()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
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
        for key, value in evaluate(model, val_loader, criterion, metrics).items()
    }
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/{EPOCHS} - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )

score = list(
    evaluate(
        model,
        DataLoader(
            TensorDataset(
                torch.as_tensor(x_test, dtype=torch.float32),
                torch.as_tensor(y_test, dtype=torch.float32),
            ),
            batch_size=32,
        ),
        criterion,
        metrics,
    ).values()
)
print("Test loss:", score[0])
print("Test accuracy:", score[1])

# some predictions
preds = predict(
    model,
    torch.as_tensor(x_test[:10], dtype=torch.float32),
    activation=lambda x: x.softmax(-1),
)
print("predicted:", np.argmax(preds, axis=1))
print("true:     ", np.argmax(y_test[:10], axis=1))

import matplotlib.pyplot as plt

plt.plot(history["accuracy"])
plt.plot(history["val_accuracy"])
plt.title("digits, small CNN")
plt.xlabel("epoch")
plt.legend(["train", "test"], loc="upper left")
plt.savefig("accuracy.png")

torch.save(model.state_dict(), "digits_cnn.keras")
