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
            weights = weights * sample_weight.reshape(-1, *[1] * (values.dim() - 1))
        self.total = self.total + (values * weights).sum()
        self.count += float(weights.sum())

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


def evaluate(model, loader, criterion, metrics, activation=None, penalty=None):
    """The mean loss and the metrics over all batches, in evaluation mode."""
    model.eval()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    with torch.no_grad():
        for inputs, targets in loader:
            outputs = model(inputs)
            total += criterion(outputs, targets).item() * len(targets)
            count += len(targets)
            if activation is not None:
                outputs = activation(outputs)
            for metric in metrics.values():
                metric.update_state(targets, outputs)
        loss = total / count + (0.0 if penalty is None else float(penalty(model)))
    return {"loss": loss} | {name: float(metric.result()) for name, metric in metrics.items()}


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    with torch.no_grad():
        outputs = torch.cat([model(batch) for batch in inputs.split(batch_size)])
    return (outputs if activation is None else activation(outputs)).numpy()
