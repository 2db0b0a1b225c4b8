"""Optimizers that update as those of ``keras.optimizers`` do, as PyTorch optimizers."""

import torch
from torch import nn


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
        groups = [(g, p) for g in self.param_groups for p in g["params"] if p.grad is not None]
        scale = None
        if self.global_clipnorm is not None:
            norm = torch.stack([p.grad.square().sum() for _, p in groups]).sum().sqrt()
            scale = self.global_clipnorm * (1 / norm).clamp(max=1 / self.global_clipnorm)
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
            change = group["momentum"] * velocity + change if group["nesterov"] else velocity
        p.add_(change)


def count_step(optimizer):
    """Keras counts a step more at an epoch's end where it does not know a pipeline's length."""
    for group in optimizer.param_groups:
        if "iterations" in group:
            group["iterations"] += 1


def squared_gradient(p, g):
    """g * g, or what a KerasEmbedding recorded for its weight if all of g comes from there."""
    recorded, p.recorded = getattr(p, "recorded", None), None
    if recorded is None:
        return g * g
    rows, squares = recorded
    return squares if torch.allclose(rows, g, atol=1e-6 * float(g.abs().max())) else g * g


class KerasEmbedding(nn.Embedding):
    """Embedding for Keras' adaptive optimizers, which square a row's gradients one by one."""

    def forward(self, ids):
        found = super().forward(ids)

        def record(gradient):
            gradient = gradient.detach().flatten(0, -2)
            recorded = getattr(self.weight, "recorded", None) or [torch.zeros_like(self.weight)] * 2
            self.weight.recorded = [
                total.index_add(0, ids.flatten(), part)
                for total, part in zip(recorded, (gradient, gradient**2))
            ]

        if found.requires_grad:
            found.register_hook(record)
        return found


class KerasAdam(KerasOptimizer):
    """keras Adam and AdamW: epsilon beside the uncorrected root, weight decay decoupled."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, amsgrad=False, **kwargs):
        super().__init__(params, lr, betas=betas, eps=eps, amsgrad=amsgrad, **kwargs)

    def update(self, p, g, state, group):
        (beta_1, beta_2), t = group["betas"], group["iterations"]
        m, v = self.slot(state, "momentum", p), self.slot(state, "velocity", p)
        m.lerp_(g, 1 - beta_1)
        v.lerp_(squared_gradient(p, g), 1 - beta_2)
        if group["amsgrad"]:
            v_max = self.slot(state, "velocity_hat", p)
            v = torch.maximum(v_max, v, out=v_max)
        step_size = group["lr"] * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)
        p.sub_(step_size * m / (v.sqrt() + group["eps"]))


class KerasRMSprop(KerasOptimizer):
    """keras RMSprop: epsilon under the root, the learning rate inside the momentum."""

    def __init__(self, params, lr=1e-3, rho=0.9, momentum=0.0, eps=1e-7, centered=False, **kwargs):
        options = {"rho": rho, "momentum": momentum, "eps": eps, "centered": centered}
        super().__init__(params, lr, **options, **kwargs)

    def update(self, p, g, state, group):
        v = self.slot(state, "velocity", p)
        v.mul_(group["rho"]).add_(squared_gradient(p, g), alpha=1 - group["rho"])
        variance = v
        if group["centered"]:
            mean = self.slot(state, "average_gradient", p)
            mean.mul_(group["rho"]).add_(g, alpha=1 - group["rho"])
            variance = v - mean.square()
        change = group["lr"] * g / (variance + group["eps"]).sqrt()
        if group["momentum"]:
            momentum = self.slot(state, "momentum", p)
            change = momentum.mul_(group["momentum"]).add_(change)
        p.sub_(change)


class KerasAdagrad(KerasOptimizer):
    """keras Adagrad: the accumulator starts at 0.1, epsilon stands under the root."""

    def __init__(self, params, lr=1e-3, initial_accumulator_value=0.1, eps=1e-7, **kwargs):
        self.start = initial_accumulator_value
        super().__init__(params, lr, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        total = self.slot(state, "accumulator", p, self.start)
        total.add_(squared_gradient(p, g))
        p.sub_(group["lr"] * g / (total + group["eps"]).sqrt())


class KerasAdadelta(KerasOptimizer):
    """keras Adadelta, weight decay decoupled."""

    def __init__(self, params, lr=1e-3, rho=0.95, eps=1e-7, **kwargs):
        super().__init__(params, lr, rho=rho, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        rho, eps = group["rho"], group["eps"]
        v, d = self.slot(state, "accumulated_grad", p), self.slot(state, "accumulated_delta", p)
        squares = squared_gradient(p, g)
        v.mul_(rho).add_(squares, alpha=1 - rho)
        change = (d + eps).sqrt() * g / (v + eps).sqrt()
        d.copy_(rho * d + (1 - rho) * (d + eps) / (v + eps) * squares)
        p.sub_(group["lr"] * change)


class KerasAdamax(KerasOptimizer):
    """keras Adamax: epsilon is added to the maximum."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, **kwargs):
        super().__init__(params, lr, betas=betas, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        beta_1, beta_2 = group["betas"]
        m, u = self.slot(state, "momentum", p), self.slot(state, "norm", p)
        m.lerp_(g, 1 - beta_1)
        torch.maximum(beta_2 * u, g.abs(), out=u)
        step_size = group["lr"] / (1 - beta_1 ** group["iterations"])
        p.sub_(step_size * m / (u + group["eps"]))


class KerasNadam(KerasOptimizer):
    """keras Nadam with its momentum schedule."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, **kwargs):
        super().__init__(params, lr, betas=betas, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        (beta_1, beta_2), t = group["betas"], group["iterations"]
        mu = beta_1 * (1 - 0.5 * 0.96**t)
        mu_next = beta_1 * (1 - 0.5 * 0.96 ** (t + 1))
        if group.get("counted") != t:  # once per step, not per parameter
            group["mu_product"] = group.get("mu_product", 1.0) * mu
            group["counted"] = t
        product = group["mu_product"]
        m, v = self.slot(state, "momentum", p), self.slot(state, "velocity", p)
        m.lerp_(g, 1 - beta_1)
        v.lerp_(squared_gradient(p, g), 1 - beta_2)
        ahead = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        p.sub_(group["lr"] * ahead / ((v / (1 - beta_2**t)).sqrt() + group["eps"]))


class KerasLion(KerasOptimizer):
    """keras Lion: the sign of an average of momentum and gradient."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), **kwargs):
        super().__init__(params, lr, betas=betas, **kwargs)

    def update(self, p, g, state, group):
        beta_1, beta_2 = group["betas"]
        m = self.slot(state, "momentum", p)
        p.sub_(group["lr"] * torch.sign(beta_1 * m + (1 - beta_1) * g))
        m.mul_(beta_2).add_(g, alpha=1 - beta_2)


class KerasFtrl(KerasOptimizer):
    """keras Ftrl with its L1 and L2 terms."""

    def __init__(
        self,
        params,
        lr=1e-3,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1=0.0,
        l2=0.0,
        l2_shrinkage=0.0,
        beta=0.0,
        **kwargs,
    ):
        self.start, self.power = initial_accumulator_value, -learning_rate_power
        super().__init__(params, lr, l1=l1, l2=l2, l2_shrinkage=l2_shrinkage, beta=beta, **kwargs)

    def update(self, p, g, state, group):
        lr, l1 = group["lr"], group["l1"]
        total = self.slot(state, "accumulator", p, self.start)
        linear = self.slot(state, "linear", p)
        new = total + squared_gradient(p, g)
        change = (new**self.power - total**self.power) / lr
        linear.add_(g + 2 * group["l2_shrinkage"] * p - change * p)
        quadratic = new**self.power / lr + 2 * (group["l2"] + group["beta"] / (2 * lr))
        p.copy_((linear.clamp(-l1, l1) - linear) / quadratic)
        total.copy_(new)
