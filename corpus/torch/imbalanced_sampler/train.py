import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from sklearn.metrics import classification_report, f1_score
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler, random_split

CFG = {
    'seed': 2023,
    'n_rows': 1600,
    'bs': 64,
    'epochs': 6,
    'lr': 0.01,
    'patience': 0,
    'factor': 0.3,
}


def seed_everything(seed):
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed(seed)
    torch.backends.cudnn.deterministic = True


seed_everything(CFG['seed'])
DEVICE = torch.device('cuda' if torch.cuda.is_available() else 'cpu')

# ====================================================
# Data: a table with two categorical columns, fraud is rare
# ====================================================
X, y = make_classification(n_samples=CFG['n_rows'], n_features=8, n_informative=5, weights=[0.9],
                           class_sep=1.2, random_state=CFG['seed'])
df = pd.DataFrame(X, columns=[f'f{i}' for i in range(8)])
df['shop'] = pd.cut(df['f0'], 5, labels=False)
df['day'] = np.random.randint(0, 7, len(df))
df['target'] = y
CONT = [f'f{i}' for i in range(1, 8)]
CAT = ['shop', 'day']
print(df['target'].value_counts().to_dict())


class TableDataset(Dataset):
    def __init__(self, df):
        self.cont = df[CONT].values.astype(np.float32)
        self.cat = df[CAT].values.astype(np.int64)
        self.y = df['target'].values.astype(np.int64)

    def __len__(self):
        return self.y.shape[0]

    def __getitem__(self, i):
        return torch.from_numpy(self.cat[i]), torch.from_numpy(self.cont[i]), self.y[i]


class TabularModel(nn.Module):
    def __init__(self, emb_szs, n_cont, out_sz, layers, p=0.2):
        super().__init__()
        self.embeds = nn.ModuleList([nn.Embedding(ni, nf) for ni, nf in emb_szs])
        self.emb_drop = nn.Dropout(p)
        self.bn_cont = nn.BatchNorm1d(n_cont)

        layerlist = []
        n_in = sum(nf for _, nf in emb_szs) + n_cont
        for i in layers:
            layerlist.append(nn.Linear(n_in, i))
            layerlist.append(nn.ReLU(inplace=True))
            layerlist.append(nn.BatchNorm1d(i))
            layerlist.append(nn.Dropout(p))
            n_in = i
        layerlist.append(nn.Linear(layers[-1], out_sz))
        self.layers = nn.Sequential(*layerlist)

    def forward(self, x_cat, x_cont):
        embeddings = []
        for i, e in enumerate(self.embeds):
            embeddings.append(e(x_cat[:, i]))
        x = torch.cat(embeddings, 1)
        x = self.emb_drop(x)
        x_cont = self.bn_cont(x_cont)
        x = torch.cat([x, x_cont], 1)
        return self.layers(x)


full = TableDataset(df)
n_train = int(0.8 * len(full))
train_set, valid_set = random_split(full, [n_train, len(full) - n_train])

train_y = full.y[train_set.indices]
class_count = np.bincount(train_y)
sample_weight = 1. / class_count[train_y]
sampler = WeightedRandomSampler(torch.DoubleTensor(sample_weight), num_samples=len(train_set), replacement=True)
train_loader = DataLoader(train_set, batch_size=CFG['bs'], sampler=sampler)
valid_loader = DataLoader(valid_set, batch_size=CFG['bs'] * 2, shuffle=False)

model = TabularModel([(5, 3), (7, 4)], len(CONT), 2, [32, 16]).to(DEVICE)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=CFG['lr'])
scheduler = ReduceLROnPlateau(optimizer, mode='min', factor=CFG['factor'], patience=CFG['patience'], min_lr=1e-5)


def valid_fn():
    model.eval()
    losses, preds, labels = [], [], []
    for cat, cont, target in valid_loader:
        with torch.no_grad():
            out = model(cat.to(DEVICE), cont.to(DEVICE))
            losses.append(criterion(out, target.to(DEVICE)).item())
        preds.append(out.softmax(1)[:, 1].to('cpu').numpy())
        labels.append(target.numpy())
    return np.mean(losses), np.concatenate(preds), np.concatenate(labels)


best = 0.
for epoch in range(CFG['epochs']):
    model.train()
    avg_loss = 0.
    for cat, cont, target in train_loader:
        out = model(cat.to(DEVICE), cont.to(DEVICE))
        loss = criterion(out, target.to(DEVICE))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        avg_loss += loss.item() / len(train_loader)
    val_loss, preds, labels = valid_fn()
    scheduler.step(val_loss)
    f1 = f1_score(labels, preds > 0.5)
    lr = optimizer.param_groups[0]['lr']
    print(f'Epoch {epoch+1} - avg_train_loss: {avg_loss:.4f}  avg_val_loss: {val_loss:.4f}  f1: {f1:.4f}  lr: {lr:.6f}')
    if f1 > best:
        best = f1
        torch.save({'model': model.state_dict(), 'preds': preds}, 'best.pth')

check_point = torch.load('best.pth', weights_only=False)
model.load_state_dict(check_point['model'])
print(classification_report(labels, check_point['preds'] > 0.5, digits=3))
