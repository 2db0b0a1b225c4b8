from __future__ import print_function, division

import copy

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(17)
use_gpu = torch.cuda.is_available()

## Data: every third bottle is for validation

wine = load_wine()
feats = (wine.data - wine.data.mean(0)) / wine.data.std(0)
held_out = np.arange(len(feats)) % 3 == 0


def to_set(rows):
    return TensorDataset(torch.Tensor(feats[rows]), torch.from_numpy(wine.target[rows]).type(torch.LongTensor))


sets = {'train': to_set(~held_out), 'val': to_set(held_out)}
loaders = {
    phase: DataLoader(sets[phase], batch_size=8, shuffle=phase == 'train')
    for phase in ('train', 'val')
}

## Model

net = nn.Sequential(
    nn.Linear(13, 20),
    nn.BatchNorm1d(20),
    nn.Tanh(),
    nn.Dropout(p=0.3),
    nn.Linear(20, 3),
)
for layer in net:
    if type(layer) == nn.Linear:
        nn.init.orthogonal_(layer.weight, gain=nn.init.calculate_gain('tanh'))
        layer.bias.data.fill_(0.01)
if use_gpu:
    net = net.cuda()

class_weight = torch.FloatTensor([1.0, 0.9, 1.3])
loss_func = nn.CrossEntropyLoss(weight=class_weight.cuda() if use_gpu else class_weight)
optimizer = SGD(net.parameters(), lr=0.02, momentum=0.9)
scheduler = StepLR(optimizer, step_size=2, gamma=0.5)

## Training, one loop for both phases


def fit(net, loss_func, optimizer, scheduler, n_epochs):
    best = {'acc': 0., 'epoch': -1, 'weights': None}
    log = {'train': [], 'val': []}
    for epoch in range(n_epochs):
        line = 'epoch %d/%d' % (epoch + 1, n_epochs)
        for phase in ['train', 'val']:
            training = phase == 'train'
            if training:
                net.train()
            else:
                net.eval()

            loss_sum, hits = 0.0, 0
            for x, y in loaders[phase]:
                if use_gpu:
                    x, y = x.cuda(), y.cuda()
                optimizer.zero_grad()
                # gradients only when training
                with torch.set_grad_enabled(training):
                    scores = net(x)
                    loss = loss_func(scores, y)
                    _, guesses = torch.max(scores, 1)
                    if training:
                        loss.backward()
                        optimizer.step()
                loss_sum += loss.item() * x.size(0)
                hits += torch.sum(guesses == y.data)

            mean_loss = loss_sum / len(sets[phase])
            acc = hits.double().item() / len(sets[phase])
            log[phase].append(mean_loss)
            line += '   %s loss %.4f acc %.4f' % (phase, mean_loss, acc)

            if training:
                scheduler.step()
            elif acc > best['acc']:
                best = {'acc': acc, 'epoch': epoch, 'weights': copy.deepcopy(net.state_dict())}
        print(line)

    print('best validation accuracy %.4f in epoch %d' % (best['acc'], best['epoch'] + 1))
    net.load_state_dict(best['weights'])
    return net, log


net, log = fit(net, loss_func, optimizer, scheduler, n_epochs=6)

## A look at some bottles

net.eval()
with torch.no_grad():
    x, y = next(iter(loaders['val']))
    probs = nn.Softmax(dim=1)(net(x.cuda() if use_gpu else x))
for p, label in zip(probs.cpu().numpy(), y.numpy()):
    print(wine.target_names[label], np.round(p, 2), '' if p.argmax() == label else '<- wrong')
