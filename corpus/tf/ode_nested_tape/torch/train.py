"""A network solves u'' = -u, u(0) = 0, u'(0) = 1 on [0, 4]: nested and persistent tapes."""

import numpy as np
import math
import os
import random
import torch
from torch import nn


def cosine_decay(
    initial_learning_rate, decay_steps, alpha=0.0, warmup_target=None, warmup_steps=0
):
    """keras CosineDecay: a linear warmup to the target, if given, then half a cosine."""

    def schedule(step):
        peak, start = initial_learning_rate, 0
        if warmup_target is not None:
            peak, start = warmup_target, warmup_steps
            if step < warmup_steps:
                climb = warmup_target - initial_learning_rate
                return initial_learning_rate + climb * step / warmup_steps
        part = min(step - start, decay_steps) / decay_steps
        return peak * ((1 - alpha) * (1 + math.cos(math.pi * part)) / 2 + alpha)

    return schedule


class Checkpoint:
    """Models, optimizers, schedulers and counters that are saved and restored together."""

    def __init__(self, **objects):
        self.save_counter = 0
        self.names = [*objects, "save_counter"]
        vars(self).update(objects)

    def write(self, path):
        state = {}
        for name in self.names:
            value = getattr(self, name)
            state[name] = value.state_dict() if hasattr(value, "state_dict") else value
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        torch.save(state, path)
        return path

    def save(self, prefix):
        self.save_counter += 1
        return self.write(f"{prefix}-{self.save_counter}")

    def restore(self, path):
        """Put the objects back as they were; without a file nothing happens."""
        state = torch.load(path, weights_only=False) if path else {}
        for name in [name for name in self.names if name in state]:
            value = getattr(self, name)
            if hasattr(value, "load_state_dict"):
                value.load_state_dict(state[name])
            elif isinstance(value, torch.Tensor):
                value.data.copy_(state[name])
            else:
                setattr(self, name, state[name])
        return self

    def expect_partial(self):
        return self

    def assert_consumed(self):
        return self


torch.manual_seed(4)
random.seed(4)
np.random.seed(4)
torch.manual_seed(4)
DTYPE = torch.float32


class Dense(nn.Module):
    def __init__(self, n_in, n_out, name=None):
        super().__init__()
        limit = np.sqrt(6.0 / (n_in + n_out))
        self.w = nn.Parameter(
            torch.empty(n_in, n_out, dtype=torch.float32).uniform_(-limit, limit)
        )
        self.b = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))

    def forward(self, x):
        return torch.matmul(x, self.w) + self.b


class Solution(nn.Module):
    """tanh network; the initial condition u(0) = 0 is built in."""

    def __init__(self, widths=(1, 24, 24, 1)):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                Dense(a, b, name=f"dense_{i}")
                for i, (a, b) in enumerate(zip(widths[:-1], widths[1:]))
            ]
        )

    def forward(self, t):
        h = t / 2.0 - 1.0
        for layer in self.layers[:-1]:
            h = torch.tanh(layer(h))
        return t * self.layers[-1](h)


net = Solution()
# the frequency is estimated as well, from a handful of measurements
log_omega = torch.tensor(0.3, dtype=torch.float32, requires_grad=True)
t_seen = torch.tensor([[0.5], [1.5], [2.5], [3.5]])
u_seen = torch.sin(t_seen)


def residual(t):
    t.requires_grad_()
    u = net(t)
    du = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
    d2u = torch.autograd.grad(du.sum(), t, create_graph=True)[0]
    omega = torch.exp(log_omega)
    return d2u + omega**2 * u, du


optimizer = torch.optim.Adam(net.parameters(), lr=1.0, eps=1e-7)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer, cosine_decay(initial_learning_rate=0.02, decay_steps=400, alpha=0.1)
)
omega_optimizer = torch.optim.SGD([log_omega], lr=0.05)


def step(t):
    r, _ = residual(t)
    _, slope = residual(torch.zeros(1, 1, dtype=torch.float32))
    physics = torch.mean(torch.square(r))
    start = torch.mean(torch.square(slope - 1.0))
    data = torch.mean(torch.square(net(t_seen) - u_seen))
    loss = physics + 5.0 * start + 10.0 * data
    optimizer.zero_grad()
    loss.backward(inputs=list(net.parameters()), retain_graph=True)
    omega_optimizer.zero_grad()
    physics.backward(inputs=[log_omega])
    optimizer.step()
    scheduler.step()
    omega_optimizer.step()
    return physics.detach(), start.detach(), data.detach()


def train(n_steps=400, n_points=32):
    for i in range(1, n_steps + 1):
        t = torch.empty(n_points, 1, dtype=torch.float32).uniform_(0.0, 4.0)
        physics, start, data = step(t)
        if i % 40 == 0:
            print(
                "step",
                i,
                "physics",
                physics,
                "start",
                start,
                "data",
                data,
                "omega",
                torch.exp(log_omega),
            )


train()
t = torch.reshape(torch.linspace(0.0, 4.0, 9), [-1, 1])
for a, b in zip(
    net(t).detach().cpu().numpy()[:, 0], np.sin(t.detach().cpu().numpy()[:, 0])
):
    print("%+.3f  (exact %+.3f)" % (a, b))
print("variables:", [name for name, v in net.named_parameters()])

checkpoint = Checkpoint(net=net, omega=log_omega)
path = checkpoint.write("./ode_ckpt")
before = net(t).detach().cpu().numpy()
for v in net.parameters():
    with torch.no_grad():
        v.copy_(torch.zeros_like(v))
checkpoint.restore(path)
print("restored:", np.allclose(before, net(t).detach().cpu().numpy()))
