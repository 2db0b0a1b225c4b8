"""
Transfer learning, in two acts, all on the digits 0-9:

  1. pre-train a backbone on the digits 0..5
  2. throw its head away, freeze the backbone and learn the digits 6..9 from few examples,
     then unfreeze the last block and fine-tune with a smaller learning rate
"""
from collections import OrderedDict

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.utils.data import DataLoader, Subset, TensorDataset

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1 = nn.Sequential(OrderedDict([
            ("conv", nn.Conv2d(1, 16, 3, padding=1)),
            ("norm", nn.GroupNorm(4, 16)),
            ("act", nn.ReLU()),
            ("pool", nn.AvgPool2d(2)),
        ]))
        self.block2 = nn.Sequential(OrderedDict([
            ("conv", nn.Conv2d(16, 32, 3, padding="same")),
            ("norm", nn.GroupNorm(8, 32)),
            ("act", nn.ReLU()),
            ("pool", nn.AvgPool2d(2)),
        ]))
        self.num_features = 32 * 2 * 2

    def forward(self, x):
        x = self.block2(self.block1(x))
        return x.flatten(1)


class Classifier(nn.Module):
    def __init__(self, backbone, n_classes):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.num_features, n_classes)

    def forward(self, x):
        return self.fc(self.backbone(x))


def set_parameter_requires_grad(module, flag):
    for param in module.parameters():
        param.requires_grad = flag


def train_model(model, loaders, criterion, optimizer, num_epochs):
    for epoch in range(num_epochs):
        model.train()
        running_loss, running_corrects = 0.0, 0
        for inputs, labels in loaders["train"]:
            inputs = inputs.to(DEVICE)
            labels = labels.to(DEVICE)
            optimizer.zero_grad()
            outputs = model(inputs)
            _, preds = torch.max(outputs, 1)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * inputs.size(0)
            running_corrects += torch.sum(preds == labels.data)
        n = len(loaders["train"].dataset)
        print("  epoch {} loss: {:.4f} acc: {:.4f}".format(
            epoch, running_loss / n, running_corrects.double() / n))
    model.eval()
    hits = 0
    with torch.no_grad():
        for inputs, labels in loaders["val"]:
            hits += (model(inputs.to(DEVICE)).argmax(1).cpu() == labels).sum().item()
    print("  validation acc: {:.4f}".format(hits / len(loaders["val"].dataset)))
    return model


def subset_loaders(dataset, targets, classes, n_train, batch_size):
    idx = np.flatnonzero(np.isin(targets, classes))
    train, val = Subset(dataset, idx[:n_train]), Subset(dataset, idx[n_train:])
    return {
        "train": DataLoader(train, batch_size=batch_size, shuffle=True),
        "val": DataLoader(val, batch_size=128),
    }


def main():
    torch.manual_seed(5)
    digits = load_digits()
    x = torch.from_numpy(digits.images).float()[:, None] / 16.0
    y = torch.from_numpy(digits.target)
    full = TensorDataset(x, torch.where(y < 6, y, y - 6))

    criterion = nn.CrossEntropyLoss()

    print("pre-training on 0..5")
    loaders = subset_loaders(full, digits.target, range(6), 800, 40)
    source = Classifier(Backbone(), 6).to(DEVICE)
    train_model(source, loaders, criterion, optim.Adam(source.parameters(), lr=2e-3), 2)
    torch.save(source.backbone.state_dict(), "backbone.pt")

    print("new head on a frozen backbone, 6..9")
    loaders = subset_loaders(full, digits.target, [6, 7, 8, 9], 200, 20)
    backbone = Backbone()
    backbone.load_state_dict(torch.load("backbone.pt", map_location=DEVICE))
    set_parameter_requires_grad(backbone, False)
    model = Classifier(backbone, 4).to(DEVICE)
    params_to_update = [p for p in model.parameters() if p.requires_grad]
    print("  params to learn:", [n for n, p in model.named_parameters() if p.requires_grad])
    optimizer = optim.SGD(params_to_update, lr=0.05, momentum=0.9)
    train_model(model, loaders, criterion, optimizer, 3)

    print("fine-tuning the last block")
    set_parameter_requires_grad(model.backbone.block2, True)
    optimizer = optim.SGD([
        {"params": model.backbone.block2.parameters(), "lr": 1e-3},
        {"params": model.fc.parameters()},
    ], lr=1e-2, momentum=0.9, weight_decay=1e-4)
    train_model(model, loaders, criterion, optimizer, 3)


if __name__ == "__main__":
    main()
