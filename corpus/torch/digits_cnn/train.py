import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class DigitNet(nn.Module):
    def __init__(self, width=16, kernel_size=3, dropout=0.25):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, kernel_size)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, kernel_size, padding=1)
        self.conv2_drop = nn.Dropout2d(dropout)
        self.fc1 = nn.Linear(2 * width * 3 * 3, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))                      # 8x8 -> 6x6
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))  # 6x6 -> 3x3
        x = x.view(x.size(0), -1)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, p=0.5, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def load_data(batch_size, test_batch_size, holdout=297):
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1)
    # same statistics for both halves, taken from the training images only
    mean, std = images[:-holdout].mean(), images[:-holdout].std()
    images = (images - mean) / std
    labels = torch.from_numpy(digits.target).long()

    train_set = TensorDataset(images[:-holdout], labels[:-holdout])
    test_set = TensorDataset(images[-holdout:], labels[-holdout:])
    return (DataLoader(train_set, batch_size=batch_size, shuffle=True),
            DataLoader(test_set, batch_size=test_batch_size, shuffle=False))


def train(args, model, device, loader, optimizer, epoch):
    model.train()
    seen = 0
    for i, (data, target) in enumerate(loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        seen += data.shape[0]
        if i % args.log_interval == 0:
            print('epoch {:2d}  {:5d}/{} images  ({:3.0f}%)  loss {:.6f}'.format(
                epoch, seen, len(loader.dataset), 100. * i / len(loader), loss.item()))


def test(model, device, loader):
    model.eval()
    total, correct = 0., 0
    with torch.no_grad():
        for data, target in loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            total += F.nll_loss(output, target, reduction='sum').item()
            guess = output.argmax(dim=1, keepdim=True)
            correct += guess.eq(target.view_as(guess)).sum().item()
    n = len(loader.dataset)
    print('          test: mean loss {:.4f}, {}/{} right ({:.1f}%)'.format(
        total / n, correct, n, 100. * correct / n))
    return total / n


def parse_args():
    p = argparse.ArgumentParser(description='Small CNN on the 8x8 digits of scikit-learn')
    p.add_argument('--batch-size', type=int, default=50)
    p.add_argument('--test-batch-size', type=int, default=128)
    p.add_argument('--epochs', type=int, default=4)
    p.add_argument('--lr', type=float, default=0.02)
    p.add_argument('--momentum', type=float, default=0.5)
    p.add_argument('--gamma', type=float, default=0.8, help='lr decay per epoch')
    p.add_argument('--no-cuda', action='store_true', help='stay on the cpu even if there is a gpu')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--log-interval', type=int, default=10)
    p.add_argument('--save', type=str, default='', metavar='PATH', help='where to put the weights')
    return p.parse_args()


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    use_cuda = torch.cuda.is_available() and not args.no_cuda
    device = torch.device('cuda' if use_cuda else 'cpu')

    train_loader, test_loader = load_data(args.batch_size, args.test_batch_size)
    model = DigitNet().to(device)
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=args.gamma)

    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)
        test(model, device, test_loader)
        scheduler.step()

    if args.save:
        torch.save(model.state_dict(), args.save)


if __name__ == '__main__':
    main()
