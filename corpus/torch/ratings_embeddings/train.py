'''Matrix factorisation with biases, then a factorisation machine, on generated ratings.

SGD with per-group learning rates, a schedule per step, evaluation by RMSE.
'''
import math
import numpy as np
import torch as th
import torch.nn as nn
from torch.utils import data as thd

N_USERS, N_ITEMS, RANK = 120, 80, 4


def simulate(n, rng):
    p = rng.normal(0, .6, (N_USERS, RANK)); q = rng.normal(0, .6, (N_ITEMS, RANK))
    bu = rng.normal(0, .4, N_USERS); bi = rng.normal(0, .5, N_ITEMS)
    u = rng.integers(0, N_USERS, n)
    i = rng.integers(0, N_ITEMS, n)
    r = 3.5 + bu[u] + bi[i] + (p[u] * q[i]).sum(1) + rng.normal(0, .2, n)
    return u, i, np.clip(r, 1, 5).astype('float32')


class Ratings(thd.Dataset):
    def __init__(self, u, i, r):
        self.u, self.i, self.r = th.from_numpy(u), th.from_numpy(i), th.from_numpy(r)

    def __getitem__(self, k): return self.u[k], self.i[k], self.r[k]
    def __len__(self): return len(self.r)


class MF(nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.user, self.item = nn.Embedding(N_USERS, RANK), nn.Embedding(N_ITEMS, RANK)
        self.user_bias, self.item_bias = nn.Embedding(N_USERS, 1), nn.Embedding(N_ITEMS, 1)
        self.register_buffer('mean', th.tensor(mean))
        for e in (self.user, self.item): nn.init.normal_(e.weight, std=.1)
        for e in (self.user_bias, self.item_bias): nn.init.constant_(e.weight, 0.)

    def forward(self, u, i):
        dot = (self.user(u) * self.item(i)).sum(-1)
        return self.mean + dot + self.user_bias(u).squeeze(-1) + self.item_bias(i).squeeze(-1)


class FM(nn.Module):
    """user and item share one table; offsets tell them apart"""
    def __init__(self, field_dims, dim, mean):
        super().__init__()
        self.offsets = np.array((0, *np.cumsum(field_dims)[:-1]))
        self.embedding = nn.Embedding(sum(field_dims), dim)
        self.linear = nn.Embedding(sum(field_dims), 1)
        self.bias = nn.Parameter(th.zeros((1,)) + mean)
        nn.init.xavier_uniform_(self.embedding.weight.data)
        self.linear.weight.data.zero_()

    def forward(self, u, i):
        x = th.stack([u, i], dim=1)
        x = x + x.new_tensor(self.offsets).unsqueeze(0)
        e = self.embedding(x)
        pair = 0.5 * (e.sum(dim=1) ** 2 - (e ** 2).sum(dim=1)).sum(dim=1)
        return self.bias + self.linear(x).sum(dim=1).squeeze(1) + pair


def rmse(model, loader):
    model.eval()
    se, n = 0., 0
    with th.no_grad():
        for u, i, r in loader:
            se += (model(u, i) - r).square().sum().item(); n += len(r)
    return math.sqrt(se / n)


def run(name, model, groups, train, test, epochs=5):
    opt = th.optim.SGD(groups, lr=2., momentum=.5)
    sched = th.optim.lr_scheduler.LinearLR(opt, start_factor=1., end_factor=.2, total_iters=epochs * len(train))
    crit = nn.MSELoss(reduction='mean')
    for ep in range(1, epochs + 1):
        model.train()
        tot = 0.
        for u, i, r in train:
            opt.zero_grad()
            loss = crit(model(u, i), r)
            loss.backward()
            opt.step()
            sched.step()
            tot += loss.item()
        lr = opt.param_groups[0]['lr']
        print('%-3s %d  loss %.4f  rmse %.4f  lr %.3f' % (name, ep, tot / len(train), rmse(model, test), lr))


if __name__ == '__main__':
    th.manual_seed(0)
    u, i, r = simulate(6000, np.random.default_rng(0))
    train = thd.DataLoader(Ratings(u[:5000], i[:5000], r[:5000]), batch_size=100, shuffle=True)
    test = thd.DataLoader(Ratings(u[5000:], i[5000:], r[5000:]), batch_size=500)

    mean = float(r[:5000].mean())
    mf = MF(mean)
    run('mf', mf, [{'params': [mf.user.weight, mf.item.weight], 'lr': 4., 'weight_decay': 1e-5},
                   {'params': [mf.user_bias.weight, mf.item_bias.weight]}], train, test)
    fm = FM((N_USERS, N_ITEMS), RANK, mean)
    run('fm', fm, [{'params': fm.bias, 'lr': .01},
                   {'params': fm.embedding.parameters()},
                   {'params': fm.linear.parameters(), 'lr': 1.}], train, test)
