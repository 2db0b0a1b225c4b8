"""Layers from scratch: every module below is built from nn.Parameter and tensor operations."""
import math

import torch
from torch import nn
from torch.nn import init
from torch.nn.parameter import Parameter
from sklearn.datasets import load_breast_cancer


class Gated(nn.Module):
    """tanh(x) * sigmoid(x)"""

    def forward(self, x):
        return torch.tanh(x) * torch.sigmoid(x)


class Mish(nn.Module):
    def __init__(self, beta=1.0, learn=False):
        super().__init__()
        if learn:
            self.beta = Parameter(torch.tensor(float(beta)))
        else:
            self.register_buffer("beta", torch.tensor(float(beta)))

    def forward(self, x):
        return x * torch.tanh(nn.functional.softplus(self.beta * x))


class MyLinear(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(torch.empty(out_features, in_features))
        if bias:
            self.bias = Parameter(torch.empty(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        y = x.matmul(self.weight.t())
        if self.bias is not None:
            y = y + self.bias
        return y

    def extra_repr(self):
        return f"{self.in_features} -> {self.out_features}, bias={self.bias is not None}"


class MyLayerNorm(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.a_2 = Parameter(torch.ones(features))
        self.b_2 = Parameter(torch.zeros(features))
        self.eps = eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        std = x.std(-1, keepdim=True)      # unbiased, as in the paper's code
        return self.a_2 * (x - mean) / (std + self.eps) + self.b_2


class EMACenter(nn.Module):
    """Subtracts a running mean, which is a buffer and not a parameter."""

    def __init__(self, features, rate=0.05):
        super().__init__()
        self.rate = rate
        self.register_buffer("running", torch.zeros(features))
        self.register_buffer("updates", torch.tensor(0, dtype=torch.long))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.running.mul_(1 - self.rate).add_(self.rate * x.mean(dim=0))
                self.updates += 1
        return x - self.running


class Bilinear2(nn.Module):
    """Low-rank second order interactions."""

    def __init__(self, features, rank):
        super().__init__()
        self.v = Parameter(torch.randn(features, rank) * 0.1)

    def forward(self, x):
        square_of_sum = torch.mm(x, self.v).pow(2)
        sum_of_square = torch.mm(x.pow(2), self.v.pow(2))
        return 0.5 * (square_of_sum - sum_of_square)


class Net(nn.Module):
    def __init__(self, n_in, hidden=24):
        super().__init__()
        self.center = EMACenter(n_in)
        self.cross = Bilinear2(n_in, 6)
        self.l1 = MyLinear(n_in + 6, hidden)
        self.act1 = Gated()
        self.norm = MyLayerNorm(hidden)
        self.l2 = MyLinear(hidden, hidden, bias=False)
        self.act2 = Mish(learn=True)
        self.l3 = MyLinear(hidden, 2)
        self.scale = Parameter(torch.zeros(1))

    def forward(self, x):
        x = self.center(x)
        x = torch.cat([x, self.cross(x)], dim=-1)
        x = self.norm(self.act1(self.l1(x)))
        x = x + self.act2(self.l2(x))
        return self.l3(x) * torch.exp(self.scale)


torch.manual_seed(8)
raw = load_breast_cancer()
data = torch.tensor(raw.data, dtype=torch.float32)
target = torch.tensor(raw.target)
data = (data - data[:400].mean(0)) / data[:400].std(0)

net = Net(data.shape[1])
print(net)
opt = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9, dampening=0.1)
log_softmax = nn.LogSoftmax(dim=1)

for epoch in range(6):
    net.train()
    shuffled = torch.randperm(400)
    losses = []
    for start in range(0, 400, 40):
        rows = shuffled[start:start + 40]
        logp = log_softmax(net(data[rows]))
        # cross entropy by hand
        loss = -logp.gather(1, target[rows].unsqueeze(1)).squeeze(1).mean()
        l1 = sum(p.abs().sum() for n, p in net.named_parameters() if "weight" in n)
        loss = loss + 1e-4 * l1
        net.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        accuracy = (net(data[400:]).argmax(1) == target[400:]).double().mean().item()
    print("epoch %d  loss %.4f -> %.4f  test accuracy %.3f" % (epoch, losses[0], losses[-1], accuracy))

print("updates of the running mean:", net.center.updates.item())
print("learned beta: %.3f, scale: %.3f" % (net.act2.beta.item(), net.scale.item()))
