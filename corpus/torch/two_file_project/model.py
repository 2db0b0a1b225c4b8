"""Convolutional sentence classifier."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvPool(nn.Module):
    def __init__(self, channels_in, channels_out, width):
        super(ConvPool, self).__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, width)

    def forward(self, x):
        x = F.relu(self.conv(x))
        return F.max_pool1d(x, x.size(2)).squeeze(2)


class TextCNN(nn.Module):
    def __init__(self, vocab_size, embed_dim=24, n_filters=12, widths=(2, 3, 4), dropout=0.3):
        super(TextCNN, self).__init__()
        self.embed = nn.Embedding(vocab_size, embed_dim, padding_idx=0)
        self.branches = nn.ModuleList([ConvPool(embed_dim, n_filters, w) for w in widths])
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(n_filters * len(widths), 1)

    def forward(self, ids):
        x = self.embed(ids)             # (N, L, E)
        x = x.permute(0, 2, 1)          # (N, E, L) for Conv1d
        x = torch.cat([branch(x) for branch in self.branches], 1)
        x = self.dropout(x)
        return self.fc(x).squeeze(1)
