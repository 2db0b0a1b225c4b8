"""Parameters without a module, LBFGS-free and plain: a line and a small net written by hand."""

import torch

x = torch.linspace(-1, 1, 40).unsqueeze(1)
y = 3 * x - 0.5 + 0.1 * torch.randn(40, 1)
w1 = torch.empty(1, 6).uniform_(-1, 1).requires_grad_()
b1 = torch.zeros(6, requires_grad=True)
w2 = torch.nn.Parameter(torch.randn(6, 1) * 0.3)
optimizer = torch.optim.SGD([w1, b1, w2], lr=0.1, momentum=0.5)
for _ in range(30):
    prediction = torch.tanh(x @ w1 + b1) @ w2
    loss = ((prediction - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("final", round(loss.item(), 6))
