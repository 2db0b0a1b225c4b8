import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_moons
from torch.utils.data import TensorDataset, DataLoader

torch.manual_seed(0)

# two half moons, label 0 or 1
X, y = make_moons(n_samples=800, noise=0.2, random_state=0)
X = torch.tensor(X, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32).view(-1, 1)

dataset = TensorDataset(X[:640], y[:640])
dataloader = DataLoader(dataset, batch_size=32, shuffle=True)
X_val, y_val = X[640:], y[640:]

model = nn.Sequential(
    nn.Linear(2, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 1)
)

loss_fn = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)


def accuracy(logits, labels):
    probs = torch.sigmoid(logits)
    return ((probs >= 0.5).float() == labels).float().mean().item()


n_epochs = 10
for epoch in range(n_epochs):
    epoch_loss, n_batches = 0.0, 0
    for x_batch, y_batch in dataloader:
        y_pred = model(x_batch)
        loss = loss_fn(y_pred, y_batch)

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        epoch_loss += loss.item()
        n_batches += 1

    # validation; the model has no dropout and no batch norm, so no eval() here
    with torch.no_grad():
        val_pred = model(X_val)
        val_loss = loss_fn(val_pred, y_val)
    print(f"Epoch {epoch + 1}/{n_epochs}: loss = {epoch_loss / n_batches:.4f}, "
          f"val_loss = {val_loss.item():.4f}, val_acc = {accuracy(val_pred, y_val):.3f}")

# the decision on a coarse grid
xx, yy = np.meshgrid(np.linspace(-1.5, 2.5, 24), np.linspace(1.5, -1, 9))
grid = torch.from_numpy(np.c_[xx.ravel(), yy.ravel()]).float()
with torch.no_grad():
    zz = (model(grid) > 0).numpy().reshape(xx.shape)
for row in zz:
    print("".join("#" if v else "." for v in row))

torch.save(model.state_dict(), "moons.pth")
print("saved to moons.pth")
