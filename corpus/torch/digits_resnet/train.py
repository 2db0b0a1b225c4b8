'''Residual network on the 8x8 digits. Usage: python train.py [--epochs 4] [--depth 1] [--resume]'''
import os
import time
import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
import torch.backends.cudnn as cudnn
from torch.utils.data import TensorDataset, DataLoader
from torch.optim import lr_scheduler

from sklearn.datasets import load_digits

__all__ = ['ResNet', 'resnet']


def conv3x3(cin, cout, stride=1):
    "3x3 convolution with padding"
    return nn.Conv2d(cin, cout, kernel_size=3, stride=stride, padding=1, bias=False)


class ResidualUnit(nn.Module):
    def __init__(self, cin, cout, stride=1, downsample=None):
        super(ResidualUnit, self).__init__()
        self.conv1 = conv3x3(cin, cout, stride)
        self.bn1 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(cout, cout)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = downsample

    def forward(self, x):
        residual = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            residual = self.downsample(x)
        out += residual
        return self.relu(out)


class ResNet(nn.Module):
    widths = (12, 24, 48)

    def __init__(self, units, num_classes=10):
        super(ResNet, self).__init__()
        self.stem = nn.Sequential(conv3x3(1, 12), nn.BatchNorm2d(12), nn.ReLU(inplace=True))
        cin = 12
        for i, width in enumerate(self.widths):
            stage, cin = self._stage(cin, width, units, stride=1 if i == 0 else 2)
            setattr(self, 'stage%d' % (i + 1), stage)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(cin, num_classes)

        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode='fan_out', nonlinearity='relu')
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _stage(self, cin, cout, units, stride):
        downsample = None
        if stride != 1 or cin != cout:
            downsample = nn.Sequential(
                nn.Conv2d(cin, cout, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(cout),
            )
        layers = [ResidualUnit(cin, cout, stride, downsample)]
        for _ in range(1, units):
            layers.append(ResidualUnit(cout, cout))
        return nn.Sequential(*layers), cout

    def forward(self, x):
        x = self.stem(x)
        x = self.stage1(x)
        x = self.stage2(x)
        x = self.stage3(x)
        x = self.avgpool(x)
        x = x.view(x.size(0), -1)
        return self.fc(x)


class AverageMeter(object):
    """Keeps the running average of a number"""
    def __init__(self):
        self.sum, self.count = 0., 0

    def update(self, val, n=1):
        self.sum += val * n
        self.count += n

    @property
    def avg(self):
        return self.sum / max(self.count, 1)


def topk_accuracy(output, target, topk=(1,)):
    maxk = max(topk)
    _, pred = output.topk(maxk, 1, True, True)
    pred = pred.t()
    correct = pred.eq(target.view(1, -1).expand_as(pred))
    res = []
    for k in topk:
        correct_k = correct[:k].reshape(-1).float().sum(0)
        res.append(correct_k.mul_(100.0 / target.size(0)).item())
    return res


parser = argparse.ArgumentParser(description='residual net, digits')
parser.add_argument('--lr', default=0.05, type=float, help='learning rate')
parser.add_argument('--epochs', default=4, type=int)
parser.add_argument('--depth', default=1, type=int, help='residual units per stage')
parser.add_argument('--seed', default=0, type=int)
parser.add_argument('--resume', '-r', action='store_true', help='go on from the last checkpoint')
args = parser.parse_args()

torch.manual_seed(args.seed)
use_gpu = torch.cuda.is_available()
best_prec1 = 0.

# ---- data
digits = load_digits()
imgs = torch.Tensor(digits.images[:, np.newaxis]) / 16
labels = torch.LongTensor(digits.target)
trainset, testset = TensorDataset(imgs[:1440], labels[:1440]), TensorDataset(imgs[1440:], labels[1440:])
trainloader = DataLoader(trainset, batch_size=48, shuffle=True, num_workers=0)
testloader = DataLoader(testset, batch_size=100, shuffle=False, num_workers=0)

# ---- model
model = ResNet(args.depth)
if use_gpu:
    model = model.cuda()
    cudnn.benchmark = True
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)

start_epoch = 0
if args.resume:
    assert os.path.isfile('checkpoint/last.pth'), 'nothing to resume from'
    state = torch.load('checkpoint/last.pth')
    model.load_state_dict(state['net'])
    optimizer.load_state_dict(state['optimizer'])
    best_prec1, start_epoch = state['best'], state['epoch'] + 1
    print('resumed at epoch %d' % start_epoch)


def train(epoch):
    model.train()
    losses, top1 = AverageMeter(), AverageMeter()
    end = time.time()
    for inputs, targets in trainloader:
        if use_gpu:
            inputs, targets = inputs.cuda(), targets.cuda()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        prec1, = topk_accuracy(outputs.data, targets)
        losses.update(loss.item(), inputs.size(0))
        top1.update(prec1, inputs.size(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print('[%d] train loss %.4f  prec@1 %.2f  (%.1fs)' % (epoch, losses.avg, top1.avg, time.time() - end))


def test(epoch):
    global best_prec1
    model.eval()
    losses, top1, top3 = AverageMeter(), AverageMeter(), AverageMeter()
    with torch.no_grad():
        for inputs, targets in testloader:
            if use_gpu:
                inputs, targets = inputs.cuda(), targets.cuda()
            outputs = model(inputs)
            losses.update(criterion(outputs, targets).item(), inputs.size(0))
            prec1, prec3 = topk_accuracy(outputs, targets, topk=(1, 3))
            top1.update(prec1, inputs.size(0))
            top3.update(prec3, inputs.size(0))
    print('[%d] test  loss %.4f  prec@1 %.2f  prec@3 %.2f' % (epoch, losses.avg, top1.avg, top3.avg))
    is_best = top1.avg > best_prec1
    best_prec1 = max(top1.avg, best_prec1)
    if not os.path.isdir('checkpoint'):
        os.mkdir('checkpoint')
    state = {'net': model.state_dict(), 'best': best_prec1, 'epoch': epoch,
             'optimizer': optimizer.state_dict()}
    torch.save(state, 'checkpoint/last.pth')
    if is_best:
        torch.save(state, 'checkpoint/best.pth')


for epoch in range(start_epoch, args.epochs):
    train(epoch)
    test(epoch)
    scheduler.step()
print('best prec@1: %.2f' % best_prec1)
