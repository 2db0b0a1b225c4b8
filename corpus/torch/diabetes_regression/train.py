"""Linear-ish regression on the diabetes data.

Two models are compared, an affine one and a small net, both with weight decay and a
stepped learning rate.
"""
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader, TensorDataset, random_split

BATCH_SIZE = 32
N_EPOCHS = 8


def prepare():
    df = load_diabetes(as_frame=True).frame
    df["bmi_bp"] = df["bmi"] * df["bp"]          # one interaction term
    features = df.drop(columns="target")
    features = (features - features.mean()) / features.std()
    target = df["target"].values.astype("float32")
    target = (target - target.mean()) / target.std()

    x = torch.tensor(features.values, dtype=torch.float32)
    y = torch.from_numpy(target).unsqueeze(-1)
    dataset = TensorDataset(x, y)
    n_val = int(len(dataset) * 0.2)
    generator = torch.Generator().manual_seed(42)
    train_ds, val_ds = random_split(dataset, [len(dataset) - n_val, n_val], generator=generator)
    return (
        DataLoader(train_ds, BATCH_SIZE, shuffle=True),
        DataLoader(val_ds, BATCH_SIZE * 2),
        features.shape[1],
    )


class LinearRegression(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.linear = nn.Linear(n_features, 1)

    def forward(self, xb):
        return self.linear(xb)

    def training_step(self, batch):
        inputs, targets = batch
        out = self(inputs)
        return nn.functional.smooth_l1_loss(out, targets, beta=0.5)

    def validation_step(self, batch):
        inputs, targets = batch
        out = self(inputs)
        loss = nn.functional.mse_loss(out, targets)
        return {"val_loss": loss.detach(), "pred": out}

    def validation_epoch_end(self, outputs):
        batch_losses = [x["val_loss"] for x in outputs]
        epoch_loss = torch.stack(batch_losses).mean()
        return {"val_loss": epoch_loss.item()}

    def epoch_end(self, epoch, result, lr):
        print("Epoch [{}], lr: {:.4f}, train_loss: {:.4f}, val_loss: {:.4f}".format(
            epoch, lr, result["train_loss"], result["val_loss"]))


class SmallNet(LinearRegression):
    """The same steps with another body."""

    def __init__(self, n_features, width=24):
        super().__init__(n_features)
        self.linear = nn.Sequential(
            nn.Linear(n_features, width),
            nn.SiLU(),
            nn.Linear(width, width // 2),
            nn.Softplus(),
            nn.Linear(width // 2, 1),
        )


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    outputs = [model.validation_step(batch) for batch in loader]
    return model.validation_epoch_end(outputs)


def fit(epochs, lr, model, train_loader, val_loader, opt_func=torch.optim.SGD, **opt_kwargs):
    history = []
    optimizer = opt_func(model.parameters(), lr, **opt_kwargs)
    scheduler = MultiStepLR(optimizer, milestones=[4, 6], gamma=0.3)
    for epoch in range(epochs):
        model.train()
        train_losses = []
        for batch in train_loader:
            loss = model.training_step(batch)
            train_losses.append(loss.detach())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        result = evaluate(model, val_loader)
        result["train_loss"] = torch.stack(train_losses).mean().item()
        model.epoch_end(epoch, result, scheduler.get_last_lr()[0])
        history.append(result)
        scheduler.step()
    return history


if __name__ == "__main__":
    torch.manual_seed(0)
    train_loader, val_loader, n_features = prepare()

    linear = LinearRegression(n_features)
    print("before:", evaluate(linear, val_loader))
    h1 = fit(N_EPOCHS, 1e-2, linear, train_loader, val_loader, momentum=0.9, weight_decay=1e-3)

    net = SmallNet(n_features)
    h2 = fit(N_EPOCHS, 5e-3, net, train_loader, val_loader, torch.optim.Adam, weight_decay=1e-4)

    table = pd.DataFrame({"linear": [h["val_loss"] for h in h1], "net": [h["val_loss"] for h in h2]})
    print(table.round(4).to_string())

    net.eval()
    preds, trues = [], []
    for xb, yb in val_loader:
        preds.append(net(xb).detach().numpy())
        trues.append(yb.numpy())
    print("R^2 of the net: %.3f" % r2_score(np.concatenate(trues), np.concatenate(preds)))
    for name, param in linear.named_parameters():
        print(name, tuple(param.shape), param.data.abs().max().item())
