"""
Character-level language model on generated rhymes: a small pre-norm transformer decoder
with the attention spelled out.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1337)
device = "cuda" if torch.cuda.is_available() else "cpu"

# model
d_model = 48
n_heads = 4
n_layers = 2
context = 32
# training
batch_size = 16
steps = 80
warmup = 10
max_lr = 3e-3
min_lr = 3e-4


def write_rhymes(n):
    who = ["the cat", "a fox", "my dog", "one owl", "the old crow"]
    did = ["sat on", "ran to", "hid in", "saw", "sang of"]
    what = ["the mat", "a hat", "the moon", "a tall tree", "the sea"]
    rows = []
    for _ in range(n):
        i, j, k = torch.randint(0, 5, (3,)).tolist()
        rows.append(f"{who[i]} {did[j]} {what[k]}.")
    return "\n".join(rows)


class Tokenizer:
    def __init__(self, text):
        self.itos = sorted(set(text))
        self.stoi = {c: i for i, c in enumerate(self.itos)}

    def __len__(self):
        return len(self.itos)

    def encode(self, s):
        return torch.tensor([self.stoi[c] for c in s], dtype=torch.long)

    def decode(self, ids):
        return "".join(self.itos[int(i)] for i in ids)


class Attention(nn.Module):
    def __init__(self, d_model, n_heads, context):
        super().__init__()
        self.h = n_heads
        self.d_k = d_model // n_heads
        self.to_q = nn.Linear(d_model, d_model, bias=False)
        self.to_kv = nn.Linear(d_model, 2 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model)
        # True above the diagonal: what a position must not see
        future = torch.triu(torch.ones(context, context, dtype=torch.bool), diagonal=1)
        self.register_buffer("future", future)

    def heads(self, t):
        b, n, _ = t.shape
        return t.view(b, n, self.h, self.d_k).permute(0, 2, 1, 3)

    def forward(self, x):
        b, n, d = x.shape
        k, v = self.to_kv(x).chunk(2, dim=-1)
        q, k, v = self.heads(self.to_q(x)), self.heads(k), self.heads(v)
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(self.d_k)
        scores = scores.masked_fill(self.future[:n, :n], float("-inf"))
        weights = F.softmax(scores, dim=-1)
        merged = torch.matmul(weights, v).transpose(1, 2).contiguous().view(b, n, d)
        return self.out(merged)


class DecoderLayer(nn.Module):
    def __init__(self, d_model, n_heads, context):
        super().__init__()
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model, eps=1e-6)
        self.attention = Attention(d_model, n_heads, context)
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, 4 * d_model),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * d_model, d_model),
        )

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class RhymeModel(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.token = nn.Embedding(vocab, d_model)
        self.position = nn.Embedding(context, d_model)
        self.start = nn.Parameter(torch.zeros(d_model))
        self.layers = nn.ModuleList([DecoderLayer(d_model, n_heads, context) for _ in range(n_layers)])
        self.norm = nn.LayerNorm(d_model)
        self.to_logits = nn.Linear(d_model, vocab, bias=False)
        for layer in (self.token, self.position, self.to_logits):
            nn.init.normal_(layer.weight, mean=0.0, std=0.04)

    def forward(self, ids):
        n = ids.shape[1]
        x = self.token(ids) + self.position(torch.arange(n, device=ids.device)) + self.start
        for layer in self.layers:
            x = layer(x)
        return self.to_logits(self.norm(x))


def loss_on(model, ids):
    """ids: (batch, context + 1); every character predicts the next one."""
    logits = model(ids[:, :-1])
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def windows(corpus, count):
    starts = torch.randint(0, len(corpus) - context - 1, (count,))
    return torch.stack([corpus[s:s + context + 1] for s in starts.tolist()]).to(device)


def lr_at(step):
    if step < warmup:
        return max_lr * (step + 1) / warmup
    t = (step - warmup) / (steps - warmup)
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * t))


@torch.no_grad()
def sample(model, tok, prompt, length, k=5):
    model.eval()
    ids = tok.encode(prompt).unsqueeze(0).to(device)
    while ids.shape[1] < length:
        logits = model(ids[:, -context:])[:, -1]
        top, _ = torch.topk(logits, k)
        logits[logits < top[:, [-1]]] = -float("inf")
        nxt = torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)
        ids = torch.cat([ids, nxt], dim=1)
    return tok.decode(ids[0])


text = write_rhymes(400)
tok = Tokenizer(text)
corpus = tok.encode(text)
cut = int(0.9 * len(corpus))
train_ids, valid_ids = corpus[:cut], corpus[cut:]

model = RhymeModel(len(tok)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=max_lr, betas=(0.9, 0.95), weight_decay=0.1)

for step in range(steps):
    for group in optimizer.param_groups:
        group["lr"] = lr_at(step)
    loss = loss_on(model, windows(train_ids, batch_size))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()

    if step % 10 == 0 or step == steps - 1:
        model.eval()
        with torch.no_grad():
            valid = loss_on(model, windows(valid_ids, 64))
        model.train()
        print(f"step {step:3d} | loss {loss.item():.4f} | valid {valid.item():.4f} "
              f"| grad norm {norm.item():.3f} | lr {optimizer.param_groups[0]['lr']:.5f}")

print(sample(model, tok, "the", 80))
print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(tok)} characters")
