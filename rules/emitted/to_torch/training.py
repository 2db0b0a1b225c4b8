"""What Keras' fit, evaluate and predict do around a batch."""

import torch


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


class OutputMetric:
    """A metric of one of several outputs."""

    def __init__(self, metric, output, target=None):
        self.metric = metric
        self.output = output
        self.target = output if target is None else target

    def reset_state(self):
        self.metric.reset_state()

    def update_state(self, y_true, y_pred, *weights):
        self.metric.update_state(y_true[self.target], y_pred[self.output], *weights)

    def result(self):
        return self.metric.result()


class LossMetric:
    """The mean over all examples of a loss that is a mean over each batch."""

    def __init__(self, loss):
        self.loss = loss
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0

    def update_state(self, y_true, y_pred, *weights):
        self.total += float(self.loss(y_pred, y_true, *weights)) * len(y_true)
        self.count += len(y_true)

    def result(self):
        return self.total / max(self.count, 1)


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


def call_with_all(model, inputs):
    """A model called on inputs that come in a list or a dict."""
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def evaluate(
    model, loader, criterion, metrics, activation=None, penalty=None, call=None, weighted=False
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
        outputs = torch.cat([model(batch.to(device)) for batch in inputs.split(batch_size)])
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


def join_batches(parts):
    """The outputs of all batches as one numpy array, in the lists and dicts that they come in."""
    if isinstance(parts[0], dict):
        return {key: join_batches([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], (list, tuple)):
        return [join_batches(group) for group in zip(*parts)]
    return torch.cat(parts).cpu().numpy()


def predict_batches(model, loader, activation=None, call=None):
    """The model's outputs for all batches, in evaluation mode, as numpy arrays."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        batches = (to_device(batch, device) for batch in loader)
        outputs = [model(x) if call is None else call(model, x) for x in batches]
    return join_batches(outputs if activation is None else [activation(y) for y in outputs])


def added_losses(model):
    """What the layers of a model added to the loss when it was called last."""
    return sum(getattr(layer, "added_loss", 0.0) for layer in model.modules())


def train_on_batch(
    model, inputs, targets, criterion, optimizer, metrics, activation=None, penalty=None,
    call=None, weights=(),
):  # fmt: skip
    """One step on a batch: its loss and the metrics since they were reset."""
    model.train()
    device = next(model.parameters()).device
    inputs, targets, weights = to_device((inputs, targets, weights), device)
    optimizer.zero_grad()
    outputs = model(inputs) if call is None else call(model, inputs)
    loss = criterion(outputs, targets, *weights)
    if penalty is not None:
        loss = loss + penalty(model)
    if loss.requires_grad:  # not all of the model is frozen
        loss.backward()
        optimizer.step()
    return {"loss": loss.item()} | measure_batch(metrics, targets, outputs, activation)


def measure_batch(metrics, targets, outputs, activation=None):
    """The metrics of one batch."""
    outputs = outputs if activation is None else activation(outputs)
    for metric in metrics.values():
        metric.reset_state()
        metric.update_state(targets, outputs)
    return {name: float(metric.result()) for name, metric in metrics.items()}


def metrics_of(model):
    """The metrics that a model names, else those that it holds."""
    held = getattr(model, "metrics", None)
    if held is not None:
        return list(held.values() if isinstance(held, dict) else held)
    return [value for value in vars(model).values() if hasattr(value, "reset_state")]


def evaluate_steps(model, loader):
    """What the model's own test_step gives over all batches."""
    model.eval()
    for metric in metrics_of(model):
        metric.reset_state()
    logs = {}
    with torch.no_grad():
        for batch in loader:
            logs = model.test_step(batch)
    return {name: float(value) for name, value in logs.items()}
