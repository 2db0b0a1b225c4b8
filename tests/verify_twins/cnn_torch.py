"""CNN with batch norm, dropout and a shuffled loader on scikit-learn's digits."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 2


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout2d(0.2)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.fc = nn.Linear(12 * 4 * 4, 10)

    def forward(self, x):
        x = self.drop(F.relu(self.norm(self.conv1(x))))
        x = F.relu(self.conv2(x))
        x = F.dropout(x.view(x.size(0), -1), 0.3, self.training)
        return self.fc(x)


def main():
    digits = load_digits()
    images = torch.tensor(digits.images[:400] / 16, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target[:400])
    train = TensorDataset(images[:300], labels[:300])
    test = TensorDataset(images[300:], labels[300:])
    train_loader = DataLoader(train, batch_size=32, shuffle=True)
    test_loader = DataLoader(test, batch_size=64)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(EPOCHS):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for x, y in test_loader:
                correct += (model(x).argmax(1) == y).sum().item()
        print(f"epoch {epoch} loss {loss.item():.6f} accuracy {correct / len(test):.4f}")


if __name__ == "__main__":
    main()
