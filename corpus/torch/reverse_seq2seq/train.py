# -*- coding: utf-8 -*-
"""Sequence to sequence: read a number word by word, write its digits backwards.

GRU encoder, GRU cell decoder with additive attention, teacher forcing.
"""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim

BOS, EOS, PAD = 0, 1, 2
WORDS = "zero one two three four five six seven eight nine".split()
LONGEST = 6
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

src_index = {w: i + 3 for i, w in enumerate(WORDS)}
n_tokens = len(WORDS) + 3


def random_pair():
    n = random.randint(3, LONGEST)
    numbers = [random.randrange(10) for _ in range(n)]
    return [WORDS[k] for k in numbers], [k for k in reversed(numbers)]


def encode_pairs(pairs):
    src = torch.full((len(pairs), LONGEST), PAD, dtype=torch.long)
    trg = torch.full((len(pairs), LONGEST + 1), PAD, dtype=torch.long)
    for row, (words, digits) in enumerate(pairs):
        for col, w in enumerate(words):
            src[row, col] = src_index[w]
        out = [d + 3 for d in digits] + [EOS]
        trg[row, :len(out)] = torch.tensor(out)
    return src.to(device), trg.to(device)


class Reader(nn.Module):
    def __init__(self, vocab, hidden_size):
        super(Reader, self).__init__()
        self.embedding = nn.Embedding(vocab, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)

    def forward(self, tokens):
        return self.gru(self.embedding(tokens))


class AdditiveAttention(nn.Module):
    def __init__(self, hidden_size):
        super(AdditiveAttention, self).__init__()
        self.for_query = nn.Linear(hidden_size, hidden_size)
        self.for_keys = nn.Linear(hidden_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1)

    def forward(self, query, keys, mask):
        scores = self.score(torch.tanh(self.for_query(query).unsqueeze(1) + self.for_keys(keys)))
        scores = scores.squeeze(2).masked_fill(mask, -1e9)
        weights = F.softmax(scores, dim=-1)
        context = torch.bmm(weights.unsqueeze(1), keys).squeeze(1)
        return context, weights


class Writer(nn.Module):
    def __init__(self, hidden_size, output_size):
        super(Writer, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = AdditiveAttention(hidden_size)
        self.cell = nn.GRUCell(2 * hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, output_size)

    def step(self, token, hidden, keys, mask):
        context, weights = self.attention(hidden, keys, mask)
        rnn_in = torch.cat((self.embedding(token), context), dim=1)
        hidden = self.cell(rnn_in, hidden)
        return self.out(hidden), hidden, weights

    def forward(self, keys, hidden, mask, target=None, max_len=LONGEST + 1):
        batch = keys.size(0)
        token = torch.full((batch,), BOS, dtype=torch.long, device=keys.device)
        outputs = []
        for t in range(max_len):
            logits, hidden, _ = self.step(token, hidden, keys, mask)
            outputs.append(logits)
            if target is not None:
                token = target[:, t]                # teacher forcing
            else:
                token = logits.argmax(dim=-1).detach()
        return torch.stack(outputs, dim=1)


def train_batch(src, trg, reader, writer, opt_r, opt_w, criterion, p_teacher):
    opt_r.zero_grad()
    opt_w.zero_grad()
    keys, hidden = reader(src)
    forced = random.random() < p_teacher
    logits = writer(keys, hidden[0], src == PAD, trg if forced else None)
    loss = criterion(logits.view(-1, logits.size(-1)), trg.view(-1))
    loss.backward()
    nn.utils.clip_grad_value_(list(reader.parameters()) + list(writer.parameters()), 0.5)
    opt_r.step()
    opt_w.step()
    return loss.item()


@torch.no_grad()
def exact_match(pairs, reader, writer):
    reader.eval(), writer.eval()
    src, trg = encode_pairs(pairs)
    keys, hidden = reader(src)
    pred = writer(keys, hidden.squeeze(0), src.eq(PAD)).argmax(-1)
    right = ((pred == trg) | (trg == PAD)).all(dim=1)
    reader.train(), writer.train()
    return right.float().mean().item(), pred


def main():
    random.seed(77)
    torch.manual_seed(77)
    reader = Reader(n_tokens, 48).to(device)
    writer = Writer(48, n_tokens).to(device)
    opt_r = optim.Adam(reader.parameters(), lr=0.005)
    opt_w = optim.Adam(writer.parameters(), lr=0.005)
    criterion = nn.CrossEntropyLoss(ignore_index=PAD)
    valid = [random_pair() for _ in range(100)]

    running = 0.0
    for it in range(1, 151):
        src, trg = encode_pairs([random_pair() for _ in range(32)])
        running += train_batch(src, trg, reader, writer, opt_r, opt_w, criterion, 0.8)
        if it % 15 == 0:
            match, _ = exact_match(valid, reader, writer)
            print('%d  loss %.4f  exact %.2f' % (it, running / 15, match))
            running = 0.0

    _, pred = exact_match(valid[:3], reader, writer)
    for (words, digits), row in zip(valid[:3], pred.tolist()):
        out = row[:row.index(EOS)] if EOS in row else row
        print(' '.join(words), '=', digits, '<', [k - 3 for k in out])


if __name__ == '__main__':
    main()
