'''
GAN on the 8x8 digits: convolutional, non-saturating loss on logits, generator with
transposed convolutions, two optimizers.
'''
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

torch.manual_seed(999)
cuda = torch.cuda.is_available()
Z_DIM, BS, EPOCHS = 16, 48, 4


class G(nn.Module):
    def __init__(self, z_dim, feats=24):
        super(G, self).__init__()
        self.project = nn.Linear(z_dim, feats * 2 * 2)
        self.bn0 = nn.BatchNorm2d(feats)
        self.up1 = nn.ConvTranspose2d(feats, feats, 4, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(feats, momentum=0.2)
        self.up2 = nn.ConvTranspose2d(feats, 1, 4, 2, 1)
        self.act = nn.ReLU()
        self.feats = feats

    def forward(self, z):
        h = self.project(z).view(-1, self.feats, 2, 2)
        h = self.act(self.bn0(h))
        h = self.act(self.bn1(self.up1(h)))
        return torch.tanh(self.up2(h))


class D(nn.Module):
    def __init__(self, feats=16):
        super(D, self).__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, feats, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(feats, 2 * feats, 4, 2, 1), nn.LeakyReLU(0.2), nn.Dropout(0.2))
        self.score = nn.Linear(2 * feats * 2 * 2, 1)

    def forward(self, img):
        h = self.net(img)
        return self.score(h.view(h.size(0), -1))


def init_normal(m):
    classname = m.__class__.__name__
    if classname.find('Conv') != -1:
        m.weight.data.normal_(0.0, 0.05)
    elif classname.find('BatchNorm') != -1:
        m.weight.data.normal_(1.0, 0.02)
        m.bias.data.fill_(0)


# scaled to [-1, 1], the range of tanh
imgs = load_digits().images.astype(np.float32) / 8. - 1.
loader = DataLoader(torch.from_numpy(imgs[:, np.newaxis]), batch_size=BS, shuffle=True, drop_last=True)

gen, dis = G(Z_DIM), D()
gen.apply(init_normal)
dis.apply(init_normal)
bce = nn.BCEWithLogitsLoss()
if cuda:
    gen.cuda()
    dis.cuda()
    bce.cuda()

g_opt = optim.Adam(gen.parameters(), lr=1e-3, betas=(0.5, 0.999))
d_opt = optim.Adam(dis.parameters(), lr=5e-4, betas=(0.5, 0.999))


def sample_z(n):
    z = torch.randn(n, Z_DIM)
    return z.cuda() if cuda else z


def d_step(real):
    n = real.size(0)
    ones, zeros = torch.ones(n, 1), torch.zeros(n, 1)
    if cuda:
        ones, zeros = ones.cuda(), zeros.cuda()
    d_opt.zero_grad()
    loss_real = bce(dis(real), 0.9 * ones)      # smoothed on one side
    loss_real.backward()
    fake = gen(sample_z(n)).detach()            # nothing may flow into the generator here
    loss_fake = bce(dis(fake), zeros)
    loss_fake.backward()                        # gradients of the two halves add up
    d_opt.step()
    return (loss_real + loss_fake).item()


def g_step(n):
    g_opt.zero_grad()
    logits = dis(gen(sample_z(n)))
    loss = bce(logits, torch.ones_like(logits))
    loss.backward()
    g_opt.step()
    return loss.item(), torch.sigmoid(logits).mean().item()


fixed = sample_z(100)
d_hist, g_hist = [], []
for epoch in range(EPOCHS):
    gen.train(); dis.train()
    for it, real in enumerate(loader):
        if cuda:
            real = real.cuda()
        d_loss = d_step(real)
        g_loss, fooled = g_step(BS)
        d_hist.append(d_loss)
        g_hist.append(g_loss)
        if it % 12 == 0:
            print('epoch %d it %3d   D %.4f   G %.4f   D(G(z)) %.3f' % (epoch, it, d_loss, g_loss, fooled))

    gen.eval()
    with torch.no_grad():
        pics = gen(fixed).cpu().numpy()
    # how far is the mean picture from the mean digit?
    gap = np.abs(pics.mean(axis=(0, 1)) - imgs.mean(axis=0)).mean()
    print('epoch %d  mean D %.4f  mean G %.4f  gap of the mean image %.4f'
          % (epoch, np.mean(d_hist[-len(loader):]), np.mean(g_hist[-len(loader):]), gap))

torch.save({'gen': gen.state_dict(), 'dis': dis.state_dict(),
            'g_opt': g_opt.state_dict(), 'd_opt': d_opt.state_dict()}, 'gan.pt')
