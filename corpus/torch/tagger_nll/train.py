import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import numpy as np

# Tag the words of generated sentences. Padding has the tag -1 and does not count; the frequent
# tag O weighs less than the others.

torch.manual_seed(1)
np.random.seed(1)

EMB, HID = 12, 10
PAD_TAG = -1
TAGS = ["O", "PER", "LOC", "NUM"]

lexicon = {
    "PER": ["anna", "bo", "chen", "dara", "rose", "paris"],
    "LOC": ["oslo", "lima", "kyoto", "paris", "rose"],
    "NUM": ["two", "ten", "forty"],
}
# "rose" and "paris" may be people or places (or a verb): only their neighbours tell
templates = [
    "yesterday PER went to LOC",
    "PER bought NUM apples in LOC",
    "in LOC there are NUM bridges",
    "mrs PER lives in LOC",
    "the sun rose over LOC",
    "mrs PER met PER near LOC",
    "the train to LOC leaves at NUM",
    "NUM friends of PER saw NUM ships",
]


def make_sentence(noise=0.04):
    words, tags = [], []
    for token in templates[np.random.randint(len(templates))].split():
        tag = token if token in lexicon else "O"
        words.append(str(np.random.choice(lexicon[token])) if tag != "O" else token)
        if np.random.rand() < noise:            # careless annotators
            tag = TAGS[np.random.randint(len(TAGS))]
        tags.append(TAGS.index(tag))
    return words, tags


sentences = [make_sentence() for _ in range(440)]
word2id = {"<pad>": 0}
for words, _ in sentences:
    for w in words:
        word2id.setdefault(w, len(word2id))


def to_batch(sents):
    longest = max(len(words) for words, _ in sents)
    x = torch.zeros(len(sents), longest).long()
    y = torch.empty(len(sents), longest, dtype=torch.long).fill_(PAD_TAG)
    for i, (words, tags) in enumerate(sents):
        x[i, :len(words)] = torch.tensor([word2id[w] for w in words])
        y[i, :len(tags)] = torch.tensor(tags)
    return x, y


class Tagger(nn.Module):

    def __init__(self, n_words, emb, hid, n_tags):
        super(Tagger, self).__init__()
        self.embed = nn.Embedding(n_words, emb)
        self.rnn = nn.LSTM(emb, hid, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hid, n_tags)

    def forward(self, x):
        h, (h_n, c_n) = self.rnn(self.embed(x))
        return F.log_softmax(self.out(h), dim=2)


model = Tagger(len(word2id), EMB, HID, len(TAGS))
class_weight = torch.tensor([0.4, 1.0, 1.0, 1.5])
criterion = nn.NLLLoss(weight=class_weight, ignore_index=PAD_TAG)
optimizer = optim.Adagrad(model.parameters(), lr=0.05)

train, held_out = sentences[:400], sentences[400:]

for epoch in range(5):
    np.random.shuffle(train)
    total = 0
    for b in range(0, len(train), 25):
        x, y = to_batch(train[b:b + 25])
        model.zero_grad()
        log_probs = model(x)
        # (N, T, C) -> (N, C, T), where NLLLoss wants the classes
        loss = criterion(log_probs.permute(0, 2, 1), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print("epoch", epoch, "loss", total / (len(train) // 25))

with torch.no_grad():
    x, y = to_batch(held_out)
    log_probs = model(x)
    mask = y != PAD_TAG
    right = (log_probs.argmax(dim=-1)[mask] == y[mask]).float()
    print("tag accuracy: %.4f over %d words" % (right.mean().item(), mask.sum().item()))
    nll = F.nll_loss(log_probs.reshape(-1, 4), y.reshape(-1), ignore_index=PAD_TAG, reduction="none")
    for ix, tag in enumerate(TAGS):
        print("  %-4s mean nll %.4f" % (tag, nll[y.reshape(-1) == ix].mean()))
    words = held_out[0][0]
    print([(w, TAGS[t]) for w, t in zip(words, log_probs[0].argmax(1).tolist())])
