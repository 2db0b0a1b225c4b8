import torch
import torch.nn as nn
import torch.optim as optim
import random
import string

"""
Which (made up) language does this name come from?
Character level LSTM.
"""

SYLLABLES = {
    'Varnish': ['var', 'nor', 'sk', 'ol', 'ek', 'ov', 'in', 'mir'],
    'Ellian':  ['el', 'la', 'ri', 'ae', 'th', 'iel', 'no', 'wen'],
    'Okuro':   ['ka', 'to', 'mi', 'yu', 'ko', 'shi', 'ra', 'no'],
    'Brund':   ['gr', 'und', 'ho', 'lf', 'ber', 'st', 'ein', 'man'],
}
all_categories = sorted(SYLLABLES)
n_categories = len(all_categories)
all_letters = string.ascii_lowercase
PAD = 0
vocab = {c: i + 1 for i, c in enumerate(all_letters)}


class CharLSTM(nn.Module):

    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers, num_classes):
        super(CharLSTM, self).__init__()
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=PAD)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, num_layers, batch_first=True, dropout=0.2)
        self.fc = nn.Linear(hidden_dim, num_classes)

    def init_hidden(self, batch_size, device):
        h0 = torch.zeros(self.num_layers, batch_size, self.hidden_dim).to(device)
        c0 = torch.zeros(self.num_layers, batch_size, self.hidden_dim).to(device)
        return h0, c0

    def forward(self, x):
        # x: (batch, seq_len)
        hidden = self.init_hidden(x.size(0), x.device)
        emb = self.embedding(x)
        out, hidden = self.lstm(emb, hidden)
        out = out[:, -1, :]
        return self.fc(out)


def make_name(category):
    return ''.join(random.choice(SYLLABLES[category]) for _ in range(random.randint(2, 4)))


def name_to_tensor(name, max_len):
    ids = [vocab[ch] for ch in name][:max_len]
    ids = [PAD] * (max_len - len(ids)) + ids      # pad on the left, so that the last step is a letter
    return torch.tensor(ids, dtype=torch.long)


def make_dataset(n, max_len=12):
    xs, ys = [], []
    for i in range(n):
        label = i % n_categories
        xs.append(name_to_tensor(make_name(all_categories[label]), max_len))
        ys.append(label)
    return torch.stack(xs), torch.LongTensor(ys)


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        scores = model(x)
        correct = (torch.argmax(scores, dim=1) == y).float().sum()
    model.train()
    return correct.item() / len(y)


def iterate(x, y, batch_size):
    order = list(range(len(x)))
    random.shuffle(order)
    for start in range(0, len(order), batch_size):
        sel = order[start:start + batch_size]
        yield x[sel], y[sel]


def main():
    random.seed(1234)
    torch.manual_seed(1234)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')

    x_train, y_train = make_dataset(600)
    x_test, y_test = make_dataset(120)
    x_train, y_train = x_train.to(device), y_train.to(device)
    x_test, y_test = x_test.to(device), y_test.to(device)

    model = CharLSTM(vocab_size=len(all_letters) + 1, embed_dim=16, hidden_dim=48,
                     num_layers=2, num_classes=n_categories).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.RMSprop(model.parameters(), lr=0.002, alpha=0.95)

    print_every = 10
    total_loss = 0
    n_iter = 0
    for epoch in range(1, 5):
        for batch_x, batch_y in iterate(x_train, y_train, 32):
            model.zero_grad()
            scores = model(batch_x)
            loss = criterion(scores, batch_y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

            total_loss += loss.item()
            n_iter += 1
            if n_iter % print_every == 0:
                print('%d %d%% %.4f' % (n_iter, epoch * 25, total_loss / print_every))
                total_loss = 0
        print('Epoch %d, test accuracy %.3f' % (epoch, accuracy(model, x_test, y_test)))

    def predict(name):
        model.eval()
        with torch.no_grad():
            logits = model(name_to_tensor(name, 12).unsqueeze(0).to(device))
            topv, topi = torch.softmax(logits, 1).topk(2)
        print('\n> ' + name)
        for k in range(2):
            print('(%.2f) %s' % (topv[0][k].item(), all_categories[topi[0][k].item()]))

    predict('norskov')
    predict('elariel')
    predict('yukimiko')


if __name__ == '__main__':
    main()
