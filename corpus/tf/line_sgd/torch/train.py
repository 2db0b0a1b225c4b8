# Fit y = 2x - 1 with one neuron
import numpy as np
import random
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


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


def torch_predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


def get_weights(model):
    """Copies of all parameters and buffers as numpy arrays, in the order of state_dict."""
    return [
        value.detach().cpu().numpy().copy() for value in model.state_dict().values()
    ]


random.seed(0)
np.random.seed(0)
torch.manual_seed(0)

model = nn.Sequential(nn.Linear(1, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
metrics = {}
print(model)

# ---- the easy way: everything by default ----
xs = np.random.uniform(-1.0, 4.0, size=(2048, 1)).astype("float32")
ys = 2.0 * xs - 1.0 + np.random.normal(0.0, 0.05, size=xs.shape).astype("float32")

train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(xs, dtype=torch.float32),
        torch.as_tensor(ys, dtype=torch.float32),
    ),
    batch_size=32,
    shuffle=True,
)
history = {}
for epoch in range(1):
    model.train()
    total = count = 0
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss_2 = criterion(outputs, targets)
        loss_2.backward()
        optimizer.step()
        total += loss_2.item() * len(targets)
        count += len(targets)
    logs = {"loss": total / count}
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/1 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )
print("loss after one epoch:", history["loss"])
print(
    "loss on everything:  ",
    evaluate(
        model,
        DataLoader(
            TensorDataset(
                torch.as_tensor(xs, dtype=torch.float32),
                torch.as_tensor(ys, dtype=torch.float32),
            ),
            batch_size=32,
        ),
        criterion,
        metrics,
    )["loss"],
)
print(
    "prediction for 10:",
    torch_predict(model, torch.as_tensor(np.array([[10.0]]), dtype=torch.float32)),
)
print("weights:", [w.tolist() for w in get_weights(model)])

# ---- the same by hand: variables, tape, assign_sub ----
w = torch.tensor(0.0, requires_grad=True)
b = torch.tensor(0.0, requires_grad=True)
lr = 0.05


def predict(x):
    return w * x + b


def mse(y_true, y_pred):
    return torch.mean(torch.square(y_true - y_pred))


x = torch.tensor(xs[:256, 0])
y = torch.tensor(ys[:256, 0])
for i in range(60):
    loss = mse(y, predict(x))
    dw, db = torch.autograd.grad(loss, [w, b])
    with torch.no_grad():
        w.sub_(lr * dw)
        b.sub_(lr * db)
    if i % 10 == 0:
        print(
            "step %2d   w = %.3f   b = %.3f   loss = %.4f"
            % (i, w.item(), b.item(), loss.item())
        )
print("w", w.item(), "b", b.item())

# ---- and a quadratic, with SGD and momentum on a list of variables ----
coef = [torch.zeros(()).requires_grad_() for _ in range(3)]
opt = torch.optim.SGD(coef, lr=0.01, momentum=0.9)
target = 0.5 * x**2 - x + 0.25
for i in range(80):
    guess = coef[0] * x**2 + coef[1] * x + coef[2]
    loss = torch.mean((guess - target) ** 2)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print("quadratic", i, loss)
print([round(float(c), 3) for c in coef])
