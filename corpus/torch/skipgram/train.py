"""word2vec (skip-gram, negative sampling) on a generated corpus with two topics."""
import sys
from collections import Counter

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

WINDOW, NEG, DIM = 2, 5, 16
BATCH, EPOCHS = 256, 3


def corpus(n_sentences=500, seed=4):
    rng = np.random.RandomState(seed)
    topics = {
        'kitchen': 'pan oven salt soup knife bread butter spoon'.split(),
        'harbour': 'ship anchor sail tide rope captain wave dock'.split(),
    }
    glue = 'the a of with near and'.split()
    for _ in range(n_sentences):
        words = topics['kitchen' if rng.rand() < .5 else 'harbour']
        yield [rng.choice(glue) if rng.rand() < .3 else rng.choice(words) for _ in range(rng.randint(5, 10))]


class SkipGram(nn.Module):
    def __init__(self, n_words, dim):
        super(SkipGram, self).__init__()
        self.center = nn.Embedding(n_words, dim)
        self.context = nn.Embedding(n_words, dim)
        self.center.weight.data.uniform_(-0.5 / dim, 0.5 / dim)
        nn.init.zeros_(self.context.weight)

    def forward(self, center, positive, negative):
        v = self.center(center)                                     # B, D
        u = self.context(positive)                                  # B, D
        n = self.context(negative)                                  # B, K, D
        pos_score = F.logsigmoid(torch.sum(v * u, dim=1))
        neg_score = F.logsigmoid(-torch.bmm(n, v.unsqueeze(2)).squeeze(2)).sum(1)
        return -(pos_score + neg_score).mean()

    def most_similar(self, ix, k):
        w = self.center.weight.detach()
        sims = F.cosine_similarity(w[ix].unsqueeze(0), w, dim=1)
        return sims.topk(k + 1).indices[1:].tolist()


def main():
    torch.manual_seed(4)
    sents = list(corpus())
    counts = Counter(w for s in sents for w in s)
    vocab = [w for w, _ in counts.most_common()]
    index = {w: i for i, w in enumerate(vocab)}

    pairs = []
    for s in sents:
        ids = [index[w] for w in s]
        for i, c in enumerate(ids):
            for j in range(max(0, i - WINDOW), min(len(ids), i + WINDOW + 1)):
                if i != j:
                    pairs.append((c, ids[j]))
    pairs = torch.tensor(pairs)
    print(len(vocab), 'words,', pairs.shape[0], 'pairs')

    freq = torch.tensor([counts[w] for w in vocab], dtype=torch.float)
    noise = freq.pow(0.75)
    noise /= noise.sum()

    model = SkipGram(len(vocab), DIM)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-7)
    step = 0
    for epoch in range(EPOCHS):
        perm = torch.randperm(len(pairs))
        for batch in torch.split(perm, BATCH):
            c, o = pairs[batch].unbind(dim=1)
            neg = torch.multinomial(noise, len(batch) * NEG, replacement=True).view(-1, NEG)
            loss = model(c, o, neg)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 10 == 0:
                sys.stdout.write('epoch %d step %d loss %.4f\n' % (epoch, step, loss.data))

    for word in ('soup', 'anchor', 'captain', 'bread'):
        print(word, '->', ', '.join(vocab[i] for i in model.most_similar(index[word], 4)))
    np.savetxt('vectors.tsv', model.center.weight.detach().numpy(), delimiter='\t', fmt='%.5f')


if __name__ == '__main__':
    main()
