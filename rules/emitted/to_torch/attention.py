"""Keras' attention layers."""

import torch
from torch import nn


def masked_softmax(scores, mask=None):
    """Softmax over the places where mask is True; over all places where it is nowhere."""
    if mask is not None:
        scores = scores + torch.where(mask, 0.0, -1e9).to(scores.dtype)
    return scores.softmax(-1)


class KerasMultiHeadAttention(nn.Module):
    """keras.layers.MultiHeadAttention: any key_dim; (query, value, key); True means attend."""

    def __init__(
        self,
        query_dim,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_dim=None,
    ):
        super().__init__()
        self.num_heads = num_heads
        value_dim = value_dim or key_dim
        self.query = nn.Linear(query_dim, num_heads * key_dim, bias=use_bias)
        self.key = nn.Linear(query_dim, num_heads * key_dim, bias=use_bias)
        self.value = nn.Linear(query_dim, num_heads * value_dim, bias=use_bias)
        self.output = nn.Linear(num_heads * value_dim, output_dim or query_dim, bias=use_bias)
        self.dropout = nn.Dropout(dropout)
        size = output_dim or query_dim
        for layer, fans in (
            (self.query, (num_heads + key_dim) * query_dim),
            (self.key, (num_heads + key_dim) * query_dim),
            (self.value, (num_heads + value_dim) * query_dim),
            (self.output, (value_dim + size) * num_heads),
        ):  # Glorot uniform of Keras' kernels, which have an axis for the heads
            nn.init.uniform_(layer.weight, -((6 / fans) ** 0.5), (6 / fans) ** 0.5)
            if use_bias:
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        query,
        value,
        key=None,
        attention_mask=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        heads = lambda x: x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)
        q, v = heads(self.query(query)), heads(self.value(value))
        k = heads(self.key(value if key is None else key))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if attention_mask is not None:
            attention_mask = attention_mask.bool().unsqueeze(-3)
        if use_causal_mask:
            causal = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
            attention_mask = causal if attention_mask is None else attention_mask & causal
        weights = self.dropout(masked_softmax(scores, attention_mask))
        outputs = self.output((weights @ v).transpose(-2, -3).flatten(-2))
        return (outputs, weights) if return_attention_scores else outputs


class DotProductAttention(nn.Module):
    """keras.layers.Attention with score_mode="dot"; additive=True is AdditiveAttention."""

    def __init__(self, dim=None, use_scale=False, additive=False, dropout=0.0):
        super().__init__()
        start = torch.ones(()) if dim is None else nn.init.xavier_uniform_(torch.empty(1, dim))[0]
        self.scale = nn.Parameter(start) if use_scale else None
        self.additive = additive
        self.dropout = nn.Dropout(dropout)

    def forward(self, query, value, key=None, mask=None):
        key = value if key is None else key
        if self.additive:
            scores = torch.tanh(query[:, :, None] + key[:, None])
            scores = (scores if self.scale is None else self.scale * scores).sum(-1)
        else:
            scores = query @ key.transpose(1, 2)
            scores = scores if self.scale is None else self.scale * scores
        mask = None if mask is None else mask[:, None]
        return self.dropout(masked_softmax(scores, mask)) @ value
