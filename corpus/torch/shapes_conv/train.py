# Toy segmentation: find the bright discs in noisy 24x24 images and ignore the squares.
# Encoder with strided / grouped (depthwise separable) / dilated convolutions, decoder with
# transposed convolutions and one skip connection.

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SEED      = 3
N_IMAGES  = 256
SIZE      = 24
BATCH     = 16
EPOCHS    = 4
LR        = 2e-3

torch.manual_seed(SEED)


def draw(rng):
    img  = rng.normal(0., .15, (SIZE, SIZE))
    mask = np.zeros((SIZE, SIZE))
    yy, xx = np.mgrid[:SIZE, :SIZE]
    for _ in range(rng.integers(1, 3)):
        cy, cx, r = rng.integers(5, SIZE-5), rng.integers(5, SIZE-5), rng.integers(3, 6)
        disc = (yy-cy)**2 + (xx-cx)**2 <= r*r
        img[disc] += 1.
        mask[disc] = 1.
    y0, x0 = rng.integers(0, SIZE-6, 2)
    img[y0:y0+5, x0:x0+5] += .7
    return img, mask


def make_data(n, seed):
    rng = np.random.default_rng(seed)
    pairs = [draw(rng) for _ in range(n)]
    imgs  = np.stack([p[0] for p in pairs])[:, None].astype('float32')
    masks = np.stack([p[1] for p in pairs])[:, None].astype('float32')
    return torch.from_numpy(imgs), torch.from_numpy(masks)


def conv_bn_act(c_in, c_out, k=3, s=1, d=1, g=1):
    pad = d * (k-1) // 2
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, k, stride=s, padding=pad, dilation=d, groups=g, bias=False),
        nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.05),
        nn.LeakyReLU(0.1, inplace=True),
    )


class Separable(nn.Module):
    """depthwise + pointwise"""
    def __init__(self, c_in, c_out, s=1):
        super().__init__()
        self.dw = conv_bn_act(c_in, c_in, 3, s=s, g=c_in)
        self.pw = conv_bn_act(c_in, c_out, 1)

    def forward(self, x): return self.pw(self.dw(x))


class SegNet(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        w = width
        self.stem   = conv_bn_act(1, w, k=5)
        self.down1  = conv_bn_act(w, 2*w, s=2)                   # 24 -> 12
        self.down2  = Separable(2*w, 4*w, s=2)                   # 12 -> 6
        self.mid    = nn.ModuleList([conv_bn_act(4*w, 4*w, d=d, g=2) for d in (1, 2, 3)])
        self.up1    = nn.ConvTranspose2d(4*w, 2*w, kernel_size=4, stride=2, padding=1)
        self.up2    = nn.ConvTranspose2d(4*w, w, kernel_size=3, stride=2, padding=1, output_padding=1, bias=False)
        self.out    = nn.Conv2d(w, 1, 1)

    def forward(self, x):
        x  = self.stem(x)
        d1 = self.down1(x)
        h  = self.down2(d1)
        for layer in self.mid:
            h = h + layer(h)
        h = F.relu(self.up1(h))
        h = torch.cat([h, d1], dim=1)
        h = F.elu(self.up2(h))
        return self.out(h)


def dice(logits, target):
    p = (torch.sigmoid(logits) > .5).float()
    inter = (p * target).sum(dim=(1, 2, 3))
    return ((2*inter + 1) / (p.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3)) + 1)).mean()


X, Y   = make_data(N_IMAGES, SEED)
Xv, Yv = make_data(64, SEED+1)

net  = SegNet()
opt  = torch.optim.Adam(net.parameters(), lr=LR, betas=(0.9, 0.99))
bce  = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))
step = 0

for ep in range(EPOCHS):
    net.train()
    perm = torch.randperm(len(X))
    running = 0.0
    for i in range(0, len(X), BATCH):
        idx  = perm[i:i+BATCH]
        pred = net(X[idx])
        loss = bce(pred, Y[idx])
        opt.zero_grad(); loss.backward(); opt.step()
        running += loss.item()
        step += 1
        if step % 8 == 0:
            print(f'  step {step:4d}  loss {loss.item():.5f}')

    net.eval()
    with torch.no_grad():
        v = net(Xv)
        print(f'epoch {ep}: train {running / (len(X) / BATCH):.4f}  val {bce(v, Yv).item():.4f}  dice {dice(v, Yv):.3f}')
