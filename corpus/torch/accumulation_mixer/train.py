# Gradient accumulation + clipping with a small MLP-Mixer on 8x8 digits.
# Effective batch = micro_batch * accum_steps; the last, incomplete group also steps.
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from types import SimpleNamespace

hp = SimpleNamespace(
    patch=2,
    dim=32,
    depth=3,
    micro_batch=16,
    accum_steps=4,
    epochs=3,
    lr=4e-3,
    clip=0.5,
    seed=11,
)


class PreNormResidual(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.fn(self.norm(x)) + x


def FeedForward(dim, expansion=2, dropout=0., dense=nn.Linear):
    inner = int(dim * expansion)
    return nn.Sequential(
        dense(dim, inner),
        nn.GELU(),
        nn.Dropout(dropout),
        dense(inner, dim),
    )


class TokenMix(nn.Module):
    """feed forward over the patches: swap tokens and channels, and back"""
    def __init__(self, n_tokens):
        super().__init__()
        self.ff = FeedForward(n_tokens, 2)

    def forward(self, x):
        return self.ff(x.transpose(1, 2)).transpose(1, 2)


class Mixer(nn.Module):
    def __init__(self, image_size, patch, dim, depth, n_classes):
        super().__init__()
        self.patch = patch
        n = (image_size // patch) ** 2
        self.embed = nn.Linear(patch * patch, dim)
        self.blocks = nn.Sequential(*[
            nn.Sequential(PreNormResidual(dim, TokenMix(n)), PreNormResidual(dim, FeedForward(dim)))
            for _ in range(depth)
        ])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, n_classes)

    def patchify(self, img):
        b, h, w = img.shape
        p = self.patch
        img = img.reshape(b, h // p, p, w // p, p)
        return img.permute(0, 1, 3, 2, 4).reshape(b, -1, p * p)

    def forward(self, img):
        x = self.embed(self.patchify(img))
        x = self.blocks(x)
        x = self.norm(x).mean(dim=1)
        return self.head(x)


def batches(x, y, size, g):
    order = torch.randperm(x.shape[0], generator=g)
    for chunk in order.split(size):
        yield x[chunk], y[chunk]


torch.manual_seed(hp.seed)
g = torch.Generator()
g.manual_seed(hp.seed)

ds = load_digits()
imgs = torch.as_tensor(ds.images, dtype=torch.float) / 16
labels = torch.as_tensor(ds.target)
x_tr, x_te = imgs[:1440], imgs[1440:]
y_tr, y_te = labels[:1440], labels[1440:]

model = Mixer(8, hp.patch, hp.dim, hp.depth, 10)
optim = torch.optim.NAdam(model.parameters(), lr=hp.lr)
n_micro = (len(x_tr) + hp.micro_batch - 1) // hp.micro_batch
n_steps = 0
optim.zero_grad()

for epoch in range(hp.epochs):
    model.train()
    group_loss = 0.
    for i, (xb, yb) in enumerate(batches(x_tr, y_tr, hp.micro_batch, g)):
        loss = F.cross_entropy(model(xb), yb)
        loss = loss / hp.accum_steps        # normalise, gradients are summed
        loss.backward()
        group_loss += loss.item()

        if (i + 1) % hp.accum_steps == 0 or (i + 1) == n_micro:
            total_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), hp.clip)
            optim.step()
            optim.zero_grad()
            n_steps += 1
            if n_steps % 6 == 0:
                print("step", n_steps, "loss", round(group_loss, 4), "norm", round(float(total_norm), 3))
            group_loss = 0.

    model.eval()
    with torch.inference_mode():
        pred = model(x_te).argmax(-1)
        acc = (pred == y_te).float().mean()
    print("epoch %i: accuracy %.3f" % (epoch, acc))
