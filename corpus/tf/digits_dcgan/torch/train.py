import time

import numpy as np
import functools
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from sklearn.datasets import load_digits


class Reshape(nn.Module):
    """keras.layers.Reshape: another shape for each example."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape)


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


def same_padding(sizes, kernel_size, stride=1, dilation=1):
    """The arguments of F.pad for padding="same", last axis first."""
    many = lambda value: value if isinstance(value, tuple) else (value,) * len(sizes)
    pads = []
    for n, k, s, d in zip(sizes, many(kernel_size), many(stride), many(dilation)):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class SamePad(nn.Module):
    """Pads for a convolution or pooling without padding to have Keras' padding="same"."""

    def __init__(self, kernel_size, stride=1, dilation=1, value=0.0):
        super().__init__()
        self.window = kernel_size, stride, dilation
        self.value = value  # -inf before maximum pooling

    def forward(self, x):
        return F.pad(x, same_padding(x.shape[2:], *self.window), value=self.value)


def initialize(layer, weight=nn.init.xavier_uniform_, bias=nn.init.zeros_):
    """Gives a layer Keras' initial values: Glorot uniform weights and zero biases, if not told."""
    weight(layer.weight)
    if getattr(layer, "bias", None) is not None:
        bias(layer.bias)
    return layer


def resize_images(images, size, mode="bilinear"):
    """tf.image.resize: floats, but for the nearest neighbour."""
    images = torch.as_tensor(images)
    batch = images if images.dim() == 4 else images[None]
    height, width = (int(side) for side in size)
    batch = batch.permute(0, 3, 1, 2)
    if mode == "nearest-exact":
        kind = batch.dtype
        batch = F.interpolate(batch.to(torch.float64), (height, width), mode=mode).to(
            kind
        )
    else:
        batch = F.interpolate(
            batch.float(), (height, width), mode=mode, align_corners=False
        )
    batch = batch.permute(0, 2, 3, 1)
    return batch if images.dim() == 4 else batch[0]


random.seed(1234)
np.random.seed(1234)
torch.manual_seed(1234)

BATCH, EPOCHS, NOISE = 64, 3, 20
MATCHING = 0.0  # set above zero for feature matching

# 8x8 -> 16x16, scaled to [-1, 1]
train_images = load_digits().images.reshape(-1, 8, 8, 1).astype("float32")
train_images = resize_images(train_images, [16, 16], "nearest-exact")
train_images = (train_images - 8) / 8
dataset = DataLoader(train_images, batch_size=BATCH, shuffle=True, drop_last=True)


def build_generator():
    g = nn.Sequential(
        nn.Linear(20, 4 * 4 * 32, bias=False),
        nn.BatchNorm1d(512, eps=0.001, momentum=0.01),
        nn.ReLU(),
        Reshape(4, 4, 32),
        Permute(0, 3, 1, 2),
        nn.ConvTranspose2d(32, 16, 5, stride=2, bias=False),
        nn.ZeroPad2d((-1, -2, -1, -2)),
        nn.BatchNorm2d(16, eps=0.001, momentum=0.01),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        nn.Tanh(),
        Permute(0, 2, 3, 1),
    )
    return g


def build_critic():
    return nn.Sequential(
        Permute(0, 3, 1, 2),
        SamePad(4, 2),
        initialize(
            nn.Conv2d(1, 16, 4, stride=2), functools.partial(nn.init.normal_, std=0.05)
        ),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        SamePad(4, 2),
        initialize(
            nn.Conv2d(16, 32, 4, stride=2), functools.partial(nn.init.normal_, std=0.05)
        ),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        Permute(0, 2, 3, 1),
        nn.Flatten(),
        nn.Linear(512, 1),
    )


G, D = build_generator(), build_critic()
bce = nn.BCEWithLogitsLoss()
g_optim = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999), eps=1e-7)
d_optim = torch.optim.Adam(D.parameters(), lr=5e-4, betas=(0.5, 0.999), eps=1e-7)


def d_loss_fn(real_logits, fake_logits):
    real = bce(real_logits, torch.ones_like(real_logits) * 0.9)
    fake = bce(fake_logits, torch.zeros_like(fake_logits))
    return real + fake


def g_loss_fn(fake_logits):
    return bce(fake_logits, torch.ones_like(fake_logits))


# compiled: the shape of a batch never changes
def train_step(images):
    noise = torch.randn(BATCH, NOISE)
    G.train()
    fakes = G(noise)
    D.train()
    real_logits = D(images)
    fake_logits = D(fakes)
    g_loss = g_loss_fn(fake_logits)
    if MATCHING > 0:
        g_loss += MATCHING * torch.mean(
            torch.abs(torch.mean(fakes, dim=0) - torch.mean(images, dim=0))
        )
    d_loss = d_loss_fn(real_logits, fake_logits)

    g_optim.zero_grad()
    g_loss.backward(inputs=list(G.parameters()), retain_graph=True)
    d_optim.zero_grad()
    d_loss.backward(inputs=list(D.parameters()))
    g_optim.step()
    d_optim.step()
    return d_loss.detach(), g_loss.detach()


seed = torch.randn(16, NOISE)


def train(dataset, epochs):
    for epoch in range(epochs):
        start = time.time()
        d_sum = g_sum = n = 0
        for batch in dataset:
            d_loss, g_loss = train_step(batch)
            d_sum += float(d_loss)
            g_sum += float(g_loss)
            n += 1
            if n % 9 == 0:
                print("   batch %2d  D %.4f  G %.4f" % (n, d_loss, g_loss))
        G.eval()
        pictures = G(seed)
        spread = torch.std(pictures, dim=0, correction=0)
        print(
            "Epoch {}: D {:.4f}, G {:.4f}, spread of the samples {:.4f} ({} batches)".format(
                epoch + 1, d_sum / n, g_sum / n, torch.mean(spread).item(), n
            )
        )
        # print('Time: %.1f' % (time.time() - start))


train(dataset, EPOCHS)
G.eval()
np.save("samples.npy", G(seed).detach().cpu().numpy())
torch.save(G.state_dict(), "generator.keras")
