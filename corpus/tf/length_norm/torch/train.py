import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_digits


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


class KerasSGD(KerasOptimizer):
    """keras SGD: the velocity contains the learning rate of each step."""

    def __init__(self, params, lr=0.01, momentum=0.0, nesterov=False, **kwargs):
        super().__init__(params, lr, momentum=momentum, nesterov=nesterov, **kwargs)

    def update(self, p, g, state, group):
        change = -group["lr"] * g
        if group["momentum"]:
            velocity = self.slot(state, "momentum", p)
            velocity.mul_(group["momentum"]).add_(change)
            change = (
                group["momentum"] * velocity + change if group["nesterov"] else velocity
            )
        p.add_(change)


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


class KerasBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm of any rank whose running variance takes the biased batch variance, as Keras'."""

    def __init__(self, num_features, eps=1e-3, momentum=0.01, center=True, scale=True):
        super().__init__(num_features, eps, momentum)
        if not center:
            self.bias = None
        if not scale:
            self.weight = None

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            axes = [axis for axis in range(x.dim()) if axis != 1]
            self.running_mean.lerp_(x.mean(axes), self.momentum)
            self.running_var.lerp_(x.var(axes, unbiased=False), self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


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


def sparse_cross_entropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of logits."""
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    ignored = -100 if ignore_class is None else ignore_class
    scores = y_pred.movedim(-1, 1) if y_pred.dim() > 1 else y_pred
    return F.cross_entropy(scores, y_true, ignore_index=ignored, reduction="none")


class MeanLoss:
    """A loss called as those of keras.losses: targets first, the mean over all examples."""

    def __init__(self, function, reduction="mean", **options):
        self.function = function
        self.reduction = reduction
        self.options = options

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.function(y_true, y_pred, **self.options)
        if sample_weight is not None:
            weights = torch.as_tensor(
                sample_weight, dtype=losses.dtype, device=losses.device
            )
            if weights.dim() == losses.dim() + 1:
                weights = weights.squeeze(-1)
            losses = losses * weights.reshape(
                weights.shape + (1,) * (losses.dim() - weights.dim())
            )
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        ignored = self.options.get("ignore_class")
        if ignored is None:
            return losses.mean()
        kept = (torch.as_tensor(y_true) != ignored).sum()  # the mean is over these only
        return losses.sum() / kept.clamp_min(1)


random.seed(10)
np.random.seed(10)
torch.manual_seed(10)


class L2Normalize(nn.Module):
    """every image is divided by its own norm, over height, width and channels"""

    def __init__(self):
        super().__init__()

    def forward(self, x):
        return x / torch.sqrt(torch.sum(torch.square(x), dim=(1, 2, 3), keepdim=True))


class ChannelShuffle(nn.Module):
    def __init__(self, groups=2):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        h, w, c = x.shape[1:]
        x = torch.reshape(x, [-1, h, w, self.groups, c // self.groups])
        x = x.permute(0, 1, 2, 4, 3)
        return torch.reshape(x, [-1, h, w, c])


class ArcHead(nn.Module):
    """cosine between the features and a direction per class"""

    def __init__(self, in_features, n_classes, scale=12.0):
        super().__init__()
        self.n_classes, self.scale = n_classes, scale
        self.directions = nn.Parameter(
            nn.init.orthogonal_(torch.empty(in_features, self.n_classes))
        )

    def forward(self, x):
        x = F.normalize(x, dim=-1, eps=1e-6)
        w = F.normalize(self.directions, dim=0, eps=1e-6)
        return self.scale * (x @ w)


# a user's own ops, compiled by themselves
def margin_cross_entropy(labels, cosines, margin=0.5):
    target = F.one_hot(labels.long(), cosines.shape[1]).float()
    shifted = torch.where(target > 0, cosines - margin, cosines)
    log_z = torch.logsumexp(shifted, dim=1)
    return torch.mean(log_z - torch.sum(target * shifted, dim=1))


def total_variation(maps):
    dy = maps[:, 1:, :, :] - maps[:, :-1, :, :]
    dx = maps[:, :, 1:, :] - maps[:, :, :-1, :]
    return torch.mean(torch.abs(dy)) + torch.mean(torch.abs(dx))


digits = load_digits()
imgs = (digits.images + 0.5).astype(np.float32)[..., None]
y = digits.target.astype(np.int32)
train_ds = DataLoader(
    TensorDataset(
        torch.as_tensor(imgs[:1500]), torch.as_tensor(y[:1500], dtype=torch.int64)
    ),
    batch_size=50,
    shuffle=True,
    collate_fn=lambda batch: (
        lambda a, b: (a + torch.empty(a.shape).uniform_(0.0, 0.5), b)
    )(*torch.utils.data.default_collate(batch)),
)
test_ds = DataLoader(
    TensorDataset(
        torch.as_tensor(imgs[1500:]), torch.as_tensor(y[1500:], dtype=torch.int64)
    ),
    batch_size=99,
)

body = nn.Sequential(
    L2Normalize(),
    Permute(0, 3, 1, 2),
    nn.Conv2d(1, 16, 3, bias=False),
    KerasBatchNorm(16, momentum=0.2, scale=False),
    nn.ReLU(),
    nn.Conv2d(16, 16, 3, padding="same", groups=16),
    Permute(0, 2, 3, 1),
    ChannelShuffle(),
    nn.ReLU6(),
)
head = nn.Sequential(
    Permute(0, 3, 1, 2),
    nn.MaxPool2d(2),
    Permute(0, 2, 3, 1),
    nn.Flatten(),
    nn.Linear(144, 24),
    ArcHead(24, 10),
)

opt = KerasSGD(
    [*body.parameters(), *head.parameters()],
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-4,
)
acc = MeanMetric(sparse_categorical_accuracy)
ce = MeanLoss(sparse_cross_entropy, reduction="sum")

for epoch in range(4):
    acc.reset_state()
    total, n = 0.0, 0
    body.train()
    for x, t in train_ds:
        maps = body(x)
        out = head(maps)
        loss = margin_cross_entropy(t, out) + 0.01 * total_variation(maps)
        opt.zero_grad()
        loss.backward()
        opt.step()
        acc.update_state(t, out)
        total += loss.item()
        n += 1
    test_loss, hits = 0.0, 0
    body.eval()
    with torch.no_grad():
        for x, t in test_ds:
            out = head(body(x))
            test_loss += ce(t, out).item()
            hits += int(torch.sum((torch.argmax(out, dim=1) == t).int()))
    print(
        "epoch %d  loss %.4f  acc %.4f  test loss %.4f  test acc %.4f"
        % (epoch, total / n, acc.result(), test_loss / 297, hits / 297)
    )
